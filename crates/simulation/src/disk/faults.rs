//! What goes wrong on a disk, and how often.

/// Faults of one disk; everything is off by default. Probabilities are per operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A write fails with an I/O error, having written a part or nothing.
    pub write_error: f64,
    /// A sync fails, and the changes it should have made durable are gone from the queue: some reached the disk, the
    /// others never will, although reads return them. That is what Linux does.
    pub sync_error: f64,
    /// The same, for syncs of the database file alone.
    pub file_sync_error: f64,
    /// A sync of the write-ahead log reports success although its changes only lie in the drive's memory.
    ///
    /// Lies are told about the log alone, never about its header, and the drive keeps its word before it accepts a
    /// write to the database file. The log's checksums form a chain from the header, so whatever a liar loses behind a
    /// true header cuts the chain, and the database is at an earlier commit. Beyond that no database file without
    /// checksums of its own can tell: an old log that comes back under a newer file mixes pages of two commits.
    pub log_lies: f64,
    /// Every sync reports success and does nothing, for tests of the simulation itself.
    pub ignore_syncs: bool,
    /// A sync takes long, so that others run meanwhile.
    pub slow_sync: f64,
    /// Most bytes of all files together; `None` is no limit.
    pub bytes_max: Option<usize>,
}
