//! Settings become adapters, adapters fill ports, ports carry rooms.

use super::error::StartError;
use super::instance::{self, Instance};
use super::running::{Background, Parts, Running};
use crate::accounts::{AccountSettings, Accounts};
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::http::{HttpOptions, HttpUpstream, install_tls};
use crate::adapters::outbox::OutboxMailer;
use crate::adapters::redis::{RedisOptions, RedisStore};
use crate::adapters::smtp::SmtpMailer;
use crate::adapters::system::{SystemChance, SystemClock};
use crate::broker::{Broker, BrokerPorts, BrokerSettings};
use crate::catalog::{BUILT_IN, Catalog};
use crate::config::{MailRoute, Settings, StoreUrl};
use crate::http::{HttpSettings, HttpState};
use crate::jobs;
use crate::ports::store::Store;
use crate::ports::{Chance, Clock, Mailer, Tasks};
use crate::telemetry::{logs, metrics};
use crate::vault::{AuditOptions, Keyring, Vault};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long the link of a sign-up is good.
const SIGN_UP_LIFE: Duration = Duration::from_hours(24);
/// Threads for exchanges, refreshes and mail: they wait for others most of the time.
const TASK_THREADS: usize = 2;

/// Starts both servers and returns once they listen and the store answers.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    start_by(settings, Arc::new(SystemClock::new())).await
}

/// As [`start`], by another clock than the machine's. Redis keeps its own time all the same.
pub async fn start_by(mut settings: Settings, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    logs::init(settings.log.json, settings.log.level);
    metrics::init();
    install_tls();
    let public = listen("server.port", settings.server.host, settings.server.port)?;
    let admin = listen("admin.port", settings.admin.host, settings.admin.port)?;
    let (public_at, admin_at) = (address(&public)?, address(&admin)?);
    settings.server.bound(public_at.port());
    let runtime = task_runtime()?;
    let tasks = Tasks::new(runtime.handle().clone());
    // From here on it must not be dropped as it is, whatever fails.
    let runtime = Background::new(runtime);
    let (state, instance) = compose(&settings, clock, &tasks).await?;
    let http = HttpSettings {
        public,
        admin,
        workers: settings.server.workers,
        body_limit: settings.server.body_limit,
        public_url: settings.server.public_url.clone(),
        trusted_proxies: settings.server.trusted_proxies.clone(),
        shutdown_timeout: settings.server.shutdown_timeout,
    };
    let parts = Parts {
        public_at,
        admin_at,
        public_url: settings.server.public_url,
        patience: settings.server.shutdown_timeout,
        tasks,
        runtime,
        _instance: instance,
    };
    Running::begin(parts, http, state).await
}

/// Reads everything that a start would read and asks the store, and listens nowhere.
pub async fn check(settings: &Settings) -> Result<usize, StartError> {
    install_tls();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let catalog = catalog(settings)?;
    let chance: Arc<dyn Chance> = Arc::new(SystemChance);
    mailer(settings, &clock, &chance)?;
    upstream(settings)?;
    let store = store(settings, &clock)?;
    store.ping().await.map_err(|error| StartError::StoreSilent(error.to_string()))?;
    Ok(catalog.iter().count())
}

async fn compose(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<(HttpState, Instance), StartError> {
    let chance: Arc<dyn Chance> = Arc::new(SystemChance);
    let catalog = catalog(settings)?;
    let mailer = mailer(settings, &clock, &chance)?;
    let upstream = upstream(settings)?;
    let store = store(settings, &clock)?;
    store.ping().await.map_err(|error| StartError::StoreSilent(error.to_string()))?;
    let keyring = keyring(settings)?;
    // Not before the store has answered: a start that fails leaves nothing behind.
    let instance = instance::hold(&settings.server.data_folder, &*chance)?;
    let vault = Arc::new(Vault::new(store, Arc::clone(&clock), Arc::clone(&chance), keyring));
    let audit = AuditOptions { instance: instance.id.clone(), retention: settings.audit.retention };
    vault.write_audit(audit, tasks);
    jobs::start(jobs::audit(&vault, &settings.audit), tasks, &chance);
    let ports = BrokerPorts {
        clock: Arc::clone(&clock),
        chance: Arc::clone(&chance),
        upstream: Arc::new(upstream),
        tasks: tasks.clone(),
    };
    let broker = Broker::new(Arc::clone(&vault), catalog, ports, broker_settings(settings));
    let accounts = Accounts::new(
        Arc::clone(&vault),
        Arc::clone(&clock),
        Arc::clone(&chance),
        mailer,
        tasks.clone(),
        account_settings(settings),
    );
    let state = HttpState {
        accounts: Arc::new(accounts),
        broker: Arc::new(broker),
        clock,
        chance,
        metrics: Arc::new(metrics::render),
        ready: Arc::new(move || {
            let vault = Arc::clone(&vault);
            Box::pin(async move { vault.ping().await.is_ok() })
        }),
    };
    Ok((state, instance))
}

pub(super) fn keyring(settings: &Settings) -> Result<Keyring, StartError> {
    let keys = settings.vault.master_keys.iter().map(|key| (key.id(), key.expose()));
    // The configuration has refused an empty list before.
    Keyring::new(keys).ok_or_else(|| StartError::StoreSilent("there is no master key".to_owned()))
}

fn broker_settings(settings: &Settings) -> BrokerSettings {
    BrokerSettings {
        public_url: settings.server.public_url.clone(),
        upstream_timeout: settings.upstream.timeout,
        attempt_slack: settings.refresh.slack,
        wait: settings.refresh.wait,
        backoff_min: settings.refresh.backoff_min,
        backoff_max: settings.refresh.backoff_max,
    }
}

fn account_settings(settings: &Settings) -> AccountSettings {
    AccountSettings {
        public_url: settings.server.public_url.clone(),
        hashes_at_once: settings.limits.password_hashes,
        hashes_waiting: settings.limits.password_waiters,
        sign_up_life: SIGN_UP_LIFE,
        sign_ups_per_hour: settings.limits.sign_ups_per_hour,
        mails_per_hour: settings.limits.mails_per_hour,
        failed_logins_per_minute: settings.limits.failed_logins_per_minute,
    }
}

fn catalog(settings: &Settings) -> Result<Catalog, StartError> {
    Ok(Catalog::load(BUILT_IN, &settings.providers.dirs, settings.upstream.allow_insecure)?)
}

pub(super) fn store(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, StartError> {
    Ok(match &settings.store.url {
        StoreUrl::Embedded(folder) => Arc::new(EmbeddedStore::open(folder, Arc::clone(clock))?),
        StoreUrl::Redis(url) => {
            let options = RedisOptions {
                connect_timeout: settings.store.connect_timeout,
                response_timeout: settings.store.timeout,
            };
            Arc::new(RedisStore::connect(url.expose(), options)?)
        }
    })
}

fn mailer(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    chance: &Arc<dyn Chance>,
) -> Result<Arc<dyn Mailer>, StartError> {
    let (clock, chance, from) = (Arc::clone(clock), Arc::clone(chance), settings.mail.from.as_str());
    Ok(match &settings.mail.route {
        MailRoute::Outbox(folder) => Arc::new(
            OutboxMailer::new(folder.clone(), from, clock, chance)
                .map_err(|error| StartError::Mail(error.to_string()))?,
        ),
        MailRoute::Smtp(url) => Arc::new(
            SmtpMailer::new(url, from, clock, chance).map_err(|error| StartError::Mail(error.to_string()))?,
        ),
    })
}

fn upstream(settings: &Settings) -> Result<HttpUpstream, StartError> {
    Ok(HttpUpstream::new(HttpOptions {
        allow_insecure: settings.upstream.allow_insecure,
        timeout: settings.upstream.timeout,
        connect_timeout: settings.upstream.connect_timeout,
    })?)
}

fn listen(key: &'static str, host: IpAddr, port: u16) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(host, port);
    TcpListener::bind(address).map_err(|source| StartError::Listen {
        key,
        address: address.to_string(),
        source,
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(StartError::io("the port of a listener"))
}

fn task_runtime() -> Result<Runtime, StartError> {
    Builder::new_multi_thread()
        .worker_threads(TASK_THREADS)
        .thread_name("tasks")
        .enable_all()
        .build()
        .map_err(StartError::io("threads for exchanges and refreshes"))
}
