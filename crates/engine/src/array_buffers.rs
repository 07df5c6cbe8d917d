//! Counts and bounds the array buffers of one lane.
//!
//! V8 knows no limit for them: a call that fills one typed array after the other, or one of eight gigabytes, takes the
//! machine's memory. Looking from outside comes too late for the second, because filling is one native operation. So the
//! lane's allocator is given a table of methods of our own, which ask the bound first and pass everything on otherwise.
//!
//! The layout is that of the C++ ABI which Linux and macOS share: an object begins with the address of its table of
//! methods. Allocation of zeroed and of raw memory and freeing have been the methods after the two destructors since
//! V8 4. [`ArrayBufferBound::is_counting`] tells whether that holds for the Node at hand.

#![expect(unsafe_code, reason = "there is no other way to an allocator that exists already")]

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What lies before the first method: the offset to the whole object, and its type.
const PREFIX: usize = 2;
/// More methods than any version has; what follows the last one is copied and never called.
const METHODS: usize = 14;
const ALLOCATE: usize = 2;
const ALLOCATE_UNINITIALIZED: usize = 3;
const FREE: usize = 4;
/// V8 collects garbage between attempts to allocate and gives up after the fourth.
const REFUSALS_BEFORE_FAILURE: usize = 4;

type Allocate = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void, *mut c_void, usize);

/// The array buffers of one lane: what they hold and what they may.
#[derive(Debug)]
pub(crate) struct ArrayBufferBound {
    bytes_max: AtomicUsize,
    bytes: AtomicUsize,
    /// Refusals since the last success.
    refusals: AtomicUsize,
    /// Told that V8 is about to give up.
    exhausted: fn(owner: *const c_void),
    owner: AtomicUsize,
}

/// A table of methods in the place of the allocator's own.
#[repr(C)]
struct Table {
    bound: *const ArrayBufferBound,
    original: *const usize,
    prefix: [usize; PREFIX],
    methods: [usize; METHODS],
}

impl ArrayBufferBound {
    /// A bound that calls `exhausted` on the lane's thread when an allocation fails for good.
    pub(crate) fn new(exhausted: fn(owner: *const c_void)) -> Self {
        Self {
            bytes_max: AtomicUsize::new(usize::MAX),
            bytes: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            exhausted,
            owner: AtomicUsize::new(0),
        }
    }

    /// Bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether allocations of the allocator that was taken over are seen.
    pub(crate) fn is_counting(&self) -> bool {
        self.bytes() > 0
    }

    /// Takes over an allocator that nobody has taken over yet, and counts from zero; `owner` is what `exhausted` gets.
    ///
    /// # Safety
    /// `allocator` is a `v8::ArrayBuffer::Allocator` of the calling thread's isolate. `self` and `owner` live as long as
    /// the process.
    pub(crate) unsafe fn take_over(&self, allocator: *mut c_void, bytes_max: usize, owner: *const c_void) {
        self.bytes.store(0, Ordering::Relaxed);
        self.refusals.store(0, Ordering::Relaxed);
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        self.owner.store(owner as usize, Ordering::Relaxed);
        // SAFETY: an object with virtual methods begins with the address of its first one. The words around are part of
        // the read-only data of `node`, which is megabytes long.
        unsafe {
            let slot = allocator.cast::<*const usize>();
            let original = *slot;
            let mut table = Box::new(Table {
                bound: self,
                original,
                prefix: std::ptr::read(original.sub(PREFIX).cast()),
                methods: std::ptr::read(original.cast()),
            });
            table.methods[ALLOCATE] = allocate as Allocate as usize;
            table.methods[ALLOCATE_UNINITIALIZED] = allocate_uninitialized as Allocate as usize;
            table.methods[FREE] = free as Free as usize;
            // Left for as long as the process lives: buffers may outlive their thread. It is 150 bytes for each thread.
            let table = Box::leak(table);
            *slot = table.methods.as_ptr();
        }
    }

    fn may_have(&self, length: usize) -> bool {
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        if self.bytes().saturating_add(length) <= bytes_max {
            self.refusals.store(0, Ordering::Relaxed);
            return true;
        }
        if self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSALS_BEFORE_FAILURE || length > bytes_max
        {
            (self.exhausted)(self.owner.load(Ordering::Relaxed) as *const c_void);
        }
        false
    }
}

/// The table that an allocator was given, and so the bound.
unsafe fn table<'a>(allocator: *mut c_void) -> &'a Table {
    // SAFETY: these functions are called through a `Table` only, which is never freed.
    unsafe {
        let methods = *allocator.cast::<*const u8>();
        &*methods.sub(std::mem::offset_of!(Table, methods)).cast::<Table>()
    }
}

unsafe fn allocate_with(allocator: *mut c_void, length: usize, method: usize) -> *mut c_void {
    // SAFETY: see `table`; the original method has this signature.
    unsafe {
        let table = table(allocator);
        let bound = &*table.bound;
        if !bound.may_have(length) {
            return std::ptr::null_mut();
        }
        let original = std::mem::transmute::<usize, Allocate>(*table.original.add(method));
        let memory = original(allocator, length);
        if !memory.is_null() {
            bound.bytes.fetch_add(length, Ordering::Relaxed);
        }
        memory
    }
}

unsafe extern "C" fn allocate(allocator: *mut c_void, length: usize) -> *mut c_void {
    // SAFETY: called by V8 as the method that it stands for.
    unsafe { allocate_with(allocator, length, ALLOCATE) }
}

unsafe extern "C" fn allocate_uninitialized(allocator: *mut c_void, length: usize) -> *mut c_void {
    // SAFETY: called by V8 as the method that it stands for.
    unsafe { allocate_with(allocator, length, ALLOCATE_UNINITIALIZED) }
}

unsafe extern "C" fn free(allocator: *mut c_void, memory: *mut c_void, length: usize) {
    // SAFETY: called by V8 as the method that it stands for, perhaps from another thread; the counter is atomic.
    unsafe {
        let table = table(allocator);
        // Buffers that were there before are not in the count.
        let _ = (*table.bound)
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| Some(bytes.saturating_sub(length)));
        let original = std::mem::transmute::<usize, Free>(*table.original.add(FREE));
        original(allocator, memory, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    static EXHAUSTED: AtomicBool = AtomicBool::new(false);

    /// An object as C++ has it: a table of methods in the midst of other data.
    #[repr(C)]
    struct Object {
        methods: *const usize,
    }

    unsafe extern "C" fn plain_allocate(_: *mut c_void, length: usize) -> *mut c_void {
        // SAFETY: a plain allocation.
        unsafe { libc::calloc(1, length) }
    }

    unsafe extern "C" fn plain_free(_: *mut c_void, memory: *mut c_void, _: usize) {
        // SAFETY: what `plain_allocate` gave.
        unsafe { libc::free(memory) }
    }

    #[test]
    fn what_exceeds_the_bound_is_refused_and_freed_memory_counts_no_more() {
        let mut data = [0_usize; PREFIX + METHODS];
        data[PREFIX + ALLOCATE] = plain_allocate as Allocate as usize;
        data[PREFIX + ALLOCATE_UNINITIALIZED] = plain_allocate as Allocate as usize;
        data[PREFIX + FREE] = plain_free as Free as usize;
        let mut object = Object { methods: &raw const data[PREFIX] };
        let allocator = (&raw mut object).cast::<c_void>();
        let bound: &'static ArrayBufferBound =
            Box::leak(Box::new(ArrayBufferBound::new(|_| EXHAUSTED.store(true, Ordering::Relaxed))));
        // SAFETY: the object is laid out as the ABI has it, and the bound lives on.
        unsafe {
            bound.take_over(allocator, 1000, std::ptr::null());
            let call = |method: usize| std::mem::transmute::<usize, Allocate>(*object.methods.add(method));
            let first = call(ALLOCATE)(allocator, 600);
            assert!(!first.is_null());
            assert_eq!(bound.bytes(), 600);
            for _ in 0..REFUSALS_BEFORE_FAILURE - 1 {
                assert!(call(ALLOCATE_UNINITIALIZED)(allocator, 600).is_null());
                assert!(!EXHAUSTED.load(Ordering::Relaxed));
            }
            assert!(call(ALLOCATE_UNINITIALIZED)(allocator, 600).is_null());
            assert!(EXHAUSTED.load(Ordering::Relaxed));
            std::mem::transmute::<usize, Free>(*object.methods.add(FREE))(allocator, first, 600);
            assert_eq!(bound.bytes(), 0);
            let second = call(ALLOCATE)(allocator, 1000);
            assert!(!second.is_null());
            std::mem::transmute::<usize, Free>(*object.methods.add(FREE))(allocator, second, 1000);
        }
    }
}
