//! Why the server did not start: what was wrong, where, and what to do.

use crate::adapters::embedded::OpenError;
use crate::adapters::http::NoWayOut;
use crate::adapters::redis::{RedisUnfit, RedisUrlError};
use crate::catalog::CatalogFaults;
use crate::config::ConfigFaults;
use std::io;
use std::path::PathBuf;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings have faults; all of them are named.
    #[error("{0}")]
    Config(#[from] ConfigFaults),
    /// Provider files have faults; all of them are named.
    #[error("{0}")]
    Catalog(#[from] CatalogFaults),
    /// The database of the embedded store cannot be used.
    #[error("store.url: {0}")]
    Embedded(#[from] OpenError),
    /// The URL of Redis cannot be used.
    #[error("store.url {0}")]
    Redis(#[from] RedisUrlError),
    /// Redis is there, and is not what is needed.
    #[error("store.url: {0}")]
    Unfit(String),
    /// The data folder belongs to another server.
    #[error(
        "server.data_folder: {} is in use by another server: give each server a folder of its own", folder.display()
    )]
    FolderInUse {
        /// Which.
        folder: PathBuf,
    },
    /// The data folder, or what lies in it, cannot be used.
    #[error("server.data_folder: {}: {what}", path.display())]
    DataFolder {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The audit trail cannot be gone over.
    #[error("audit: {0}")]
    Audit(String),
    /// The store is there by its URL and does not answer.
    #[error("store.url: {0}; is the server running, and may this user write to it?")]
    StoreSilent(String),
    /// Mail cannot be set up.
    #[error("mail: {0}")]
    Mail(String),
    /// Traces cannot be set up.
    #[error("trace: {0}")]
    Traces(String),
    /// The mail server takes no mail from us, or does not answer.
    #[error("mail.url: {0}")]
    MailServer(String),
    /// Requests to providers cannot be set up.
    #[error("{0}")]
    Upstream(#[from] NoWayOut),
    /// A port cannot be had.
    #[error("{key}: cannot listen on {address}: {source}; set {key} to a free port")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The server that runs by these settings does not say that it is well.
    #[error("{at}: {why}")]
    Unhealthy {
        /// What was asked.
        at: String,
        /// What came of it.
        why: String,
    },
    /// A folder or file of the demo cannot be made.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<RedisUnfit> for StartError {
    fn from(unfit: RedisUnfit) -> Self {
        match unfit {
            RedisUnfit::Store(error) => Self::StoreSilent(error.to_string()),
            RedisUnfit::Unfit(why) => Self::Unfit(why),
        }
    }
}

impl StartError {
    /// True where the embedded store belongs to another process just now.
    pub fn in_use(&self) -> bool {
        matches!(self, Self::Embedded(OpenError::InUse { .. }))
    }

    /// What was tried, for [`Result::map_err`].
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
