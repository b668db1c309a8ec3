//! A place of this server's own for what came back from a provider and the store does not take yet.

use async_trait::async_trait;

/// The place could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SpillError(pub String);

/// Pages that outlive the process. They hold nothing that is not sealed.
#[async_trait]
pub trait Spill: Send + Sync {
    /// Keeps a page; it is on the disk when this returns. One of the same name is replaced.
    async fn keep(&self, name: &str, page: &[u8]) -> Result<(), SpillError>;

    /// All pages, by name.
    async fn pages(&self) -> Result<Vec<(String, Vec<u8>)>, SpillError>;

    /// Removes a page; nothing where there is none.
    async fn remove(&self, name: &str) -> Result<(), SpillError>;

    /// Puts a page where only people look.
    async fn set_aside(&self, name: &str) -> Result<(), SpillError>;
}
