//! How much processor time a lane's thread has used, seen from another thread.
//!
//! A limit on user time is a limit on what code does, not on how busy the machine is. Where the system does not tell
//! (it has no `/proc`), callers go by the wall clock.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A thread, as the system knows it.
#[derive(Clone, Debug)]
pub(crate) struct ThreadTime {
    /// Its first number is the time on a processor in nanoseconds.
    statistics: PathBuf,
}

impl ThreadTime {
    /// The calling thread; `None` where the system does not tell.
    pub(crate) fn current() -> Option<Self> {
        let statistics =
            PathBuf::from("/proc").join(fs::read_link("/proc/thread-self").ok()?).join("schedstat");
        let thread = Self { statistics };
        thread.used()?;
        Some(thread)
    }

    /// Processor time since the thread began; `None` when it has ended.
    pub(crate) fn used(&self) -> Option<Duration> {
        let text = fs::read_to_string(&self.statistics).ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_thread_that_waits_uses_no_time_and_one_that_works_does() {
        let (sender, measured) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<()>();
        let worker = std::thread::spawn(move || {
            let time = ThreadTime::current().unwrap();
            let before = time.used().unwrap();
            std::thread::sleep(Duration::from_millis(100));
            let rested = time.used().unwrap();
            let started = Instant::now();
            while time.used().unwrap() - rested < Duration::from_millis(50) {
                assert!(started.elapsed() < Duration::from_secs(30));
            }
            sender.send((time, before, rested)).unwrap();
            finished.recv().unwrap();
        });
        let (time, before, rested) = measured.recv().unwrap();
        assert!(rested - before < Duration::from_millis(50), "{before:?} {rested:?}");
        assert!(time.used().unwrap() - rested >= Duration::from_millis(50));
        finish.send(()).unwrap();
        worker.join().unwrap();
    }
}
