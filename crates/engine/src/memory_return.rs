//! Gives memory that nobody uses any more back to the system, which allocators by themselves do late or never.
//!
//! There are two: mimalloc for what Rust allocates, and the C library's for what Node and V8 do. Both keep what was freed,
//! for each thread apart. A thread of its own looks after both, because returning memory takes milliseconds. It decides
//! nothing about what is freed.

#![expect(unsafe_code, reason = "the allocators have no other interface")]

use std::cell::Cell;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often what was freed is collected.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long after it was asked for memory is returned: what asks together is served together.
const GATHERING: Duration = Duration::from_millis(500);
/// Larger pieces of the C library's memory are pages of their own, which go back at once. Left to itself, the library takes
/// the largest one freed so far as the measure, up to 32 MiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES_BYTES_MIN: libc::c_int = 256 << 10;
/// Of its other memory it keeps so much at the end of each arena: the compiler's, for one, comes and goes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES_MAX: libc::c_int = 4 << 20;

unsafe extern "C" {
    /// mimalloc's: frees what the calling thread can do without, and returns pages that have been free for a while.
    fn mi_collect(force: bool);
}

/// Goes up when threads are to collect what they can do without.
static ROUND: AtomicU32 = AtomicU32::new(0);
static REQUESTS: OnceLock<Requests> = OnceLock::new();

thread_local! {
    /// The round in which this thread has collected last.
    static COLLECTED: Cell<u32> = const { Cell::new(0) };
}

#[derive(Default)]
struct Requests {
    is_open: Mutex<bool>,
    came: Condvar,
}

/// Tunes the allocators and starts the thread. Once in a process; later calls do nothing.
///
/// # Errors
/// When there can be no more threads.
pub(crate) fn start() -> io::Result<()> {
    if REQUESTS.set(Requests::default()).is_err() {
        return Ok(());
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, on any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX);
    }
    std::thread::Builder::new().name("freshet-memory".into()).spawn(run).map(drop)
}

/// Has the C library's memory returned soon, because a thread of V8 has freed much. Never waits.
pub(crate) fn request() {
    if let Some(requests) = REQUESTS.get() {
        *requests.is_open.lock() = true;
        requests.came.notify_one();
    }
}

/// To be called by a thread that is about to wait.
pub(crate) fn before_waiting() {
    let round = ROUND.load(Ordering::Relaxed);
    if COLLECTED.replace(round) != round {
        collect(false);
    }
}

/// Collects what the calling thread has freed, and with `thoroughly` all that it could still use again at once.
pub(crate) fn collect(thoroughly: bool) {
    // SAFETY: concerns the calling thread's own memory, and such as no thread owns.
    unsafe { mi_collect(thoroughly) }
}

fn run() {
    let requests = REQUESTS.get().expect("set before the thread is started");
    loop {
        let is_requested = {
            let mut is_open = requests.is_open.lock();
            if !*is_open {
                requests.came.wait_for(&mut is_open, INTERVAL);
            }
            std::mem::take(&mut *is_open)
        };
        if is_requested {
            std::thread::sleep(GATHERING);
            trim();
        }
        ROUND.fetch_add(1, Ordering::Relaxed);
        collect(false);
    }
}

fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, on any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
