//! What one transaction may use, and what it has used.

use crate::error::DeveloperError;

/// What a developer can do about reading too much; ends the errors and warnings about reads.
pub const READ_HELP: &str = "Consider using smaller limits in your queries, paginating your queries, or using indexed queries \
                    with a selective index range expressions.";

/// Most bytes of all queries of one transaction: their bounds stay in the read set, and those of open streams in memory.
const QUERY_BYTES_MAX: u64 = 1 << 26;
/// Most streams that are open at a time: twice the number of intervals that may be read.
const OPEN_QUERIES_MAX: usize = 8192;

/// The error if queries are too many or too large to be kept. Far beyond what the documented limits let succeed.
///
/// # Errors
/// `TooManyReads`.
pub(crate) fn check_queries(bytes: u64, open: usize) -> Result<(), DeveloperError> {
    let error = |what: &str, limit: String| {
        let text = format!("Too many {what} in a single function execution (limit: {limit}). {READ_HELP}");
        Err(DeveloperError::new("TooManyReads", text))
    };
    if bytes > QUERY_BYTES_MAX {
        return error("bytes in the bounds and filters of queries", format!("{QUERY_BYTES_MAX} bytes"));
    }
    if open > OPEN_QUERIES_MAX {
        return error("open queries", OPEN_QUERIES_MAX.to_string());
    }
    Ok(())
}

/// Upper bounds for one transaction. Sizes are in bytes by the data model's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// Documents read, filtered-out ones included.
    pub documents_read: u64,
    /// Bytes of documents read.
    pub bytes_read: u64,
    /// Disjoint index intervals in the read set.
    pub intervals_read: u64,
    /// Documents written.
    pub documents_written: u64,
    /// Bytes of documents written.
    pub bytes_written: u64,
    /// Bytes of keys that writes make: those of documents before and after, in the indexes that the app declares.
    pub index_key_bytes: u64,
    /// Functions scheduled.
    pub functions_scheduled: u64,
    /// Bytes of arguments of scheduled functions.
    pub scheduled_args_bytes: u64,
}

impl Default for TransactionLimits {
    fn default() -> Self {
        TransactionLimits {
            documents_read: 32_000,
            bytes_read: 1 << 24,
            intervals_read: 4096,
            documents_written: 16_000,
            bytes_written: 1 << 24,
            // A value is in the memory of a mutation as often as it is indexed. Enough for 16,000 documents to be replaced
            // under 64 indexes with keys of 130 bytes.
            index_key_bytes: 1 << 28,
            functions_scheduled: 1000,
            scheduled_args_bytes: 1 << 24,
        }
    }
}

/// What a transaction has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Documents read.
    pub documents_read: u64,
    /// Bytes of documents read.
    pub bytes_read: u64,
    /// Disjoint index intervals read.
    pub intervals_read: u64,
    /// Documents written.
    pub documents_written: u64,
    /// Bytes of documents written.
    pub bytes_written: u64,
    /// Bytes of keys that writes made.
    pub index_key_bytes: u64,
    /// Functions scheduled.
    pub functions_scheduled: u64,
    /// Bytes of arguments of scheduled functions.
    pub scheduled_args_bytes: u64,
}

/// A cap on what a nested call may use beyond what was used before it; absent means no cap of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Documents read.
    pub documents_read: Option<u64>,
    /// Bytes of documents read.
    pub bytes_read: Option<u64>,
    /// Disjoint index intervals read.
    pub intervals_read: Option<u64>,
    /// Documents written.
    pub documents_written: Option<u64>,
    /// Bytes of documents written.
    pub bytes_written: Option<u64>,
    /// Functions scheduled.
    pub functions_scheduled: Option<u64>,
    /// Bytes of arguments of scheduled functions.
    pub scheduled_args_bytes: Option<u64>,
}

impl TransactionLimits {
    /// These limits, lowered for a nested call that may use `budget` more than `usage`.
    #[must_use]
    pub fn within(&self, usage: &Usage, budget: &Budget) -> TransactionLimits {
        let cap = |limit: u64, used: u64, more: Option<u64>| match more {
            Some(more) => limit.min(used.saturating_add(more)),
            None => limit,
        };
        TransactionLimits {
            documents_read: cap(self.documents_read, usage.documents_read, budget.documents_read),
            bytes_read: cap(self.bytes_read, usage.bytes_read, budget.bytes_read),
            intervals_read: cap(self.intervals_read, usage.intervals_read, budget.intervals_read),
            documents_written: cap(self.documents_written, usage.documents_written, budget.documents_written),
            bytes_written: cap(self.bytes_written, usage.bytes_written, budget.bytes_written),
            index_key_bytes: self.index_key_bytes,
            functions_scheduled: cap(
                self.functions_scheduled,
                usage.functions_scheduled,
                budget.functions_scheduled,
            ),
            scheduled_args_bytes: cap(
                self.scheduled_args_bytes,
                usage.scheduled_args_bytes,
                budget.scheduled_args_bytes,
            ),
        }
    }

    /// The error if too much has been read.
    ///
    /// # Errors
    /// `TooManyDocumentsRead`, `TooManyBytesRead` or `TooManyReads`.
    pub fn check_reads(&self, usage: &Usage) -> Result<(), DeveloperError> {
        let error = |code, what: &str, limit: String| {
            Err(DeveloperError::new(
                code,
                format!("Too many {what} in a single function execution (limit: {limit}). {READ_HELP}"),
            ))
        };
        if usage.documents_read > self.documents_read {
            return error("TooManyDocumentsRead", "documents read", self.documents_read.to_string());
        }
        if usage.bytes_read > self.bytes_read {
            return error("TooManyBytesRead", "bytes read", format!("{} bytes", self.bytes_read));
        }
        if usage.intervals_read > self.intervals_read {
            return error("TooManyReads", "reads", self.intervals_read.to_string());
        }
        Ok(())
    }

    /// The error if too much has been written.
    ///
    /// # Errors
    /// `TooManyWrites` or `TooManyBytesWritten`.
    pub fn check_writes(&self, usage: &Usage) -> Result<(), DeveloperError> {
        if usage.documents_written > self.documents_written {
            return Err(DeveloperError::new(
                "TooManyWrites",
                format!("Too many writes in a single function execution (limit: {})", self.documents_written),
            ));
        }
        if usage.bytes_written > self.bytes_written {
            let limit = usize::try_from(self.bytes_written).unwrap_or(usize::MAX);
            return Err(DeveloperError::new(
                "TooManyBytesWritten",
                format!(
                    "Too many bytes written in a single function execution (limit: {})",
                    freshet_values::byte_size_text(limit)
                ),
            ));
        }
        if usage.index_key_bytes > self.index_key_bytes {
            return Err(self.too_many_index_keys());
        }
        Ok(())
    }

    /// The error when there are too many bytes of index keys.
    pub(crate) fn too_many_index_keys(&self) -> DeveloperError {
        let limit = usize::try_from(self.index_key_bytes).unwrap_or(usize::MAX);
        DeveloperError::new(
            "TooManyBytesWritten",
            format!(
                "Too many bytes of index keys written in a single function execution (limit: {}). Consider writing \
                 fewer documents at a time, or using fewer indexes on large fields.",
                freshet_values::byte_size_text(limit)
            ),
        )
    }

    /// The error if too much has been scheduled.
    ///
    /// # Errors
    /// `TooManyFunctionsScheduled` or `ScheduledFunctionsArgumentsTooLarge`.
    pub fn check_schedules(&self, usage: &Usage) -> Result<(), DeveloperError> {
        if usage.functions_scheduled > self.functions_scheduled {
            return Err(DeveloperError::new(
                "TooManyFunctionsScheduled",
                format!(
                    "Too many functions scheduled by this mutation (limit: {})",
                    self.functions_scheduled
                ),
            ));
        }
        if usage.scheduled_args_bytes > self.scheduled_args_bytes {
            let limit = usize::try_from(self.scheduled_args_bytes).unwrap_or(usize::MAX);
            return Err(DeveloperError::new(
                "ScheduledFunctionsArgumentsTooLarge",
                format!(
                    "Too large total size of the arguments of scheduled functions from this mutation (limit: {})",
                    freshet_values::byte_size_text(limit)
                ),
            ));
        }
        Ok(())
    }
}
