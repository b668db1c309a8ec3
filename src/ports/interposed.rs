//! For tests: a store before another one, which counts, and does with a batch what the test wants.

use super::store::{Batch, EntryId, Key, Outcome, Record, Store, StoreError, Walk};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Applied = BoxFuture<'static, Result<Outcome, StoreError>>;

/// Hands everything on to the store behind it; batches by way of the test.
pub struct Interposed {
    behind: Arc<dyn Store>,
    apply: Box<dyn Fn(Arc<dyn Store>, Batch) -> Applied + Send + Sync>,
    /// Calls of `get_many` so far.
    pub reads: AtomicUsize,
    /// Calls of `apply` so far.
    pub writes: AtomicUsize,
}

impl Interposed {
    /// Counts.
    pub fn counting(behind: Arc<dyn Store>) -> Self {
        Self::new(behind, |behind, batch| Box::pin(async move { behind.apply(batch).await }))
    }

    /// Has batches done by `apply`.
    pub fn new(
        behind: Arc<dyn Store>,
        apply: impl Fn(Arc<dyn Store>, Batch) -> Applied + Send + Sync + 'static,
    ) -> Self {
        let (reads, writes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { behind, apply: Box::new(apply), reads, writes }
    }
}

#[async_trait]
impl Store for Interposed {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.behind.get_many(keys).await
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.behind.take(key).await
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.behind.scan(index, prefix, after, limit).await
    }

    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError> {
        self.behind.entries(stream, walk, limit).await
    }

    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        (self.apply)(Arc::clone(&self.behind), batch).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.behind.ping().await
    }
}
