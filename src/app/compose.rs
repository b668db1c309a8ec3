//! Settings become adapters, adapters fill ports, ports carry rooms.

use super::error::StartError;
use super::instance::{self, Instance};
use super::running::{Background, Parts, Running};
use super::store::{self, Opened};
use crate::accounts::{AccountSettings, Accounts, MailSettings};
use crate::adapters::http::{HttpOptions, HttpUpstream, install_tls};
use crate::adapters::otlp::OtlpClient;
use crate::adapters::outbox::OutboxMailer;
use crate::adapters::pages::FolderPages;
use crate::adapters::smtp::SmtpMailer;
use crate::adapters::system::{SystemChance, SystemClock};
use crate::admission::AdmissionSettings;
use crate::broker::{AheadSettings, Broker, BrokerPorts, BrokerSettings, HostSettings};
use crate::catalog::{BUILT_IN, Catalog};
use crate::config::{MailRoute, MasterKey, Settings};
use crate::http::{self, DoorSettings, HttpSettings, HttpState};
use crate::jobs::{self, Job};
use crate::ports::{Chance, Clock, Mailer, Tasks};
use crate::telemetry::traces::{TraceOptions, Traces};
use crate::telemetry::{logs, metrics};
use crate::vault::{AuditOptions, HotOptions, Keyring, Vault};
use actix_web::web::ServiceConfig;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long the link of a sign-up is good.
const SIGN_UP_LIFE: Duration = Duration::from_hours(24);
/// How long a link to set a new password is good (OWASP Forgot Password cheat sheet: an appropriate, short time).
const RESET_LIFE: Duration = Duration::from_hours(1);
/// Threads for exchanges, refreshes and mail: they wait for others most of the time.
const TASK_THREADS: usize = 2;

/// Starts both servers and returns once they listen and the store answers.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    start_by(settings, Arc::new(SystemClock::new())).await
}

/// As [`start`], by another clock than the machine's. Redis keeps its own time all the same.
pub async fn start_by(mut settings: Settings, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    install_tls();
    let runtime = task_runtime()?;
    let tasks = Tasks::new(runtime.handle().clone());
    // From here on it must not be dropped as it is, whatever fails.
    let runtime = Background::new(runtime);
    let traces = traces(&settings, &tasks)?;
    logs::init(settings.log.json, settings.log.level, traces.as_ref());
    metrics::init();
    let public = listen("server.port", settings.server.host, settings.server.port)?;
    let admin = listen("admin.port", settings.admin.host, settings.admin.port)?;
    let (public_at, admin_at) = (address(&public)?, address(&admin)?);
    settings.server.bound(public_at.port());
    let (state, instance) = compose(&settings, clock, &tasks).await?;
    let http = HttpSettings {
        door: door(&settings),
        public,
        admin,
        workers: settings.server.workers,
        shutdown_timeout: settings.server.shutdown_timeout,
    };
    let parts = Parts {
        public_at,
        admin_at,
        public_url: settings.server.public_url,
        patience: settings.server.shutdown_timeout,
        tasks,
        runtime,
        traces,
        _instance: instance,
    };
    Running::begin(parts, http, state).await
}

/// Everything that [`start`] composes, without a port and without an end: for measurements of the routes themselves. `tasks`
/// do what goes on behind the answers.
pub async fn routes(
    settings: &Settings,
    tasks: &Tasks,
) -> Result<impl Fn(&mut ServiceConfig) + Clone + Send + 'static, StartError> {
    install_tls();
    let (state, instance) = compose(settings, Arc::new(SystemClock::new()), tasks).await?;
    let routes = http::routes(door(settings), state);
    let instance = Arc::new(instance);
    Ok(move |app: &mut ServiceConfig| {
        // Held as long as they are.
        app.app_data(Arc::clone(&instance));
        routes(app);
    })
}

fn door(settings: &Settings) -> DoorSettings {
    DoorSettings {
        admission: AdmissionSettings {
            per_address: settings.limits.per_address,
            per_key: settings.limits.per_key,
            per_tenant: settings.limits.per_tenant,
            at_once: settings.limits.at_once,
        },
        body_limit: settings.server.body_limit,
        public_url: settings.server.public_url.clone(),
        trusted_proxies: settings.server.trusted_proxies.clone(),
    }
}

/// What was found to be good enough to start with.
pub struct Checked {
    /// How many provider files there are.
    pub providers: usize,
    /// What should be otherwise, and how.
    pub warnings: Vec<String>,
}

/// Reads everything that a start would read and asks the store, and listens nowhere.
pub async fn check(settings: &Settings) -> Result<Checked, StartError> {
    install_tls();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let catalog = catalog(settings)?;
    let chance: Arc<dyn Chance> = Arc::new(SystemChance);
    let mailer = mailer(settings, &clock, &chance)?;
    upstream(settings)?;
    traces(settings, &Tasks::new(tokio::runtime::Handle::current()))?;
    let warnings = store::open(settings, &clock).await?.warnings;
    mailer.check().await.map_err(|error| StartError::MailServer(error.to_string()))?;
    Ok(Checked { providers: catalog.iter().count(), warnings })
}

/// The vault alone, with the store answering: for commands that work on what is kept, beside servers or without one.
pub async fn vault(settings: &Settings) -> Result<Vault, StartError> {
    install_tls();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let chance: Arc<dyn Chance> = Arc::new(SystemChance);
    Ok(open_vault(settings, &clock, &chance).await?.0)
}

pub(super) async fn open_vault(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    chance: &Arc<dyn Chance>,
) -> Result<(Vault, Opened), StartError> {
    let opened = store::open(settings, clock).await?;
    for warning in &opened.warnings {
        tracing::warn!("{warning}");
    }
    let (store, clock) = (Arc::clone(&opened.store), Arc::clone(&opened.clock));
    let vault = Vault::new(store, clock, Arc::clone(chance), keyring(settings)?);
    let memory = u64::try_from(settings.cache.memory).unwrap_or(u64::MAX);
    let vault = vault.keeping(HotOptions {
        ttl: settings.cache.ttl,
        stale_if_down: settings.cache.stale_if_down,
        memory,
    });
    Ok((vault.telling_refreshes(settings.events.refreshed), opened))
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
    let (vault, opened) = open_vault(settings, &clock, &chance).await?;
    let (vault, clock) = (Arc::new(vault), opened.clock);
    let mut keys = settings.vault.master_keys.iter().map(MasterKey::id);
    tracing::info!(wraps = keys.next(), opens_too = ?keys.collect::<Vec<_>>(), "master keys");
    // Not before the store has answered: a start that fails leaves nothing behind.
    let instance = instance::hold(&settings.server.data_folder, &*chance)?;
    let audit = AuditOptions { instance: instance.id.clone(), retention: settings.audit.retention };
    vault.write_audit(audit, tasks);
    let spool = FolderPages::new(settings.server.data_folder.join("audit"));
    vault.spool_audit(Arc::new(spool), tasks);
    vault.take_up_spooled_audit().await;
    if !settings.cache.ttl.is_zero() {
        vault.heed(&tasks.runtime());
    }
    let ports = BrokerPorts {
        clock: Arc::clone(&clock),
        chance: Arc::clone(&chance),
        upstream: Arc::new(upstream),
        outages: opened.outages,
        spill: Arc::new(FolderPages::new(settings.server.data_folder.join("spill"))),
        memory: Arc::new(FolderPages::new(settings.server.data_folder.join("epoch"))),
        tasks: tasks.clone(),
    };
    if settings.refresh.hold {
        tracing::warn!(
            "refresh.hold is on: no refresh that spends a refresh token is sent until it is off again"
        );
    }
    let broker =
        Arc::new(Broker::new(Arc::clone(&vault), catalog, ports, broker_settings(settings, &instance)));
    broker.watch_epoch().await;
    // Before anything is refreshed: what waits here may be what the store lacks.
    broker.take_up_spilled().await;
    let accounts = Accounts::new(
        Arc::clone(&vault),
        Arc::clone(&clock),
        Arc::clone(&chance),
        mailer,
        tasks.clone(),
        account_settings(settings),
    );
    let asked = Arc::clone(&vault);
    let state = HttpState {
        accounts: Arc::new(accounts),
        broker: Arc::clone(&broker),
        clock,
        chance,
        metrics: Arc::new(metrics::render),
        ready: Arc::new(move || {
            let vault = Arc::clone(&asked);
            Box::pin(async move { vault.ping().await.is_ok() })
        }),
    };
    jobs::start(work_by_itself(settings, &vault, &state), tasks, &state.chance);
    Ok((state, instance))
}

fn keyring(settings: &Settings) -> Result<Keyring, StartError> {
    let keys = settings.vault.master_keys.iter().map(|key| (key.id(), key.expose()));
    // The configuration has refused an empty list before.
    Keyring::new(keys).ok_or_else(|| StartError::StoreSilent("there is no master key".to_owned()))
}

/// What the server does by itself.
fn work_by_itself(settings: &Settings, vault: &Arc<Vault>, state: &HttpState) -> Vec<Job> {
    let mut jobs = jobs::audit(vault, &settings.audit);
    jobs.push(jobs::mails(&state.accounts, settings.mail.backoff_min));
    jobs.extend(jobs::events(vault, &settings.events));
    jobs.extend(jobs::refreshes(&state.broker, settings.refresh.pace));
    jobs.push(jobs::epoch(&state.broker, settings.refresh.epoch));
    jobs.push(jobs::went_back(&state.broker));
    jobs.push(jobs::spooled(vault));
    jobs.push(jobs::deletions(&state.broker, settings.tenants.deletion_pause));
    jobs
}

fn broker_settings(settings: &Settings, instance: &Instance) -> BrokerSettings {
    BrokerSettings {
        public_url: settings.server.public_url.clone(),
        upstream_timeout: settings.upstream.timeout,
        attempt_slack: settings.refresh.slack,
        wait: settings.refresh.wait,
        backoff_min: settings.refresh.backoff_min,
        backoff_max: settings.refresh.backoff_max,
        rest: settings.refresh.rest,
        hosts: HostSettings {
            at_once: settings.upstream.at_once,
            opens_after: settings.upstream.failures,
            pause: settings.upstream.pause,
        },
        ahead: AheadSettings {
            background: settings.refresh.background,
            used_within: settings.refresh.used_within,
            notice: settings.refresh.notice,
        },
        ahead_at_once: settings.refresh.background_at_once,
        hold: settings.refresh.hold,
        epoch: settings.refresh.epoch,
        handouts: settings.audit.handouts,
        instance: instance.id.clone(),
    }
}

fn account_settings(settings: &Settings) -> AccountSettings {
    AccountSettings {
        public_url: settings.server.public_url.clone(),
        hashes_at_once: settings.limits.password_hashes,
        hashes_waiting: settings.limits.password_waiters,
        sign_up_life: SIGN_UP_LIFE,
        reset_life: RESET_LIFE,
        mail: MailSettings {
            timeout: settings.mail.timeout,
            backoff_min: settings.mail.backoff_min,
            backoff_max: settings.mail.backoff_max,
            keep_trying: settings.mail.keep_trying,
        },
        sign_ups_per_hour: settings.limits.sign_ups_per_hour,
        mails_per_hour: settings.limits.mails_per_hour,
        failed_logins_per_minute: settings.limits.failed_logins_per_minute,
    }
}

fn catalog(settings: &Settings) -> Result<Catalog, StartError> {
    Ok(Catalog::load(BUILT_IN, &settings.providers.dirs, settings.upstream.allow_insecure)?)
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
            SmtpMailer::new(url, from, settings.mail.timeout, clock, chance)
                .map_err(|error| StartError::Mail(error.to_string()))?,
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

/// The way to the collector, on the runtime of tasks: it is there until everything else has ended.
fn traces(settings: &Settings, tasks: &Tasks) -> Result<Option<Traces>, StartError> {
    let Some(url) = &settings.trace.url else { return Ok(None) };
    let fault = |error: &dyn std::fmt::Display| StartError::Traces(error.to_string());
    let client = OtlpClient::new(url.clone(), &settings.trace.headers, tasks.runtime())
        .map_err(|error| fault(&error))?;
    let options = TraceOptions {
        url: url.to_string(),
        service: settings.trace.service.clone(),
        sample: settings.trace.sample,
        follow: settings.trace.follow,
    };
    Traces::new(options, client).map(Some).map_err(|error| fault(&error))
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
