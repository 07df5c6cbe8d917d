//! The operations on an open file, as SQLite calls them. Translates between C and `machine`, nothing else.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::Arc;

use rusqlite::ffi;

use super::Shared;
use super::machine::{Code, Handle, Sync};
use super::memory::Region;

/// Most bytes of one write. SQLite's own files take no more either, and call the disk full instead.
const WRITE_MAX: usize = 0x1_ffff;

/// What SQLite allocates for each open file.
#[repr(C)]
pub(super) struct SimulatedFile {
    /// First, because SQLite looks here for the methods.
    base: ffi::sqlite3_file,
    state: *mut Open,
}

/// What belongs to an open file.
struct Open {
    disk: Arc<Shared>,
    handle: Handle,
    /// Kept for as long as SQLite may look at them.
    regions: Vec<Arc<Region>>,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes an open file of the room that SQLite passes.
///
/// # Safety
/// `file` must have room for a [`SimulatedFile`].
pub(super) unsafe fn install(file: *mut ffi::sqlite3_file, disk: Arc<Shared>, handle: Handle) {
    let state = Box::into_raw(Box::new(Open { disk, handle, regions: Vec::new() }));
    // SAFETY: there is room, as the caller promises.
    unsafe {
        file.cast::<SimulatedFile>()
            .write(SimulatedFile { base: ffi::sqlite3_file { pMethods: &raw const METHODS }, state });
    }
}

/// The state of an open file.
///
/// # Safety
/// `file` must have been made by [`install`] and not been closed, and nobody else may use its state meanwhile. SQLite
/// promises both: a connection is used by one thread at a time.
unsafe fn open<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Open {
    // SAFETY: as the caller promises.
    unsafe { &mut *(*file.cast::<SimulatedFile>()).state }
}

fn code(result: Result<(), Code>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

fn size(number: impl TryInto<usize>) -> usize {
    number.try_into().ok().expect("SQLite passes no negative sizes and offsets")
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: made by `install`; SQLite closes once, and looks for methods before it calls again.
    let state = unsafe {
        let file = file.cast::<SimulatedFile>();
        (*file).base.pMethods = std::ptr::null();
        Box::from_raw((*file).state)
    };
    state.disk.machine.lock().close(&state.handle);
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file, and room for `amount` bytes.
    let (open, out) = unsafe { (open(file), std::slice::from_raw_parts_mut(out.cast::<u8>(), size(amount))) };
    let read = open.disk.machine.lock().read(&open.handle, size(offset), out);
    match read {
        Ok(count) if count == out.len() => ffi::SQLITE_OK,
        Ok(count) => {
            // SQLite wants zeros where the file has nothing.
            out[count..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file, and `amount` bytes.
    let (open, bytes) = unsafe { (open(file), std::slice::from_raw_parts(bytes.cast::<u8>(), size(amount))) };
    if bytes.len() > WRITE_MAX {
        return ffi::SQLITE_FULL;
    }
    let result = open.disk.machine.lock().write(&open.handle, size(offset), bytes);
    code(result)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    let result = open.disk.machine.lock().truncate(&open.handle, size(length));
    code(result)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // Copied, because others use the disk while this waits.
    let (disk, handle) = {
        // SAFETY: an open file.
        let open = unsafe { open(file) };
        (Arc::clone(&open.disk), open.handle)
    };
    let pace = disk.machine.lock().begin_sync(&handle);
    if pace == Sync::Slow {
        let meanwhile = disk.meanwhile.lock().clone();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
    }
    let result = disk.machine.lock().sync(&handle);
    code(result)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    let length = open.disk.machine.lock().len(&open.handle);
    match length {
        Ok(length) => {
            // SAFETY: SQLite passes a place for the answer.
            unsafe { *out = i64::try_from(length).expect("files fit into memory") };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    let result = open.disk.machine.lock().lock(&open.handle, level);
    code(result)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    open.disk.machine.lock().unlock(&open.handle, level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    let reserved = open.disk.machine.lock().is_reserved(&open.handle);
    match reserved {
        Ok(reserved) => {
            // SAFETY: SQLite passes a place for the answer.
            unsafe { *out = c_int::from(reserved) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn file_control(
    _file: *mut ffi::sqlite3_file,
    _request: c_int,
    _data: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    // What SQLite assumes of the operating system's files. Tears are finer than that.
    4096
}

unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    // As for the operating system's files: a write damages no bytes beside it.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    number: c_int,
    bytes: c_int,
    make: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    let region = open.disk.machine.lock().region(&open.handle, size(number), size(bytes), make != 0);
    let (address, code) = match region {
        Ok(Some(region)) => {
            let address = region.address();
            if !open.regions.iter().any(|known| Arc::ptr_eq(known, &region)) {
                open.regions.push(region);
            }
            (address, ffi::SQLITE_OK)
        }
        Ok(None) => (std::ptr::null_mut(), ffi::SQLITE_OK),
        Err(code) => (std::ptr::null_mut(), code),
    };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = address };
    code
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    let slots: Range<usize> = size(first)..size(first) + size(count);
    let mut machine = open.disk.machine.lock();
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        machine.unlock_slots(&open.handle, slots);
        return ffi::SQLITE_OK;
    }
    code(machine.lock_slots(&open.handle, slots, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0))
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { open(file) };
    if delete != 0 {
        open.disk.machine.lock().forget_regions(&open.handle);
    }
    open.regions.clear();
    ffi::SQLITE_OK
}
