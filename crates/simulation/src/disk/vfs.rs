//! The disk as a SQLite VFS: opening, deleting, time and randomness. Translates between C and `machine`, nothing else.

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use freshet_database::Clock as _;
use rusqlite::ffi;

use super::Shared;
use super::machine::Kind;
use super::methods::{self, SimulatedFile};

/// Longest path that is accepted, in bytes.
const PATH_MAX: c_int = 512;
/// Days of the Julian calendar, in milliseconds, at the Unix epoch.
const UNIX_EPOCH_JULIAN_MS: i64 = 210_866_760_000_000;

/// A registered VFS. What SQLite points to is never freed, because a connection may outlive the registration; it is
/// a few hundred bytes and does not keep the disk alive.
pub(super) struct Registration {
    name: String,
    vfs: *mut ffi::sqlite3_vfs,
}

// SAFETY: the pointer is only used to unregister, which SQLite guards with a mutex of its own.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

impl Registration {
    pub(super) fn new(shared: &Arc<Shared>) -> Registration {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("freshet-simulation-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let c_name = CString::new(name.as_str()).expect("the name has no zero byte");
        let data: Box<Weak<Shared>> = Box::new(Arc::downgrade(shared));
        let vfs = Box::into_raw(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: c_int::try_from(size_of::<SimulatedFile>()).expect("a few words"),
            mxPathname: PATH_MAX,
            pNext: std::ptr::null_mut(),
            zName: c_name.into_raw(),
            pAppData: Box::into_raw(data).cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: Some(current_time_ms),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the structure is complete and stays where it is for as long as the process lives.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite refused the simulated disk");
        Registration { name, vfs }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: it was registered by `new` and is unregistered once.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
    }
}

/// The disk behind a VFS; `None` when it is gone.
///
/// # Safety
/// `vfs` must come from a [`Registration`].
unsafe fn shared(vfs: *mut ffi::sqlite3_vfs) -> Option<Arc<Shared>> {
    // SAFETY: `Registration::new` put this pointer there, and nobody frees it.
    unsafe { (*(*vfs).pAppData.cast::<Weak<Shared>>()).upgrade() }
}

/// # Safety
/// `name` must be null or a string that ends with a zero byte.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes room for `szOsFile` bytes. Without methods it does not call `xClose` after a failure.
    unsafe { (*file).pMethods = std::ptr::null() };
    // SAFETY: SQLite passes the VFS that it was given, and a terminated name.
    let (disk, name) = unsafe { (shared(vfs), text(name)) };
    let Some(disk) = disk else { return ffi::SQLITE_CANTOPEN };
    let kind = match flags {
        _ if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => Kind::Database,
        _ if flags & ffi::SQLITE_OPEN_WAL != 0 => Kind::Log,
        _ if flags & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL) != 0 => Kind::Journal,
        _ => Kind::Temporary,
    };
    let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let exclusive = flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0;
    let opened = disk.machine.lock().open(name, kind, create, exclusive);
    match opened {
        Ok(handle) => {
            if !out_flags.is_null() {
                // SAFETY: not null, and SQLite owns it.
                unsafe { *out_flags = flags };
            }
            // SAFETY: as above; `methods` fills the room and takes it over until `xClose`.
            unsafe { methods::install(file, disk, handle) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite passes the VFS that it was given, and a terminated name.
    let (disk, name) = unsafe { (shared(vfs), text(name)) };
    let Some((disk, name)) = disk.zip(name) else { return ffi::SQLITE_IOERR_DELETE };
    let result = disk.machine.lock().delete(name, sync_directory != 0);
    result.err().unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes the VFS that it was given, and a terminated name.
    let (disk, name) = unsafe { (shared(vfs), text(name)) };
    let Some((disk, name)) = disk.zip(name) else { return ffi::SQLITE_IOERR_ACCESS };
    let result = disk.machine.lock().exists(name);
    match result {
        Ok(exists) => {
            // SAFETY: SQLite passes a place for the answer.
            unsafe { *out = c_int::from(exists) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a terminated name.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if usize::try_from(room).is_ok_and(|room| bytes.len() <= room) {
        // SAFETY: there is room, and the two do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_CANTOPEN
    }
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    let length = usize::try_from(count).unwrap_or(0);
    // SAFETY: SQLite passes room for `count` bytes, and the VFS that it was given.
    let (disk, out) = unsafe { (shared(vfs), std::slice::from_raw_parts_mut(out.cast::<u8>(), length)) };
    match disk {
        Some(disk) => disk.machine.lock().fill_random(out),
        None => out.fill(0),
    }
    count
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    // SAFETY: SQLite passes the VFS that it was given.
    if let Some(disk) = unsafe { shared(vfs) } {
        disk.machine.lock().sleep(u64::try_from(micros).unwrap_or(0));
    }
    micros
}

unsafe extern "C" fn current_time_ms(vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes the VFS that it was given.
    let Some(disk) = (unsafe { shared(vfs) }) else { return ffi::SQLITE_ERROR };
    let now = disk.machine.lock().clock().now();
    let millis = i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX - UNIX_EPOCH_JULIAN_MS);
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = UNIX_EPOCH_JULIAN_MS + millis };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    let mut millis = 0;
    // SAFETY: passed on as they came.
    let code = unsafe { current_time_ms(vfs, &raw mut millis) };
    // SAFETY: SQLite passes a place for the answer.
    unsafe { *out = millis as f64 / 86_400_000.0 };
    code
}

unsafe extern "C" fn last_error(_vfs: *mut ffi::sqlite3_vfs, _room: c_int, _out: *mut c_char) -> c_int {
    0
}
