//! Notes which thread a fatal signal hits, before it ends the process as it would have anyway.
//!
//! V8 ends the process when it cannot go on, on the thread whose code it was running: with that, the function is known
//! that did it, and no other is suspected. The handlers do nothing but store three numbers; whoever handled the signals
//! before (WebAssembly's checks of memory use one of them) still does.

#![expect(unsafe_code, reason = "signal handlers")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::flight_record::{FlightRecord, Header};

const SIGNALS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGFPE];
/// What a handler needs of stack; V8's own trap handler runs on it too.
const STACK_BYTES: usize = 128 * 1024;

static HEADER: AtomicPtr<Header> = AtomicPtr::new(std::ptr::null_mut());
/// Who handled the signals before, in the order of `SIGNALS`.
static BEFORE: OnceLock<[Option<libc::sigaction>; SIGNALS.len()]> = OnceLock::new();

/// The calling thread, as the system numbers it; 0 where it does not.
pub(crate) fn thread_id() -> u32 {
    #[cfg(target_os = "linux")]
    // SAFETY: only asks.
    return unsafe { libc::gettid() } as u32;
    #[cfg(not(target_os = "linux"))]
    0
}

/// From now on crashes are noted in `record`.
pub(crate) fn note_in(record: Arc<FlightRecord>) {
    let header = std::ptr::from_ref(record.header()).cast_mut();
    // The handlers may use it until the process ends.
    std::mem::forget(record);
    HEADER.store(header, Ordering::Release);
    BEFORE.get_or_init(|| {
        SIGNALS.map(|signal| {
            // SAFETY: zero is a value of every field. The handler has the signature that `SA_SIGINFO` asks for.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction =
                    on_signal as extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&raw mut action.sa_mask);
                let mut before: libc::sigaction = std::mem::zeroed();
                (libc::sigaction(signal, &raw const action, &raw mut before) == 0).then_some(before)
            }
        })
    });
}

/// Gives the calling thread a stack of its own for handlers, so that running out of stack is noted as well.
pub(crate) fn prepare_thread() {
    // SAFETY: the memory is left for as long as the process lives; the thread may end at any time. Untouched pages cost
    // nothing.
    unsafe {
        let mut present: libc::stack_t = std::mem::zeroed();
        if libc::sigaltstack(std::ptr::null(), &raw mut present) != 0
            || present.ss_flags & libc::SS_DISABLE == 0
        {
            return;
        }
        let memory = libc::mmap(
            std::ptr::null_mut(),
            STACK_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON,
            -1,
            0,
        );
        if memory != libc::MAP_FAILED {
            let stack = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: STACK_BYTES };
            libc::sigaltstack(&raw const stack, std::ptr::null_mut());
        }
    }
}

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: null or a header that is mapped until the process ends.
    let header = unsafe { HEADER.load(Ordering::Acquire).as_ref() };
    let is_first = header.is_some_and(|header| note(header, signal));
    let index = SIGNALS.iter().position(|known| *known == signal);
    let before = index.and_then(|index| BEFORE.get()?[index]);
    let handler = before.map_or(libc::SIG_DFL, |before| before.sa_sigaction);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // SAFETY: what the system does by default; the signal is delivered again when this handler returns.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
        return;
    }
    // SAFETY: a handler that somebody installed, called as it asked for.
    unsafe {
        if before.is_some_and(|before| before.sa_flags & libc::SA_SIGINFO != 0) {
            std::mem::transmute::<usize, extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void)>(handler)(
                signal, info, context,
            );
        } else {
            std::mem::transmute::<usize, extern "C" fn(i32)>(handler)(signal);
        }
    }
    // A handler that gives up leaves the signal to the system, which ends the process when this one returns. Otherwise it
    // was part of normal work.
    if is_first
        && !is_left_to_the_system(signal)
        && let Some(header) = header
    {
        header.crash_signal.store(0, Ordering::Release);
    }
}

fn is_left_to_the_system(signal: i32) -> bool {
    // SAFETY: only asks; zero is a value of every field.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut present) == 0
            && present.sa_sigaction == libc::SIG_DFL
    }
}

/// Notes the first fatal signal; those that follow are its consequences.
fn note(header: &Header, signal: i32) -> bool {
    let is_first =
        header.crash_signal.compare_exchange(0, signal as u32, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    if is_first {
        header.crash_thread.store(thread_id(), Ordering::Relaxed);
        // SAFETY: only asks, and may be asked in a handler.
        let now = unsafe { libc::time(std::ptr::null_mut()) };
        header.crash_time_s.store(u32::try_from(now).unwrap_or(0), Ordering::Relaxed);
    }
    is_first
}
