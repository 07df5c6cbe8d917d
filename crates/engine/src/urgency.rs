//! Makes a thread that works for long give way to those that work for a moment.
//!
//! A request passes through several threads, each of which works for a fraction of a millisecond. Beside a function that
//! computes for seconds, each of them would wait until that has had its turn of some milliseconds. A thread that asks for
//! longer turns is interrupted by whoever has shorter ones (Linux 6.12 and newer; older ones take no notice). Besides it
//! gets a smaller part of the processor, where the system lets it take that back: only with `CAP_SYS_NICE` or a limit on
//! niceness that says so.
//!
//! To give the other threads shorter turns than usual instead does more for their latency, but they then interrupt each
//! other too, which took a tenth more processor time for each call.
//!
//! Nothing depends on any of this: where the system refuses, threads go on as they are.

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "the C library has no function for these system calls")
)]

/// How urgent what a thread does is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// As the engine was started.
    Usual,
    /// It takes long anyway.
    Patient,
}

/// A thread, by its number in the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadId(u32);

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::OnceLock;

    use super::{ThreadId, Urgency};

    /// A turn of a thread that may wait.
    const PATIENT_TURN_NS: u64 = 10_000_000;
    /// By how much a patient thread is nicer than the others: it gets half of what one of them gets.
    const PATIENT_NICENESS: i32 = 3;
    /// What the system takes.
    const NICENESS_MAX: i32 = 19;

    /// `struct sched_attr` of Linux in its first version, which every version takes.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }

    /// What the engine was started with.
    struct Start {
        niceness: i32,
        /// Whether a thread that has become nicer can take it back.
        can_take_back: bool,
    }

    impl ThreadId {
        /// The calling thread.
        pub(crate) fn current() -> Option<Self> {
            // SAFETY: takes and touches nothing.
            u32::try_from(unsafe { libc::gettid() }).ok().map(Self)
        }

        /// Tells the system.
        pub(crate) fn set_urgency(self, urgency: Urgency) {
            let Some(start) = start() else { return };
            let niceness = match urgency {
                Urgency::Patient if start.can_take_back => start.niceness + PATIENT_NICENESS,
                _ => start.niceness,
            };
            let turn_ns = match urgency {
                Urgency::Usual => 0,
                Urgency::Patient => PATIENT_TURN_NS,
            };
            // Refused when the thread has ended, or where a container allows no such call: it goes on as it is.
            let _ = set(self, niceness.min(NICENESS_MAX), turn_ns);
        }
    }

    fn set(thread: ThreadId, nice: i32, turn_ns: u64) -> bool {
        let attributes = Attributes {
            size: size_of::<Attributes>() as u32,
            policy: libc::SCHED_OTHER as u32,
            nice,
            runtime_ns: turn_ns,
            ..Attributes::default()
        };
        // SAFETY: the system reads as many bytes as the structure says that it has.
        unsafe { libc::syscall(libc::SYS_sched_setattr, thread.0, &raw const attributes, 0) == 0 }
    }

    /// Niceness of a thread.
    pub(super) fn niceness(thread: ThreadId) -> Option<i32> {
        let mut attributes = Attributes::default();
        // SAFETY: the system writes no more bytes than it is told.
        let result = unsafe {
            libc::syscall(
                libc::SYS_sched_getattr,
                thread.0,
                &raw mut attributes,
                size_of::<Attributes>() as u32,
                0,
            )
        };
        (result == 0 && attributes.policy == libc::SCHED_OTHER as u32).then_some(attributes.nice)
    }

    /// Nothing where the operator has chosen another policy, which is not for the engine to change.
    fn start() -> Option<&'static Start> {
        static START: OnceLock<Option<Start>> = OnceLock::new();
        START
            .get_or_init(|| {
                // On a thread that nobody needs, because it may have to stay as it is then.
                let probe = std::thread::spawn(|| {
                    let own = ThreadId::current()?;
                    let niceness = niceness(own)?;
                    let can_take_back =
                        niceness < NICENESS_MAX && set(own, niceness + 1, 0) && set(own, niceness, 0);
                    Some(Start { niceness, can_take_back })
                });
                probe.join().ok().flatten()
            })
            .as_ref()
    }

    #[cfg(test)]
    pub(super) fn can_take_back() -> bool {
        start().is_some_and(|start| start.can_take_back)
    }
}

#[cfg(not(target_os = "linux"))]
impl ThreadId {
    /// The calling thread.
    pub(crate) fn current() -> Option<Self> {
        None
    }

    /// Does nothing on this system.
    pub(crate) fn set_urgency(self, _urgency: Urgency) {
        let _ = self.0;
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_gave_way_can_take_that_back() {
        std::thread::spawn(|| {
            let own = ThreadId::current().unwrap();
            let before = linux::niceness(own);
            own.set_urgency(Urgency::Patient);
            let patient = linux::niceness(own);
            assert_eq!(patient > before, linux::can_take_back() && before < Some(19));
            own.set_urgency(Urgency::Usual);
            assert_eq!(linux::niceness(own), before);
        })
        .join()
        .unwrap();
    }
}
