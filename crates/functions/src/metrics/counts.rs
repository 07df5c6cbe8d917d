//! The numbers that only grow.

/// How often a function was called, and what its executions used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls, cached ones included.
    pub calls: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Calls that a stored result answered.
    pub cache_hits: u64,
    /// Attempts that a conflict took back.
    pub conflicts: u64,
    /// Microseconds in the function's own code; for actions the whole time.
    pub user_time_us: u64,
    /// Documents read.
    pub documents_read: u64,
    /// Bytes of documents read.
    pub bytes_read: u64,
    /// Documents written.
    pub documents_written: u64,
    /// Bytes of documents written.
    pub bytes_written: u64,
    /// Bytes of results' JSON text.
    pub returned_bytes: u64,
}

impl Counts {
    fn zip(self, other: Counts, op: impl Fn(u64, u64) -> u64) -> Counts {
        Counts {
            calls: op(self.calls, other.calls),
            errors: op(self.errors, other.errors),
            cache_hits: op(self.cache_hits, other.cache_hits),
            conflicts: op(self.conflicts, other.conflicts),
            user_time_us: op(self.user_time_us, other.user_time_us),
            documents_read: op(self.documents_read, other.documents_read),
            bytes_read: op(self.bytes_read, other.bytes_read),
            documents_written: op(self.documents_written, other.documents_written),
            bytes_written: op(self.bytes_written, other.bytes_written),
            returned_bytes: op(self.returned_bytes, other.returned_bytes),
        }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Counts) -> Counts {
        self.zip(earlier, u64::saturating_sub)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Counts) -> Counts {
        self.zip(other, u64::saturating_add)
    }
}
