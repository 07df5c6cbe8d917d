//! A handful of V8's own functions, which every `node` exports and Node-API does not offer: hearing that a heap is almost
//! full before V8 ends the whole process, counting memory outside of the heap, and collecting garbage.
//!
//! They are looked up by their mangled names when the engine starts. Where one is missing, its caller goes without. Nothing here decides whether something is to end.

// The one place that calls C++; each call says why it is sound.
#![expect(unsafe_code, reason = "V8 has no Rust interface that is part of `node`")]

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

/// A `v8::Isolate`: one thread's heap and stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isolate(*mut c_void);

// SAFETY: it is only an address. The one function that is called with it from other threads touches nothing but an
// atomic counter (`external_bytes`); callers make sure that the isolate lives.
unsafe impl Send for Isolate {}

/// Called on the isolate's own thread, in the middle of a garbage collection, with the limit of the moment and the one
/// that was configured, in bytes. Returns the new limit. Must not touch the heap.
pub(crate) type NearHeapLimit = unsafe extern "C" fn(*mut c_void, usize, usize) -> usize;

struct Functions {
    current: unsafe extern "C" fn() -> *mut c_void,
    add_near_heap_limit: unsafe extern "C" fn(*mut c_void, NearHeapLimit, *mut c_void),
    adjust_external: Option<unsafe extern "C" fn(*mut c_void, i64) -> i64>,
    allocator: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    low_memory: Option<unsafe extern "C" fn(*mut c_void)>,
}

/// `v8::Isolate::TryGetCurrent()`; unlike `GetCurrent` it may be asked on any thread.
const CURRENT: &CStr = c"_ZN2v87Isolate13TryGetCurrentEv";
/// `v8::Isolate::AddNearHeapLimitCallback(size_t (*)(void*, size_t, size_t), void*)`.
const ADD_NEAR_HEAP_LIMIT: &CStr = c"_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_";
/// `v8::Isolate::AdjustAmountOfExternalAllocatedMemory(int64_t)`.
const ADJUST_EXTERNAL: [&CStr; 2] = [
    c"_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEl",
    // Where `int64_t` is `long long`.
    c"_ZN2v87Isolate37AdjustAmountOfExternalAllocatedMemoryEx",
];
/// `v8::Isolate::GetArrayBufferAllocator()`.
const ALLOCATOR: &CStr = c"_ZN2v87Isolate23GetArrayBufferAllocatorEv";
/// `v8::Isolate::LowMemoryNotification()`.
const LOW_MEMORY: &CStr = c"_ZN2v87Isolate21LowMemoryNotificationEv";

fn functions() -> Option<&'static Functions> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    FUNCTIONS
        .get_or_init(|| {
            // SAFETY: the mangled names tell the types of the arguments, which are the same in every version that has
            // the name; results are as in V8's headers since version 7.
            unsafe {
                Some(Functions {
                    current: std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *mut c_void>(
                        symbol(CURRENT)?,
                    ),
                    add_near_heap_limit: std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C" fn(*mut c_void, NearHeapLimit, *mut c_void),
                    >(symbol(ADD_NEAR_HEAP_LIMIT)?),
                    adjust_external: ADJUST_EXTERNAL.into_iter().find_map(symbol).map(|found| {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, i64) -> i64>(
                            found,
                        )
                    }),
                    allocator: symbol(ALLOCATOR).map(|found| {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> *mut c_void>(
                            found,
                        )
                    }),
                    low_memory: symbol(LOW_MEMORY).map(|found| {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(found)
                    }),
                })
            }
        })
        .as_ref()
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero byte, and looking a symbol up changes nothing.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

impl Isolate {
    /// The calling thread's; `None` where this Node offers no access to it, or the thread has none.
    pub(crate) fn current() -> Option<Self> {
        // SAFETY: reads a variable of the calling thread.
        let isolate = unsafe { (functions()?.current)() };
        (!isolate.is_null()).then_some(Self(isolate))
    }

    /// Has `callback` be asked with `data` before the heap's limit ends the process. On the isolate's thread, once.
    ///
    /// # Safety
    /// `data` must be what `callback` expects for as long as the isolate lives.
    pub(crate) unsafe fn on_near_heap_limit(self, callback: NearHeapLimit, data: *mut c_void) {
        if let Some(functions) = functions() {
            // SAFETY: an isolate of the calling thread; the caller answers for `data`.
            unsafe { (functions.add_near_heap_limit)(self.0, callback, data) }
        }
    }

    /// Bytes outside of the heap that objects in it keep: array buffers, WebAssembly memories, and what else Node has
    /// told V8 of. From any thread, as long as the isolate lives. `None` where this Node does not tell.
    pub(crate) fn external_bytes(self) -> Option<usize> {
        let adjust = functions()?.adjust_external?;
        // SAFETY: a change by nothing only reads the atomic counter; the caller knows that the isolate lives.
        usize::try_from(unsafe { adjust(self.0, 0) }).ok()
    }

    /// Collects all garbage and shrinks the heap to what is left, which takes milliseconds; nothing where this Node has no
    /// way to ask for it. On the isolate's thread.
    pub(crate) fn collect_garbage(self) {
        if let Some(collect) = functions().and_then(|functions| functions.low_memory) {
            // SAFETY: an isolate of the calling thread, which is in the midst of a call from JavaScript.
            unsafe { collect(self.0) }
        }
    }

    /// The `v8::ArrayBuffer::Allocator` of the isolate. On the isolate's thread.
    pub(crate) fn array_buffer_allocator(self) -> Option<*mut c_void> {
        // SAFETY: reads a field of an isolate of the calling thread.
        let allocator = unsafe { (functions()?.allocator?)(self.0) };
        (!allocator.is_null()).then_some(allocator)
    }
}
