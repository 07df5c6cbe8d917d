//! The V8 thread of one lane, as other threads see it: how much it works, how much memory it holds, and how it is ended.
//!
//! A thread that is to end is *condemned*: it takes no further call, and Node's main thread is asked to end and replace it.
//! Whoever condemns says why; the first reason counts. V8 could end what a thread runs without the main thread; but then
//! Node, which does not know of it, finds its own bookkeeping of asynchronous calls wrong and ends the process (seen with
//! Node 24). So a thread that has run out of memory waits until the main thread has given the order.

#![expect(unsafe_code, reason = "V8 asks through a C function")]

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::array_buffers::ArrayBufferBound;
use crate::memory_return;
use crate::thread_time::ThreadTime;
use crate::urgency::{ThreadId, Urgency};
use crate::v8_isolate::Isolate;

/// By how much the heap may exceed its limit while what runs in it is being ended: room for the largest single object that
/// V8 makes, of one gibibyte, because many native operations make one before they can be ended.
const LAST_GASP_BYTES: usize = 1280 << 20;
/// How often that is granted. Then V8 ends the process, before the machine runs out of memory.
const LAST_GASPS_MAX: usize = 2;

/// How long a thread without memory waits for the main thread, which has nothing else to do.
const ORDER_TIME_MAX: Duration = Duration::from_secs(2);

/// Why a thread is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Too long in user code.
    UserTimeout,
    /// Too long in all.
    SystemTimeout,
    /// Its heap or its array buffers are full.
    OutOfMemory,
    /// They are full, but more of what is in them was there before the call.
    MemoryWasFull,
}

/// A thread that is being ended, and for the sake of which attempt; without one when it ran nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condemned {
    pub(crate) verdict: Verdict,
    pub(crate) attempt: Option<u64>,
}

/// Asks Node's main thread to end a thread: lane and number of the thread.
pub(crate) type EndThread = Box<dyn Fn(u32, u32) + Send + Sync>;

/// The V8 thread of one lane. Threads come and go; this stays as long as the process.
pub(crate) struct LaneThread {
    lane: u32,
    memory_bytes_max: usize,
    /// Number of the present thread among those of this lane.
    number: AtomicU32,
    time: Mutex<Option<ThreadTime>>,
    /// Its number in the system, and how urgent it is at the moment.
    urgency: Mutex<Option<(ThreadId, Urgency)>>,
    isolate: Mutex<Option<Isolate>>,
    buffers: ArrayBufferBound,
    /// In array buffers when the present attempt began.
    buffer_bytes_before: AtomicUsize,
    last_gasps: AtomicUsize,
    condemned: Mutex<Option<Condemned>>,
    end: OnceLock<EndThread>,
    /// Number of the last thread that the main thread has given the order to end, and the news of it.
    ordered: Mutex<u32>,
    order_given: Condvar,
    /// Number of the attempt that runs; see [`LaneThread::began`].
    attempt: Mutex<Option<u64>>,
}

impl LaneThread {
    pub(crate) fn new(lane: u32, memory_bytes_max: usize) -> Self {
        Self {
            lane,
            memory_bytes_max,
            number: AtomicU32::new(0),
            time: Mutex::default(),
            urgency: Mutex::default(),
            isolate: Mutex::default(),
            buffers: ArrayBufferBound::new(buffers_exhausted),
            buffer_bytes_before: AtomicUsize::new(0),
            last_gasps: AtomicUsize::new(0),
            condemned: Mutex::default(),
            end: OnceLock::new(),
            ordered: Mutex::default(),
            order_given: Condvar::new(),
            attempt: Mutex::default(),
        }
    }

    /// Says how threads are ended.
    pub(crate) fn set_end(&self, end: EndThread) {
        // There is one main thread, which says it once.
        let _ = self.end.set(end);
    }

    /// The calling thread is the lane's from now on.
    pub(crate) fn enter(&'static self, number: u32) {
        self.number.store(number, Ordering::Relaxed);
        self.last_gasps.store(0, Ordering::Relaxed);
        *self.time.lock() = ThreadTime::current();
        *self.urgency.lock() = ThreadId::current().map(|thread| (thread, Urgency::Usual));
        let Some(isolate) = Isolate::current() else {
            tracing::warn!(
                "this Node.js does not offer what it takes to bound memory precisely; a function that exhausts it can \
                 end the engine, which is then started again"
            );
            return;
        };
        let own = std::ptr::from_ref(self).cast::<c_void>();
        // SAFETY: `self` lives as long as the process, and is what the callback expects.
        unsafe { isolate.on_near_heap_limit(near_heap_limit, own.cast_mut()) };
        if let Some(allocator) = isolate.array_buffer_allocator() {
            // SAFETY: the calling thread's own allocator; bound and owner live as long as the process.
            unsafe { self.buffers.take_over(allocator, self.memory_bytes_max, own) };
        }
        *self.isolate.lock() = Some(isolate);
    }

    /// Whether the present thread's array buffers are seen; to be asked after it has made one.
    pub(crate) fn counts_array_buffers(&self) -> bool {
        self.buffers.is_counting()
    }

    /// The isolate is about to go. On its own thread.
    pub(crate) fn leave(&self) {
        *self.isolate.lock() = None;
    }

    /// An attempt begins.
    pub(crate) fn began(&self, attempt: Option<u64>) {
        *self.attempt.lock() = attempt;
        self.buffer_bytes_before.store(self.buffers.bytes(), Ordering::Relaxed);
    }

    /// Processor time of the present thread, where the system tells.
    pub(crate) fn used(&self) -> Option<Duration> {
        self.time.lock().as_ref().and_then(ThreadTime::used)
    }

    /// Makes the present thread as urgent as what it does.
    pub(crate) fn set_urgency(&self, urgency: Urgency) {
        if let Some((thread, present)) = self.urgency.lock().as_mut()
            && *present != urgency
        {
            *present = urgency;
            thread.set_urgency(urgency);
        }
    }

    /// Bytes outside of the heap that its objects keep, where this Node tells.
    pub(crate) fn external_bytes(&self) -> Option<usize> {
        (*self.isolate.lock())?.external_bytes()
    }

    /// How much memory its heap may hold, and as much again its array buffers, in bytes.
    pub(crate) fn memory_bytes_max(&self) -> usize {
        self.memory_bytes_max
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.condemned.lock().is_some()
    }

    /// Ends the thread, unless that is under way already. From any thread, also in the middle of a garbage collection.
    pub(crate) fn condemn(&self, verdict: Verdict, attempt: Option<u64>) {
        {
            let mut condemned = self.condemned.lock();
            if condemned.is_some() {
                return;
            }
            *condemned = Some(Condemned { verdict, attempt });
        }
        if let Some(end) = self.end.get() {
            end(self.lane, self.number.load(Ordering::Relaxed));
        }
    }

    /// The main thread has given the order: the thread ends as soon as V8 looks.
    pub(crate) fn order_was_given(&self, number: u32) {
        *self.ordered.lock() = number;
        self.order_given.notify_all();
    }

    /// Waits on the thread itself until the order to end it was given, so that it does not go on to take memory.
    fn await_order(&self) {
        let number = self.number.load(Ordering::Relaxed);
        let deadline = Instant::now() + ORDER_TIME_MAX;
        let mut ordered = self.ordered.lock();
        while *ordered != number {
            if self.order_given.wait_until(&mut ordered, deadline).timed_out() {
                return;
            }
        }
    }

    /// The thread is gone. Returns why, if it was ended.
    pub(crate) fn ended(&self) -> Option<Condemned> {
        *self.time.lock() = None;
        *self.urgency.lock() = None;
        *self.isolate.lock() = None;
        memory_return::request();
        self.condemned.lock().take()
    }

    /// Collects the garbage of what has run in the thread, for milliseconds, and has it returned to the system. On the
    /// thread itself, between calls.
    pub(crate) fn tidy(&self) {
        let began = Instant::now();
        let isolate = *self.isolate.lock();
        if let Some(isolate) = isolate {
            isolate.collect_garbage();
        }
        memory_return::collect(true);
        memory_return::request();
        tracing::debug!(lane = self.lane, took = ?began.elapsed(), "a lane gave memory back");
    }

    /// The heap is almost full, on the thread itself. Returns the new limit.
    fn heap_is_full(&self, limit: usize) -> usize {
        // Whether earlier calls had filled it is known to the main thread: see `runtime/src/heap.ts`.
        let attempt = *self.attempt.lock();
        self.condemn(Verdict::OutOfMemory, attempt);
        self.await_order();
        if self.last_gasps.fetch_add(1, Ordering::Relaxed) < LAST_GASPS_MAX {
            limit + LAST_GASP_BYTES
        } else {
            limit
        }
    }

    fn buffers_are_full(&self) {
        let before = self.buffer_bytes_before.load(Ordering::Relaxed);
        let verdict =
            if before > self.memory_bytes_max / 2 { Verdict::MemoryWasFull } else { Verdict::OutOfMemory };
        let attempt = *self.attempt.lock();
        self.condemn(verdict, attempt);
        self.await_order();
    }
}

unsafe extern "C" fn near_heap_limit(data: *mut c_void, limit: usize, _initial: usize) -> usize {
    // SAFETY: registered with a `LaneThread` that lives as long as the process.
    unsafe { &*data.cast::<LaneThread>() }.heap_is_full(limit)
}

fn buffers_exhausted(owner: *const c_void) {
    // SAFETY: taken over with a `LaneThread` that lives as long as the process.
    unsafe { &*owner.cast::<LaneThread>() }.buffers_are_full();
}
