//! A place of this server's own, for what must not go by way of the store: new tokens that it does not take yet, and how far
//! it had been.

use async_trait::async_trait;

/// The place could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PagesError(pub String);

/// Pages that outlive the process. They hold no secret that is not sealed.
#[async_trait]
pub trait Pages: Send + Sync {
    /// Keeps a page; it is on the disk when this returns. One of the same name is replaced.
    async fn keep(&self, name: &str, page: &[u8]) -> Result<(), PagesError>;

    /// All pages, by name.
    async fn pages(&self) -> Result<Vec<(String, Vec<u8>)>, PagesError>;

    /// Removes a page; nothing where there is none.
    async fn remove(&self, name: &str) -> Result<(), PagesError>;

    /// Puts a page where only people look.
    async fn set_aside(&self, name: &str) -> Result<(), PagesError>;
}
