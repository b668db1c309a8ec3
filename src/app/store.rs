//! The store that `store.url` names: opened, asked once, and looked at.

use super::error::StartError;
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::redis::{RedisOptions, RedisStore};
use crate::adapters::watched::{StoreClock, Watched};
use crate::config::{Settings, StoreUrl};
use crate::ports::store::Store;
use crate::ports::{Clock, Outages};
use std::sync::Arc;

/// A store that answers.
pub(super) struct Opened {
    pub store: Arc<dyn Store>,
    /// The time that the whole fleet goes by: the store's.
    pub clock: Arc<dyn Clock>,
    pub outages: Arc<Outages>,
    /// What about it should be otherwise.
    pub warnings: Vec<String>,
}

/// Opens the store that the settings name, asks it once, and looks at it. `own` is this process's clock.
pub(super) async fn open(settings: &Settings, own: &Arc<dyn Clock>) -> Result<Opened, StartError> {
    let outages = Arc::new(Outages::new(Arc::clone(own)));
    let (store, clock, warnings): (Arc<dyn Store>, _, _) = match &settings.store.url {
        StoreUrl::Embedded(folder) => {
            let store = EmbeddedStore::open(folder, Arc::clone(own))?;
            // It goes by this process's clock already.
            (Arc::new(store), None, Vec::new())
        }
        StoreUrl::Redis { url, .. } => {
            let store = RedisStore::connect(url.expose(), redis_options(settings))?;
            // First whether it will do at all: an old server's refusals of single commands would say less.
            let warnings = store.inspect().await?.warnings;
            (Arc::new(store), Some(Arc::new(StoreClock::new(Arc::clone(own)))), warnings)
        }
    };
    let watched = Watched::new(store, Arc::clone(&outages), clock.clone());
    answers(&watched).await?;
    let clock: Arc<dyn Clock> = match clock {
        Some(clock) => clock,
        None => Arc::clone(own),
    };
    Ok(Opened { store: Arc::new(watched), clock, outages, warnings })
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
