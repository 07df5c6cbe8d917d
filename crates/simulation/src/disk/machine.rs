//! The state of one disk and of the machine that it is in. All rules of the simulated disk meet here; nothing here is
//! unsafe and nothing knows of C.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::clock::SimulatedClock;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::ffi;

use super::counters::Counters;
use super::crash;
use super::directory::{Directory, FileId};
use super::faults::Faults;
use super::file::File;
use super::locks::{HandleId, Locks};
use super::memory::Region;

/// A SQLite result code other than `SQLITE_OK`.
pub(super) type Code = i32;

/// What SQLite uses a file for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Database,
    Log,
    Journal,
    Temporary,
}

/// An open file, as the machine knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handle {
    pub(super) id: HandleId,
    pub(super) file: FileId,
    pub(super) kind: Kind,
    /// Handles of a machine that lost its power, or of a process that was killed, work no more.
    generation: u64,
    /// Its first sync makes the directory durable too, as SQLite does for logs and journals.
    sync_directory: bool,
}

#[derive(Clone, Debug, Default)]
struct Node {
    file: File,
    locks: Locks,
    regions: Vec<Arc<Region>>,
    /// A sync of this file was acknowledged without being done.
    lied: bool,
    /// Made since the directory was synced.
    fresh: bool,
}

pub(super) struct Machine {
    rng: ChaCha8Rng,
    /// Of its own, so that SQLite's use of randomness changes nothing else.
    randomness: ChaCha8Rng,
    clock: Arc<SimulatedClock>,
    pub(super) faults: Faults,
    directory: Directory,
    nodes: BTreeMap<FileId, Node>,
    next_file: FileId,
    next_handle: HandleId,
    generation: u64,
    /// The power is off: nothing works until it is back.
    off: bool,
    /// Operations left until the power goes off by itself.
    fuse: Option<u64>,
    pub(super) counters: Counters,
}

/// The durable contents of a disk that is at rest.
#[derive(Clone)]
pub struct Image {
    directory: Directory,
    files: BTreeMap<FileId, File>,
    next_file: FileId,
}

/// What a sync will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    Quick,
    /// Others run before it is done.
    Slow,
}

impl Machine {
    pub(super) fn new(seed: u64, clock: Arc<SimulatedClock>, image: Option<Image>) -> Machine {
        let mut machine = Machine {
            rng: ChaCha8Rng::seed_from_u64(seed),
            randomness: ChaCha8Rng::seed_from_u64(!seed),
            clock,
            faults: Faults::default(),
            directory: Directory::default(),
            nodes: BTreeMap::new(),
            next_file: 1,
            next_handle: 1,
            generation: 0,
            off: false,
            fuse: None,
            counters: Counters::default(),
        };
        if let Some(image) = image {
            machine.directory = image.directory;
            machine.next_file = image.next_file;
            machine.nodes =
                image.files.into_iter().map(|(id, file)| (id, Node { file, ..Node::default() })).collect();
        }
        machine
    }

    pub(super) fn image(&self) -> Image {
        let mut directory = self.directory.clone();
        directory.sync();
        let live: Vec<FileId> = directory.files().collect();
        let files = self.nodes.iter().filter(|(id, _)| live.contains(id)).map(|(id, node)| {
            let mut file = node.file.clone();
            file.sync();
            (*id, file)
        });
        Image { files: files.collect(), directory, next_file: self.next_file }
    }

    // The life of the machine.

    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn light_fuse(&mut self, operations: Option<u64>) {
        self.fuse = operations;
    }

    pub(super) fn cut_power(&mut self) {
        self.off = true;
    }

    /// The power is back. What was not durable survived in part or not at all.
    pub(super) fn restore_power(&mut self) {
        for node in self.nodes.values_mut() {
            crash::settle(&mut node.file, &mut self.rng);
            node.file.lose_power();
            node.lied = false;
            node.fresh = false;
        }
        let rng = &mut self.rng;
        self.directory.lose_power(|_| rng.random());
        self.counters.power_cuts += 1;
        self.restart();
    }

    /// The process is gone, and with it its locks and shared memory; files are as it left them.
    pub(super) fn restart(&mut self) {
        self.off = false;
        self.fuse = None;
        self.generation += 1;
        self.nodes.retain(|id, _| self.directory.keeps(*id));
        for node in self.nodes.values_mut() {
            node.locks = Locks::default();
            node.regions = Vec::new();
        }
    }

    /// Counts an operation that changes the disk; an error when the power goes off with it.
    fn operate(&mut self) -> bool {
        self.counters.operations += 1;
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.off = true;
            }
        }
        !self.off
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability)
    }

    // Files.

    pub(super) fn open(
        &mut self,
        name: Option<&str>,
        kind: Kind,
        create: bool,
        exclusive: bool,
    ) -> Result<Handle, Code> {
        if self.off {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let found = name.and_then(|name| self.directory.find(name));
        let file = match found {
            Some(_) if exclusive => return Err(ffi::SQLITE_CANTOPEN),
            Some(file) => file,
            None if !create && name.is_some() => return Err(ffi::SQLITE_CANTOPEN),
            None => {
                if !self.operate() {
                    return Err(ffi::SQLITE_CANTOPEN);
                }
                let file = self.next_file;
                self.next_file += 1;
                self.nodes.insert(file, Node { fresh: name.is_some(), ..Node::default() });
                if let Some(name) = name {
                    self.directory.add(name, file);
                }
                file
            }
        };
        let id = self.next_handle;
        self.next_handle += 1;
        let sync_directory = matches!(kind, Kind::Log | Kind::Journal) && self.nodes[&file].fresh;
        Ok(Handle { id, file, kind, generation: self.generation, sync_directory })
    }

    pub(super) fn close(&mut self, handle: &Handle) {
        if handle.generation != self.generation {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&handle.file) {
            node.locks.forget(handle.id);
        }
        if handle.kind == Kind::Temporary {
            self.nodes.remove(&handle.file);
        }
    }

    /// The file behind a handle, if the machine that opened it still runs.
    fn node(&mut self, handle: &Handle, code: Code) -> Result<&mut Node, Code> {
        if self.off || handle.generation != self.generation {
            return Err(code);
        }
        self.nodes.get_mut(&handle.file).ok_or(code)
    }

    pub(super) fn read(&mut self, handle: &Handle, offset: usize, out: &mut [u8]) -> Result<usize, Code> {
        Ok(self.node(handle, ffi::SQLITE_IOERR_READ)?.file.read(offset, out))
    }

    pub(super) fn len(&mut self, handle: &Handle) -> Result<usize, Code> {
        Ok(self.node(handle, ffi::SQLITE_IOERR_FSTAT)?.file.len())
    }

    pub(super) fn write(&mut self, handle: &Handle, offset: usize, bytes: &[u8]) -> Result<(), Code> {
        let length = self.node(handle, ffi::SQLITE_IOERR_WRITE)?.file.len();
        if handle.kind == Kind::Database {
            self.keep_word();
        }
        let powered = self.operate();
        if !powered && self.rng.random() {
            // It comes too late even to be remembered.
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        let mut code = if powered { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_WRITE };
        let mut count = bytes.len();
        let growth = (offset + count).saturating_sub(length);
        if let Some(room) = self.room()
            && growth > room
        {
            count = (count - growth.min(count) + room).min(count);
            code = ffi::SQLITE_FULL;
            self.counters.full += 1;
        } else if handle.kind != Kind::Temporary && self.chance(self.faults.write_error) {
            count = self.rng.random_range(0..=count);
            code = ffi::SQLITE_IOERR_WRITE;
            self.counters.write_errors += 1;
        }
        let node = self.nodes.get_mut(&handle.file).expect("it was there a moment ago");
        if count > 0 {
            node.file.write(offset, &bytes[..count]);
        }
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
    }

    /// Bytes that may still be allocated.
    fn room(&self) -> Option<usize> {
        let bytes_max = self.faults.bytes_max?;
        let regions = |node: &Node| node.regions.iter().map(|region| region.bytes()).sum::<usize>();
        let used: usize = self.nodes.values().map(|node| node.file.len() + regions(node)).sum();
        Some(bytes_max.saturating_sub(used))
    }

    pub(super) fn used(&self) -> usize {
        self.nodes.values().map(|node| node.file.len()).sum()
    }

    pub(super) fn truncate(&mut self, handle: &Handle, length: usize) -> Result<(), Code> {
        self.node(handle, ffi::SQLITE_IOERR_TRUNCATE)?;
        if handle.kind == Kind::Database {
            self.keep_word();
        }
        let powered = self.operate();
        self.nodes.get_mut(&handle.file).expect("it was there a moment ago").file.truncate(length);
        if powered { Ok(()) } else { Err(ffi::SQLITE_IOERR_TRUNCATE) }
    }

    /// Whether the next sync of this file takes long. To be followed by [`Machine::sync`].
    pub(super) fn begin_sync(&mut self, handle: &Handle) -> Sync {
        let slow = !self.off && handle.generation == self.generation && self.chance(self.faults.slow_sync);
        if slow {
            self.counters.slow_syncs += 1;
            let millis = self.rng.random_range(1..200);
            self.clock.advance(millis * 1_000_000);
            Sync::Slow
        } else {
            Sync::Quick
        }
    }

    pub(super) fn sync(&mut self, handle: &Handle) -> Result<(), Code> {
        self.node(handle, ffi::SQLITE_IOERR_FSYNC)?;
        if !self.operate() {
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        if self.faults.ignore_syncs {
            return Ok(());
        }
        let mut fails = self.chance(self.faults.sync_error);
        if handle.kind == Kind::Database {
            fails |= self.chance(self.faults.file_sync_error);
        }
        let lies = handle.kind == Kind::Log && self.chance(self.faults.log_lies);
        let node = self.nodes.get_mut(&handle.file).expect("it was there a moment ago");
        if fails {
            crash::settle(&mut node.file, &mut self.rng);
            self.counters.sync_errors += 1;
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        if lies && node.file.has_pending() && !node.file.head_is_pending() {
            node.lied = true;
            self.counters.lies += 1;
            return Ok(());
        }
        node.file.sync();
        node.lied = false;
        if handle.sync_directory && node.fresh {
            self.sync_directory();
        }
        Ok(())
    }

    /// Makes durable what was acknowledged without being done.
    fn keep_word(&mut self) {
        for node in self.nodes.values_mut().filter(|node| node.lied) {
            node.file.sync();
            node.lied = false;
        }
    }

    fn sync_directory(&mut self) {
        self.directory.sync();
        for node in self.nodes.values_mut() {
            node.fresh = false;
        }
    }

    pub(super) fn exists(&self, name: &str) -> Result<bool, Code> {
        if self.off {
            return Err(ffi::SQLITE_IOERR_ACCESS);
        }
        // SQLite takes an empty file for none.
        Ok(self.directory.find(name).is_some_and(|file| self.nodes[&file].file.len() > 0))
    }

    pub(super) fn delete(&mut self, name: &str, sync_directory: bool) -> Result<(), Code> {
        if self.off || !self.operate() {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if !self.directory.remove(name) {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        if sync_directory && !self.faults.ignore_syncs {
            self.sync_directory();
        }
        Ok(())
    }

    // Locks and shared memory.

    pub(super) fn lock(&mut self, handle: &Handle, level: i32) -> Result<(), Code> {
        let node = self.node(handle, ffi::SQLITE_IOERR_LOCK)?;
        if node.locks.raise(handle.id, level) { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub(super) fn unlock(&mut self, handle: &Handle, level: i32) {
        if let Ok(node) = self.node(handle, ffi::SQLITE_IOERR_UNLOCK) {
            node.locks.lower(handle.id, level);
        }
    }

    pub(super) fn is_reserved(&mut self, handle: &Handle) -> Result<bool, Code> {
        Ok(self.node(handle, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?.locks.is_reserved())
    }

    pub(super) fn lock_slots(
        &mut self,
        handle: &Handle,
        slots: Range<usize>,
        exclusive: bool,
    ) -> Result<(), Code> {
        let locks = &mut self.node(handle, ffi::SQLITE_IOERR_SHMLOCK)?.locks;
        let taken = if exclusive { locks.exclude(handle.id, slots) } else { locks.share(handle.id, slots) };
        if taken { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub(super) fn unlock_slots(&mut self, handle: &Handle, slots: Range<usize>) {
        if let Ok(node) = self.node(handle, ffi::SQLITE_IOERR_SHMLOCK) {
            node.locks.release(handle.id, slots);
        }
    }

    /// A region of the write-ahead index; `None` if it does not exist and is not to be made.
    pub(super) fn region(
        &mut self,
        handle: &Handle,
        number: usize,
        bytes: usize,
        make: bool,
    ) -> Result<Option<Arc<Region>>, Code> {
        let room = self.room();
        let node = self.node(handle, ffi::SQLITE_IOERR_SHMMAP)?;
        if node.regions.len() <= number {
            if !make {
                return Ok(None);
            }
            // On a real disk the index is a file, which needs space as well.
            let growth = (number + 1 - node.regions.len()) * bytes;
            if room.is_some_and(|room| growth > room) {
                self.counters.full += 1;
                return Err(ffi::SQLITE_IOERR_SHMSIZE);
            }
            node.regions.resize_with(number + 1, || Arc::new(Region::new(bytes)));
        }
        Ok(Some(Arc::clone(&node.regions[number])))
    }

    pub(super) fn forget_regions(&mut self, handle: &Handle) {
        if let Ok(node) = self.node(handle, ffi::SQLITE_IOERR_SHMMAP) {
            node.regions.clear();
        }
    }

    // Time and randomness.

    pub(super) fn sleep(&mut self, micros: u64) {
        self.clock.advance(micros * 1000);
    }

    pub(super) fn clock(&self) -> &Arc<SimulatedClock> {
        &self.clock
    }

    pub(super) fn fill_random(&mut self, out: &mut [u8]) {
        self.randomness.fill_bytes(out);
    }
}
