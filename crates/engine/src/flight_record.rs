//! What lanes are running, in a file that outlives the process, so that the engine which is started after a crash knows
//! what the crash may have come from.
//!
//! The file is mapped into memory: noting a call costs a copy of its name, and what is noted survives whatever ends the
//! process, except the loss of power. It says in which start of the machine and at which state of the kernel's count of
//! processes killed for lack of memory it was opened, so that a killed engine can be told from one that was stopped by
//! its operator. Nothing here decides what a crash means.
//!
//! ```text
//! header   magic, boot, count of out-of-memory kills, state, signal and thread of a crash
//! lane     thread, depth of the call stack, when the call began, one name for each depth
//! ```

#![expect(
    unsafe_code,
    reason = "the process may end at any instruction, so the record lives in mapped memory"
)]

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use freshet_functions::quarantine::{Accident, RunningFunction};
use memmap2::MmapRaw;

const MAGIC: u64 = u64::from_le_bytes(*b"FRFLIGH1");
const LANES_MAX: usize = 256;
/// A call and those nested in it.
const DEPTH_MAX: usize = 9;
/// Bytes of a function's name; longer ones are cut, and then match no function.
const NAME_BYTES_MAX: usize = 254;
const CLOSED: u32 = 0;
const OPEN: u32 = 1;

#[repr(C)]
pub(crate) struct Header {
    magic: u64,
    /// Of the kernel's name for this start of the machine.
    boot: u64,
    oom_kills: u64,
    lanes: u64,
    state: AtomicU32,
    /// Signal that ended the process, 0 for none.
    pub(crate) crash_signal: AtomicU32,
    /// Thread that caused it.
    pub(crate) crash_thread: AtomicU32,
    /// When, in seconds since the Unix epoch.
    pub(crate) crash_time_s: AtomicU32,
}

#[repr(C)]
struct Name {
    length: u16,
    text: [u8; NAME_BYTES_MAX],
}

#[repr(C)]
struct LaneEntry {
    thread: AtomicU32,
    /// Functions on the call stack; 0 while nothing runs.
    depth: AtomicU32,
    since_ms: AtomicU64,
    names: [Name; DEPTH_MAX],
}

/// The record of the running engine.
pub(crate) struct FlightRecord {
    map: MmapRaw,
    lanes: usize,
}

/// One lane's part of the record; written by whoever runs its calls, one at a time.
pub(crate) struct LaneRecord {
    record: Arc<FlightRecord>,
    lane: usize,
}

impl FlightRecord {
    /// Begins the record of an engine with so many lanes; what an earlier engine wrote is gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn create(path: &Path, lanes: usize) -> io::Result<Arc<Self>> {
        let lanes = lanes.min(LANES_MAX);
        // A file of its own: a process that has not quite ended may still have the old one mapped.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let bytes = size_of::<Header>() + lanes * size_of::<LaneEntry>();
        file.set_len(bytes as u64)?;
        let map = MmapRaw::map_raw(&file)?;
        let header = Header {
            magic: MAGIC,
            boot: boot(),
            oom_kills: oom_kills(),
            lanes: lanes as u64,
            state: AtomicU32::new(OPEN),
            crash_signal: AtomicU32::new(0),
            crash_thread: AtomicU32::new(0),
            crash_time_s: AtomicU32::new(0),
        };
        // SAFETY: the mapping is that long, page-aligned, and nobody else's yet.
        unsafe { map.as_mut_ptr().cast::<Header>().write(header) };
        Ok(Arc::new(Self { map, lanes }))
    }

    /// What the record of an earlier engine says of its end; `None` when that was no accident, or nobody can tell.
    pub(crate) fn accident(path: &Path) -> Option<Accident> {
        let bytes = fs::read(path).ok()?;
        let lanes = bytes.len().checked_sub(size_of::<Header>())? / size_of::<LaneEntry>();
        // SAFETY: read without regard to alignment; every pattern of bits is a value of these types.
        let header: Header = unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) };
        if header.magic != MAGIC || header.boot != boot() || header.state.into_inner() != OPEN {
            return None;
        }
        let (signal, thread) = (header.crash_signal.into_inner(), header.crash_thread.into_inner());
        let mut accident = Accident {
            at_ms: u64::from(header.crash_time_s.into_inner()) * 1000,
            how: describe_signal(signal),
            culprit: None,
            running: Vec::new(),
        };
        if signal == 0 {
            if oom_kills() <= header.oom_kills {
                return None;
            }
            accident.how = "it was killed because the machine was out of memory".into();
        }
        if accident.at_ms == 0 {
            accident.at_ms = now_ms();
        }
        for lane in 0..lanes.min(header.lanes as usize) {
            let offset = size_of::<Header>() + lane * size_of::<LaneEntry>();
            // SAFETY: as above; the length was divided.
            let entry: LaneEntry = unsafe { std::ptr::read_unaligned(bytes[offset..].as_ptr().cast()) };
            let depth = entry.depth.into_inner() as usize;
            let Some(name) = depth.checked_sub(1).and_then(|innermost| entry.names.get(innermost)) else {
                continue;
            };
            let length = usize::from(name.length).min(NAME_BYTES_MAX);
            let function = String::from_utf8_lossy(&name.text[..length]).into_owned();
            if signal != 0 && thread != 0 && entry.thread.into_inner() == thread {
                accident.culprit = Some(function.clone());
            }
            accident.running.push(RunningFunction { function, since_ms: entry.since_ms.into_inner() });
        }
        Some(accident)
    }

    /// The engine ends in good order.
    pub(crate) fn close(&self) {
        self.header().state.store(CLOSED, Ordering::Release);
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    pub(crate) fn lane(self: &Arc<Self>, lane: usize) -> LaneRecord {
        assert!(lane < self.lanes, "the record has room for {} lanes", self.lanes);
        LaneRecord { record: self.clone(), lane }
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: written by `create`; it changes through atomics only.
        unsafe { &*self.map.as_ptr().cast::<Header>() }
    }

    fn entry(&self, lane: usize) -> *mut LaneEntry {
        // SAFETY: `lane` was checked against the length of the mapping.
        unsafe { self.map.as_mut_ptr().add(size_of::<Header>()).cast::<LaneEntry>().add(lane) }
    }
}

impl LaneRecord {
    /// The calling thread is the lane's from now on.
    pub(crate) fn enter(&self) {
        self.entry().thread.store(crate::crash_signals::thread_id(), Ordering::Relaxed);
    }

    /// A call begins.
    pub(crate) fn begin(&self, module_path: &str, export_name: &str) {
        let entry = self.entry();
        entry.depth.store(0, Ordering::Release);
        entry.since_ms.store(now_ms(), Ordering::Relaxed);
        self.push(module_path, export_name);
    }

    /// A nested call begins.
    pub(crate) fn push(&self, module_path: &str, export_name: &str) {
        let depth = self.entry().depth.load(Ordering::Relaxed) as usize;
        if depth < DEPTH_MAX {
            let mut name = Name { length: 0, text: [0; NAME_BYTES_MAX] };
            let mut length = 0;
            for part in [module_path, ":", export_name] {
                let part = part.as_bytes();
                let room = part.len().min(NAME_BYTES_MAX - length);
                name.text[length..length + room].copy_from_slice(&part[..room]);
                length += room;
            }
            name.length = length as u16;
            // SAFETY: inside the entry; this thread alone writes it, and nobody reads it while the process lives.
            unsafe { (&raw mut (*self.record.entry(self.lane)).names[depth]).write(name) };
        }
        self.entry().depth.store(depth as u32 + 1, Ordering::Release);
    }

    /// The innermost nested call ends.
    pub(crate) fn pop(&self) {
        let depth = self.entry().depth.load(Ordering::Relaxed);
        self.entry().depth.store(depth.saturating_sub(1), Ordering::Release);
    }

    /// Nothing runs any more.
    pub(crate) fn end(&self) {
        self.entry().depth.store(0, Ordering::Release);
    }

    fn entry(&self) -> &LaneEntry {
        // SAFETY: a mapped file of zeroes or of what was written there; it changes through atomics only, apart from the
        // names, of which no reference is used.
        unsafe { &*self.record.entry(self.lane) }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// A number for this start of the machine; 0 where the system does not tell.
fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    u64::from_str_radix(&id.replace('-', "").chars().take(16).collect::<String>(), 16).unwrap_or(0)
}

/// Processes that the kernel has killed because memory ran out: all of them, or those of this container.
fn oom_kills() -> u64 {
    ["/proc/vmstat", "/sys/fs/cgroup/memory.events"]
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok())
        })
        .max()
        .unwrap_or(0)
}

fn describe_signal(signal: u32) -> String {
    let name = match signal as i32 {
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGTRAP => " (SIGTRAP)",
        libc::SIGFPE => " (SIGFPE)",
        _ => "",
    };
    format!("signal {signal}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(record: &FlightRecord, thread: u32) {
        let header = record.header();
        header.crash_signal.store(libc::SIGABRT as u32, Ordering::Relaxed);
        header.crash_thread.store(thread, Ordering::Relaxed);
    }

    #[test]
    fn a_crash_in_a_lanes_thread_is_blamed_on_the_innermost_function_that_ran_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flight-record");
        let record = FlightRecord::create(&path, 3).unwrap();
        for (number, function) in ["one", "two"].into_iter().enumerate() {
            let lane = record.lane(number);
            lane.entry().thread.store(100 + number as u32, Ordering::Relaxed);
            lane.begin("messages.js", function);
        }
        record.lane(1).push("deep.js", "inner");
        crash(&record, 101);
        let accident = FlightRecord::accident(&path).unwrap();
        assert_eq!(accident.how, "signal 6 (SIGABRT)");
        assert_eq!(accident.culprit.as_deref(), Some("deep.js:inner"));
        let running: Vec<&str> = accident.running.iter().map(|running| running.function.as_str()).collect();
        assert_eq!(running, ["messages.js:one", "deep.js:inner"]);
        record.lane(1).pop();
        assert_eq!(FlightRecord::accident(&path).unwrap().culprit.as_deref(), Some("messages.js:two"));
        record.lane(1).end();
        assert_eq!(FlightRecord::accident(&path).unwrap().culprit, None);
    }

    #[test]
    fn an_engine_that_ended_in_good_order_or_was_killed_by_its_operator_had_no_accident() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flight-record");
        assert!(FlightRecord::accident(&path).is_none());
        let record = FlightRecord::create(&path, 1).unwrap();
        record.lane(0).begin("a.js", "b");
        // Killed: no signal was noted.
        assert!(FlightRecord::accident(&path).is_none());
        crash(&record, 1);
        assert!(FlightRecord::accident(&path).is_some());
        record.close();
        assert!(FlightRecord::accident(&path).is_none());
        fs::write(&path, "something else").unwrap();
        assert!(FlightRecord::accident(&path).is_none());
    }

    #[test]
    fn names_that_are_too_long_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flight-record");
        let record = FlightRecord::create(&path, 1).unwrap();
        let lane = record.lane(0);
        lane.begin(&"m".repeat(300), "f");
        for _ in 0..20 {
            lane.push("a.js", "b");
        }
        crash(&record, 1);
        // Deeper than the record goes: nobody is blamed.
        assert!(FlightRecord::accident(&path).unwrap().running.is_empty());
        for _ in 0..20 {
            lane.pop();
        }
        assert_eq!(FlightRecord::accident(&path).unwrap().running[0].function.len(), NAME_BYTES_MAX);
    }
}
