//! Opens the file, or says why not and what to do about it.
//!
//! Whatever is refused is left as it was: the looks at the file come before SQLite, which would make files that do not
//! exist, take empty ones for new ones, and recover logs. A new file is made under another name and renamed when it is
//! complete, so an empty one is never the rest of a start that was cut short.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::cache::CacheShares;
use super::fault::failure;
use super::layout::{self, Found};
use super::{SqliteOptions, migration, recovery, writer};
use crate::StoreError;

/// First bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Length of the header of SQLite files.
const HEADER_BYTES: usize = 100;

/// Opens the connection that writes: on a new file, or on one of this release's format or an older one, which is brought up
/// to date. After an unclean shutdown the file is checked.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    if options.vfs.is_some() {
        return open_on_own_disk(path, options);
    }
    if !is_there(path)? {
        create(path)?;
    }
    let mut connection = connect_for_writing(path, None).map_err(|error| in_place(path, &error))?;
    match identify(&connection, path)? {
        Found::Nothing => layout::create(&connection).map_err(|error| in_place(path, &error))?,
        Found::Format(layout::FORMAT_VERSION) => {}
        Found::Format(older) => {
            recovery::check_after_crash(&mut connection, path, options.check_max)?;
            migration::bring_up_to_date(connection, path, older, &mut |_| {})?;
            connection = connect_for_writing(path, None).map_err(|error| in_place(path, &error))?;
        }
    }
    prepare(&connection, options).map_err(|error| in_place(path, &error))?;
    recovery::check_after_crash(&mut connection, path, options.check_max)?;
    begin(&connection).map_err(|error| in_place(path, &error))?;
    Ok(connection)
}

/// On a disk of SQLite's own kind there are no files to look at, and none that an older release wrote.
fn open_on_own_disk(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let vfs = options.vfs.as_deref();
    let mut connection = connect_for_writing(path, vfs).map_err(|error| failure(&error))?;
    match identify(&connection, path)? {
        Found::Nothing => layout::let_shrink(&connection)
            .and_then(|()| prepare(&connection, options))
            .and_then(|()| layout::create(&connection))
            .map_err(|error| failure(&error))?,
        Found::Format(layout::FORMAT_VERSION) => {}
        Found::Format(older) => {
            let text = format!("format {older} can be brought up to date on an ordinary disk only");
            return Err(StoreError::Storage(text));
        }
    }
    prepare(&connection, options).map_err(|error| failure(&error))?;
    recovery::check_after_crash(&mut connection, path, options.check_max)?;
    begin(&connection).map_err(|error| failure(&error))?;
    Ok(connection)
}

/// Notes in the file that it is in use. What may lie in the log behind the last commit, from before a crash, is void then.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    writer::probe(connection, 1)?;
    layout::set_meta(connection, layout::META_CLEAN, "0")
}

/// Another connection that writes, while the file is in use already.
pub(super) fn connect_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = super::connect(path, flags, options.vfs.as_deref())?;
        layout::set_writer_pragmas(&connection, CacheShares::new(options).writer_kib)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| failure(&error))
}

fn connect_for_writing(path: &Path, vfs: Option<&str>) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if vfs.is_some() {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = super::connect(path, flags, vfs)?;
    connection.busy_timeout(layout::BUSY_TIMEOUT)?;
    Ok(connection)
}

fn prepare(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    layout::set_writer_pragmas(connection, CacheShares::new(options).writer_kib)?;
    recovery::rewrite_log(connection)
}

fn identify(connection: &Connection, path: &Path) -> Result<Found, StoreError> {
    layout::identify(connection, path).map_err(|error| match error {
        StoreError::Storage(_) | StoreError::DiskFull(_) | StoreError::ReadOnlyDisk(_) => {
            unusable_beside(path, &error)
        }
        other => other,
    })
}

/// What SQLite's refusal to open or write the file means while it is being opened.
fn in_place(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            unusable_beside(path, error)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unusable {
            path: path.to_owned(),
            reason: "another program has it open and locked; close that program".to_owned(),
        },
        _ => failure(error),
    }
}

fn unusable_beside(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    let reason = format!(
        "SQLite keeps files beside it and cannot make them in {} ({error}); make that directory writable for this user",
        directory_of(path).display()
    );
    StoreError::Unusable { path: path.to_owned(), reason }
}

/// Where the file itself is, if the path is a link: SQLite keeps its other files there, so everything else has to look for them
/// and make its own there.
pub(super) fn behind_links(path: &Path) -> Result<PathBuf, StoreError> {
    let Ok(target) = fs::read_link(path) else { return Ok(path.to_owned()) };
    fs::canonicalize(path).map_err(|error| {
        let what = format!("it is a link to {}", target.display());
        let reason = if error.kind() == ErrorKind::NotFound {
            // Perhaps the disk that it leads to is not mounted: nobody wants an empty database then.
            format!(
                "{what}, where nothing is; bring the file back, or remove the link to begin with an empty database"
            )
        } else {
            format!("{what}, which cannot be followed: {}", advice(&error))
        };
        StoreError::Unusable { path: path.to_owned(), reason }
    })
}

/// Whether the file exists; fails when it exists and cannot be what we want.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    let unusable = |reason: String| StoreError::Unusable { path: path.to_owned(), reason };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return absent(path).map(|()| false);
        }
        Err(error) => return Err(unusable(advice(&error))),
    };
    if metadata.is_dir() {
        return Err(unusable("it is a directory; name a file in it".to_owned()));
    }
    if !metadata.is_file() {
        return Err(unusable("it is not a regular file; choose another place".to_owned()));
    }
    if metadata.len() == 0 {
        let detail = "it is empty (0 bytes); restore a backup, or delete it to begin with an empty database";
        return Err(StoreError::NotADatabase { path: path.to_owned(), detail });
    }
    let mut file =
        OpenOptions::new().read(true).write(true).open(path).map_err(|error| unusable(advice(&error)))?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.by_ref()
        .take(HEADER_BYTES as u64)
        .read_to_end(&mut header)
        .map_err(|error| unusable(advice(&error)))?;
    if !header.starts_with(MAGIC) {
        let detail = "it is some other kind of file; choose another place, or restore a backup";
        return Err(StoreError::NotADatabase { path: path.to_owned(), detail });
    }
    refuse_cut_off(path, &header, metadata.len())?;
    Ok(true)
}

/// A new file will do, if it has a place and nothing of an old one is left.
fn absent(path: &Path) -> Result<(), StoreError> {
    let unusable = |reason: String| Err(StoreError::Unusable { path: path.to_owned(), reason });
    let directory = directory_of(path);
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return unusable(format!("{} is not a directory", directory.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return unusable(format!(
                "the directory {} does not exist; create it, or choose another place",
                directory.display()
            ));
        }
        Err(error) => return unusable(advice(&error)),
    }
    for suffix in ["-wal", "-journal"] {
        let rest = with_suffix(path, suffix);
        if fs::metadata(&rest).is_ok_and(|metadata| metadata.len() > 0) {
            return unusable(format!(
                "it is missing, but {} is there and belongs to it; bring the file back, or delete the rest of it to begin \
                 with an empty database",
                rest.display()
            ));
        }
    }
    Ok(())
}

/// SQLite's header says how many pages there are. Without a log that may hold the others, all of them must be there.
fn refuse_cut_off(path: &Path, header: &[u8], length: u64) -> Result<(), StoreError> {
    let damaged = |detail: String| Err(StoreError::Damaged { path: path.to_owned(), detail });
    if header.len() < HEADER_BYTES {
        return damaged(format!("it has only {length} bytes, the rest is missing"));
    }
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        // 65536 does not fit.
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    let expected = u64::from(number(28)) * page_bytes;
    // The number of pages is only meant if it was written with the last change.
    let is_meant = number(24) == number(92);
    let has_log = ["-wal", "-journal"]
        .iter()
        .any(|suffix| fs::metadata(with_suffix(path, suffix)).is_ok_and(|log| log.len() > 0));
    if is_meant && !has_log && length < expected {
        return damaged(format!("it has {length} bytes of {expected}, the end is missing"));
    }
    Ok(())
}

/// Makes a new file, complete or not at all.
fn create(path: &Path) -> Result<(), StoreError> {
    let draft = with_suffix(path, ".new");
    let unusable =
        |error: std::io::Error| StoreError::Unusable { path: path.to_owned(), reason: advice(&error) };
    remove(&draft).map_err(unusable)?;
    remove(&with_suffix(&draft, "-journal")).map_err(unusable)?;
    // Asked of the system rather than of SQLite, which only says that it cannot.
    OpenOptions::new().write(true).create_new(true).open(&draft).map_err(unusable)?;
    let made = connect_for_writing(&draft, None).and_then(|connection| {
        layout::create(&connection)?;
        connection.close().map_err(|(_, error)| error)
    });
    let moved = match made {
        Ok(()) => fs::rename(&draft, path).and_then(|()| sync_directory(path)).map_err(unusable),
        Err(error) => Err(in_place(path, &error)),
    };
    if moved.is_err() {
        // Best effort: the next attempt removes it, too.
        let _ = remove(&draft);
    }
    moved
}

/// What to do about a refusal of the operating system.
fn advice(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("{error}; let this user read and write the file and its directory")
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("{error}; mount it writable, or choose another place")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("{error}; free some space"),
        _ => error.to_string(),
    }
}

/// Makes a rename or a new file survive a power cut.
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    // Windows cannot sync directories, and does not need it.
    if cfg!(unix) { File::open(directory_of(path))?.sync_all() } else { Ok(()) }
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
