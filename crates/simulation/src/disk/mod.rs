//! A disk in memory on which the real SQLite runs, and which fails like real disks.
//!
//! Every file has live bytes, which reads return, and durable bytes, which a power cut leaves; between them lies the
//! list of changes since the last sync. A power cut lets some of these changes through, whole, torn at sectors, or not
//! at all, and forgets the others. Names of files are treated likewise. All that is random comes from one seed.
//!
//! The disk is one machine: [`Disk::cut_power`] stops everything on it at once, also in the middle of an operation
//! ([`Disk::light_fuse`]). What was open then only returns errors, until [`Disk::restore_power`] starts a new life.

mod counters;
mod crash;
mod directory;
mod faults;
mod file;
mod locks;
mod machine;
mod memory;
mod methods;
mod vfs;

use std::path::Path;
use std::sync::Arc;

use crate::clock::SimulatedClock;
use parking_lot::Mutex;

pub use counters::Counters;
pub use faults::Faults;
pub use machine::Image;
use machine::Machine;

/// What runs while a slow sync is under way.
type Meanwhile = Arc<dyn Fn() + Send + std::marker::Sync>;

/// What the handle and SQLite's callbacks share.
struct Shared {
    machine: Mutex<Machine>,
    meanwhile: Mutex<Option<Meanwhile>>,
}

/// A simulated disk; dropping it frees its contents once the last open file is closed.
pub struct Disk {
    shared: Arc<Shared>,
    vfs: vfs::Registration,
}

impl Disk {
    /// An empty disk, or one with the contents of another. The clock advances when SQLite sleeps and when a sync is slow.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<SimulatedClock>, image: Option<Image>) -> Disk {
        let machine = Mutex::new(Machine::new(seed, clock, image));
        let shared = Arc::new(Shared { machine, meanwhile: Mutex::new(None) });
        Disk { vfs: vfs::Registration::new(&shared), shared }
    }

    /// The name under which SQLite knows the disk.
    #[must_use]
    pub fn vfs(&self) -> &str {
        self.vfs.name()
    }

    /// Where the database is to be put.
    #[must_use]
    pub fn path() -> &'static Path {
        Path::new("/simulated/freshet.sqlite3")
    }

    /// Switches faults on and off.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.machine.lock().faults = faults;
    }

    /// The faults that are on.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.machine.lock().faults
    }

    /// Runs `work` during slow syncs, on the thread that syncs. It must not write to the disk.
    pub fn meanwhile(&self, work: Option<Arc<dyn Fn() + Send + std::marker::Sync>>) {
        *self.shared.meanwhile.lock() = work;
    }

    /// Cuts the power after so many operations that change the disk; `None` puts the fuse out.
    pub fn light_fuse(&self, operations: Option<u64>) {
        self.shared.machine.lock().light_fuse(operations);
    }

    /// Cuts the power now. Whoever has files open gets errors from then on.
    pub fn cut_power(&self) {
        self.shared.machine.lock().cut_power();
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.shared.machine.lock().is_off()
    }

    /// Brings the power back: decides what survived. Whatever was open stays dead.
    pub fn restore_power(&self) {
        self.shared.machine.lock().restore_power();
    }

    /// Ends the process that uses the disk, like `kill -9`: files are as it left them, also what is not synced; its
    /// handles stay dead.
    pub fn kill_process(&self) {
        self.shared.machine.lock().restart();
    }

    /// Bytes of all files.
    #[must_use]
    pub fn used(&self) -> usize {
        self.shared.machine.lock().used()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.machine.lock().counters
    }

    /// The contents, all taken as durable.
    #[must_use]
    pub fn image(&self) -> Image {
        self.shared.machine.lock().image()
    }
}
