//! The store in a file of this machine, for one process: SQLite with a write-ahead log, every commit on the disk before it
//! is answered (docs/adr/0001). The clock of the process is the clock of the store.
//!
//! Reads take some microseconds and run on the calling thread; writes go through one thread that commits for many at once.

mod batch;
mod open;
mod record;
mod stream;
mod writer;

pub use open::OpenError;

use crate::ports::Clock;
use crate::ports::store::{Batch, EntryId, Key, Outcome, Record, Store, StoreError, Value, Walk, Write};
use async_trait::async_trait;
use record::Row;
use rusqlite::{Connection, ErrorCode};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use writer::{Answer, Ask, Writer};

/// The store port on SQLite. Dropping it finishes what was asked and closes the file.
pub struct EmbeddedStore {
    clock: Arc<dyn Clock>,
    // In the order of their end: the writer closes last, so that it can put the log into the file, and then the lock goes.
    readers: Readers,
    writer: Writer,
    _lock: File,
}

impl EmbeddedStore {
    /// Opens `grantkeep.db` in `folder`; folder and files are made where they are missing, for the owner's eyes only.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let lock = open::hold(folder)?;
        let path = folder.join("grantkeep.db");
        let database = open::writer(&path)?;
        let writer = Writer::start(database, Arc::clone(&clock))
            .map_err(|source| OpenError::Folder { folder: folder.to_owned(), source })?;
        let readers = Readers { path, idle: Mutex::default() };
        Ok(Self { clock, readers, writer, _lock: lock })
    }
}

/// Connections that read; as many as there are threads that read at one moment.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let database = match idle {
            Some(database) => database,
            None => open::reader(&self.path).map_err(|error| fault(&error))?,
        };
        // After an error it is closed, not kept: a new one may do better.
        let answer = read(&database)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(database);
        Ok(answer)
    }
}

/// What a failure of SQLite before a commit means: nothing happened. Its texts hold no values.
fn fault(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
            StoreError::Broken(error.to_string())
        }
        Some(_) => StoreError::Unavailable(error.to_string()),
    }
}

fn crossed() -> StoreError {
    StoreError::Broken("the writing thread answered another question".to_owned())
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        let now = self.clock.now();
        self.readers.with(|database| {
            let rows = keys.iter().map(|key| Row::load(database, key.name(), now));
            rows.map(|row| Ok(row?.map(Row::into_record))).collect()
        })
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        match self.writer.ask(Ask::Take(key.name().to_owned())).await? {
            Answer::Taken(record) => Ok(record),
            Answer::Applied(_) => Err(crossed()),
        }
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (statement, from) = match after {
            Some(after) if after >= prefix => {
                ("SELECT name FROM member WHERE list = ?1 AND name > ?2 ORDER BY name LIMIT ?3", after)
            }
            _ => ("SELECT name FROM member WHERE list = ?1 AND name >= ?2 ORDER BY name LIMIT ?3", prefix),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.readers.with(|database| {
            let mut query = database.prepare_cached(statement).map_err(|error| fault(&error))?;
            let names = query.query_map((index.name(), from, limit), |row| row.get::<_, String>(0));
            let names = names.map_err(|error| fault(&error))?;
            names
                .take_while(|name| name.as_ref().map_or(true, |name| name.starts_with(prefix)))
                .map(|name| name.map_err(|error| fault(&error)))
                .collect()
        })
    }

    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError> {
        self.readers.with(|database| stream::read(database, stream.name(), walk, limit))
    }

    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError> {
        batch.check()?;
        match self.writer.ask(Ask::Apply(batch)).await? {
            Answer::Applied(outcome) => Ok(outcome),
            Answer::Taken(_) => Err(crossed()),
        }
    }

    /// The file is held by this process: nobody else changes anything.
    fn hearing(&self) -> Option<u64> {
        Some(0)
    }

    /// Reads, and commits a record of its own.
    async fn ping(&self) -> Result<(), StoreError> {
        let key = Key::alone("ping", "ping");
        self.get(&key).await?;
        let fields = vec![("at".to_owned(), Value::Now(Duration::ZERO))];
        self.apply(Batch::new().then(Write::Put { key, fields, lives: Some(Duration::from_mins(1)) }))
            .await?;
        Ok(())
    }
}
