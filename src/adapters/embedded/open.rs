//! The folder, its lock, the file and its schema.

use rusqlite::{Connection, OpenFlags};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The schema this version writes, kept in the file's `user_version`.
const SCHEMA: i32 = 2;

const TABLES: &str = "
    CREATE TABLE record (
        key TEXT NOT NULL PRIMARY KEY, rev INTEGER NOT NULL, expires_at INTEGER, fields BLOB NOT NULL
    ) STRICT;
    CREATE INDEX record_expiry ON record (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE member (list TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (list, name)) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;";

/// Streams: each with the place of its last entry, which outlives the entry, so that places grow whatever is removed.
const STREAMS: &str = "
    CREATE TABLE stream (name TEXT NOT NULL PRIMARY KEY, millis INTEGER NOT NULL, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE entry (
        stream TEXT NOT NULL, millis INTEGER NOT NULL, number INTEGER NOT NULL, fields BLOB NOT NULL,
        PRIMARY KEY (stream, millis, number)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 2;";

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum OpenError {
    /// Another process, or this one, has it open.
    #[error("the store in {} is in use by another process: stop that one, or use another folder", folder.display())]
    InUse { folder: PathBuf },
    /// The folder or a file in it cannot be made or opened.
    #[error("the store in {} cannot be opened: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    /// SQLite does not open the file.
    #[error("the file {} cannot be opened: {source}", path.display())]
    File { path: PathBuf, source: rusqlite::Error },
    /// A newer version has written it.
    #[error("the file {} was written by a newer version (schema {schema}, this one knows {SCHEMA}): run that one", path.display())]
    Newer { path: PathBuf, schema: i32 },
}

/// Makes the folder where there is none, and holds it for this process for as long as the returned file is open.
pub(super) fn hold(folder: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Folder { folder: folder.to_owned(), source };
    make_folder(folder).map_err(failed)?;
    let lock = private_file(&folder.join("grantkeep.lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The one connection that writes; makes the file where there is none.
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    // Made before SQLite would make it, which gives its other files the same mode.
    private_file(path).map_err(|source| OpenError::Folder { folder: path.to_owned(), source })?;
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    let database = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let version: i32 = database.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if version > SCHEMA {
        return Err(OpenError::Newer { path: path.to_owned(), schema: version });
    }
    prepare(&database, version).map_err(failed)?;
    Ok(database)
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn prepare(database: &Connection, version: i32) -> rusqlite::Result<()> {
    database.execute_batch(
        // FULL: a commit is on the disk when it returns; fullfsync: on macOS too. What a checkpoint leaves of a log
        // that grew is cut to 64 MiB.
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
         PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;",
    )?;
    for (schema, tables) in (1..).zip([TABLES, STREAMS]) {
        if version < schema {
            database.execute_batch(&format!("BEGIN IMMEDIATE; {tables} COMMIT;"))?;
        }
    }
    Ok(())
}

fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection has one user at a time, so SQLite need not lock it.
    let database = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    database.busy_timeout(Duration::from_secs(5))?;
    database.set_prepared_statement_cache_capacity(32);
    Ok(database)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
