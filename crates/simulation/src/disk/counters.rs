//! How often each thing happened, so that a test can see that it tested something.

/// Events of one disk since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Writes, syncs and changes of names and lengths.
    pub operations: u64,
    /// Writes that failed with an I/O error.
    pub write_errors: u64,
    /// Syncs that failed.
    pub sync_errors: u64,
    /// Syncs that were acknowledged and not done.
    pub lies: u64,
    /// Syncs during which others ran.
    pub slow_syncs: u64,
    /// Requests that failed for want of space.
    pub full: u64,
    /// Losses of power.
    pub power_cuts: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Counters) {
        self.operations += other.operations;
        self.write_errors += other.write_errors;
        self.sync_errors += other.sync_errors;
        self.lies += other.lies;
        self.slow_syncs += other.slow_syncs;
        self.full += other.full;
        self.power_cuts += other.power_cuts;
    }
}
