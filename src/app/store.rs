//! The store that `store.url` names: opened, asked once, and looked at.

use super::error::StartError;
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::redis::{RedisOptions, RedisStore};
use crate::config::{Settings, StoreUrl};
use crate::ports::Clock;
use crate::ports::store::Store;
use std::sync::Arc;

/// A store that answers, and what about it should be otherwise.
pub(super) async fn open(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn Store>, Vec<String>), StartError> {
    match &settings.store.url {
        StoreUrl::Embedded(folder) => {
            let store = EmbeddedStore::open(folder, Arc::clone(clock))?;
            answers(&store).await?;
            Ok((Arc::new(store), Vec::new()))
        }
        StoreUrl::Redis { url, .. } => {
            let store = RedisStore::connect(url.expose(), redis_options(settings))?;
            // First whether it will do at all: an old server's refusals of single commands would say less.
            let warnings = store.inspect().await?.warnings;
            answers(&store).await?;
            Ok((Arc::new(store), warnings))
        }
    }
}

async fn answers(store: &dyn Store) -> Result<(), StartError> {
    store.ping().await.map_err(|error| StartError::StoreSilent(error.to_string()))
}

fn redis_options(settings: &Settings) -> RedisOptions {
    RedisOptions {
        connect_timeout: settings.store.connect_timeout,
        response_timeout: settings.store.timeout,
        authority: settings.store.authority.clone(),
        sentinel_login: settings.store.sentinel_login.clone(),
        replicas: settings.store.replicas,
    }
}
