//! The sections one by one, and what must hold between them.

use super::reader::Reader;
use super::{
    Admin, Audit, Cache, Events, Limits, Log, Mail, MailRoute, Providers, Refresh, Server, Settings, Store,
    StoreUrl, Tenants, Trace, Upstream, Vault, parse,
};
use crate::domain::HandoutRecords;
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

/// Stands in the `From` of mails that never leave the machine (RFC 2606 section 2).
const NOBODY: &str = "Grantkeep <no-reply@grantkeep.invalid>";

/// The longest that anything is believed that nobody told otherwise.
const LONGEST_KEPT: Duration = Duration::from_secs(5);
/// A deleted connection's token must not outlive an outage by much.
const LONGEST_STALE: Duration = Duration::from_hours(1);

/// Reads every section, so that the faults of all are found, and then compares them.
pub(super) fn settings(r: &mut Reader) -> Option<Settings> {
    let (server, admin, store, cache, vault) = (server(r), admin(r), store(r), cache(r), vault(r));
    let (mail, providers, upstream) = (mail(r), providers(r), upstream(r));
    let (refresh, tenants, audit, events) = (refresh(r), tenants(r), audit(r), events(r));
    let (limits, log, trace) = (limits(r), log(r), trace(r));
    if let (Some(server), Some(upstream), Some(refresh)) = (&server, &upstream, &refresh) {
        let needed = upstream.timeout + refresh.slack;
        if server.shutdown_timeout < needed {
            let problem = format!(
                "{} is too short: upstream.timeout and refresh.slack together are {}, and a refresh cut off in the \
                 middle may cost a connection",
                humantime::format_duration(server.shutdown_timeout),
                humantime::format_duration(needed),
            );
            r.refuse::<()>("server.shutdown_timeout", problem);
        }
    }
    if let (Some(server), Some(admin)) = (&server, &admin) {
        let overlap =
            server.host == admin.host || server.host.is_unspecified() || admin.host.is_unspecified();
        if overlap && server.port == admin.port && server.port != 0 {
            r.refuse::<()>("admin.port", format!("{} is server.port already", admin.port));
        }
    }
    Some(Settings {
        server: server?,
        admin: admin?,
        store: store?,
        cache: cache?,
        vault: vault?,
        mail: mail?,
        providers: providers?,
        upstream: upstream?,
        refresh: refresh?,
        tenants: tenants?,
        audit: audit?,
        events: events?,
        limits: limits?,
        log: log?,
        trace: trace?,
    })
}

fn server(r: &mut Reader) -> Option<Server> {
    let host = r.read("server.host", parse::ip);
    let port = r.read("server.port", parse::number(0, u16::MAX));
    let public_url = r.read("server.public_url", |text| match (text, host, port) {
        ("", Some(host), Some(port)) => derived_url(host, port).map(Some),
        // Their own faults are enough.
        ("", _, _) => Ok(None),
        _ => parse::public_url(text).map(Some),
    });
    let trusted_proxies = r.list("server.trusted_proxies", parse::network);
    let workers = r.read("server.workers", parse::per_core);
    let shutdown_timeout = r.read("server.shutdown_timeout", parse::duration);
    let body_limit = r.read("server.body_limit", parse::size);
    let data_folder = r.read("server.data_folder", parse::folder);
    Some(Server {
        host: host?,
        port: port?,
        public_url: public_url??,
        trusted_proxies: trusted_proxies?,
        workers: workers?,
        shutdown_timeout: shutdown_timeout?,
        body_limit: body_limit?,
        data_folder: data_folder?,
    })
}

fn derived_url(host: IpAddr, port: u16) -> Result<Url, String> {
    if host.is_loopback() {
        parse::public_url(&format!("http://{}", std::net::SocketAddr::new(host, port)))
    } else {
        Err(format!(
            "must be set where server.host is not loopback ({host}): the https URL under which browsers reach this server"
        ))
    }
}

fn admin(r: &mut Reader) -> Option<Admin> {
    let host = r.read("admin.host", parse::ip);
    let port = r.read("admin.port", parse::number(0, u16::MAX));
    Some(Admin { host: host?, port: port? })
}

fn store(r: &mut Reader) -> Option<Store> {
    let url = r.secret("store.url", parse::store_url);
    let timeout = r.read("store.timeout", parse::duration);
    let connect_timeout = r.read("store.connect_timeout", parse::duration);
    let authority = r.read("store.ca_file", parse::certificates);
    let user = r.read("store.sentinel_user", |text| Ok(text.to_owned()));
    let password = r.secret("store.sentinel_password", |secret| Ok(secret.clone()));
    let replicas = r.read("store.replicas", parse::number(0, 16));
    let url = url?;
    let (redis, tls, sentinel) = match url {
        StoreUrl::Embedded(_) => (false, false, false),
        StoreUrl::Redis { tls, sentinel, .. } => (true, tls, sentinel),
    };
    if !tls && authority.as_ref().is_some_and(Option::is_some) {
        r.refuse::<()>("store.ca_file", "is for TLS: store.url must be rediss://… or one of its like");
    }
    let (user, password) = (user?, password?);
    let login = !user.is_empty() || !password.is_empty();
    if login && !sentinel {
        let problem = "is for the sentinels of redis-sentinel://; the servers' user stands in store.url";
        r.refuse::<()>("store.sentinel_password", problem);
    }
    if !user.is_empty() && password.is_empty() {
        r.refuse::<()>("store.sentinel_password", "must be set where store.sentinel_user is");
    }
    if !redis && replicas.is_some_and(|count| count > 0) {
        r.refuse::<()>("store.replicas", "is for Redis: the embedded store has no replicas");
    }
    let sentinel_login = (!password.is_empty()).then_some((user, password));
    Some(Store {
        url,
        timeout: timeout?,
        connect_timeout: connect_timeout?,
        authority: authority?,
        sentinel_login,
        replicas: replicas?,
    })
}

fn cache(r: &mut Reader) -> Option<Cache> {
    let ttl = r.read("cache.ttl", |text| match (text, parse::duration(text)) {
        ("0", _) => Ok(Duration::ZERO),
        (_, Ok(ttl)) if ttl > LONGEST_KEPT => Err("must be 5s at most".to_owned()),
        (_, Ok(ttl)) => Ok(ttl),
        (_, Err(problem)) => Err(format!("{problem}; 0 keeps nothing")),
    });
    let memory = r.read("cache.memory", parse::size);
    let stale_if_down = r.read("cache.stale_if_down", |text| match (text, parse::duration(text)) {
        ("0", _) => Ok(Duration::ZERO),
        (_, Ok(span)) if span > LONGEST_STALE => Err("must be 1h at most".to_owned()),
        (_, Ok(span)) => Ok(span),
        (_, Err(problem)) => Err(format!("{problem}; 0 hands out nothing")),
    });
    Some(Cache { ttl: ttl?, stale_if_down: stale_if_down?, memory: memory? })
}

fn vault(r: &mut Reader) -> Option<Vault> {
    r.secret("vault.master_keys", parse::master_keys).map(|master_keys| Vault { master_keys })
}

fn mail(r: &mut Reader) -> Option<Mail> {
    let route = r.secret("mail.url", parse::mail_url);
    let from = r.read("mail.from", |text| match (text, &route) {
        ("", Some(MailRoute::Smtp(_))) => {
            Err("must be set where mail.url is SMTP, such as `Acme <no-reply@acme.example>`".to_owned())
        }
        ("", _) => Ok(NOBODY.to_owned()),
        _ => parse::sender(text),
    });
    let timeout = r.read("mail.timeout", parse::duration);
    let backoff_min = r.read("mail.backoff_min", parse::duration);
    let backoff_max = r.read("mail.backoff_max", parse::duration);
    if let (Some(first), Some(longest)) = (backoff_min, backoff_max)
        && longest < first
    {
        r.refuse::<()>("mail.backoff_max", "must not be shorter than mail.backoff_min");
    }
    let keep_trying = r.read("mail.keep_trying", parse::duration);
    Some(Mail {
        route: route?,
        from: from?,
        timeout: timeout?,
        backoff_min: backoff_min?,
        backoff_max: backoff_max?,
        keep_trying: keep_trying?,
    })
}

fn providers(r: &mut Reader) -> Option<Providers> {
    r.list("providers.dirs", parse::folder).map(|dirs| Providers { dirs })
}

fn upstream(r: &mut Reader) -> Option<Upstream> {
    let allow_insecure = r.read("upstream.allow_insecure", parse::flag);
    let timeout = r.read("upstream.timeout", parse::duration);
    let connect_timeout = r.read("upstream.connect_timeout", parse::duration);
    if let (Some(whole), Some(part)) = (timeout, connect_timeout)
        && part >= whole
    {
        r.refuse::<()>("upstream.connect_timeout", "must be shorter than upstream.timeout");
    }
    let at_once = r.read("upstream.at_once", parse::number(1, 100_000));
    let failures = r.read("upstream.failures", parse::number(1, u32::MAX));
    let pause = r.read("upstream.pause", parse::duration);
    Some(Upstream {
        allow_insecure: allow_insecure?,
        timeout: timeout?,
        connect_timeout: connect_timeout?,
        at_once: at_once?,
        failures: failures?,
        pause: pause?,
    })
}

fn refresh(r: &mut Reader) -> Option<Refresh> {
    let slack = r.read("refresh.slack", parse::duration);
    let wait = r.read("refresh.wait", parse::duration);
    let rest = r.read("refresh.rest", parse::duration);
    let backoff_min = r.read("refresh.backoff_min", parse::duration);
    let backoff_max = r.read("refresh.backoff_max", parse::duration);
    let background = r.read("refresh.background", parse::flag);
    let background_at_once = r.read("refresh.background_at_once", parse::number(1, 10_000));
    let pace = r.read("refresh.pace", parse::duration);
    let used_within = r.read("refresh.used_within", parse::duration);
    let notice = r.read("refresh.notice", parse::duration);
    let epoch = r.read("refresh.epoch", parse::duration);
    let hold = r.read("refresh.hold", parse::flag);
    if let (Some(first), Some(longest)) = (backoff_min, backoff_max)
        && longest < first
    {
        r.refuse::<()>("refresh.backoff_max", "must not be shorter than refresh.backoff_min");
    }
    Some(Refresh {
        slack: slack?,
        wait: wait?,
        rest: rest?,
        backoff_min: backoff_min?,
        backoff_max: backoff_max?,
        background: background?,
        background_at_once: background_at_once?,
        pace: pace?,
        used_within: used_within?,
        notice: notice?,
        epoch: epoch?,
        hold: hold?,
    })
}

fn tenants(r: &mut Reader) -> Option<Tenants> {
    r.read("tenants.deletion_pause", parse::duration).map(|deletion_pause| Tenants { deletion_pause })
}

fn audit(r: &mut Reader) -> Option<Audit> {
    let retention = r.read("audit.retention", retention);
    let heads = r.read("audit.heads", parse::duration);
    let handouts = r.read("audit.handouts", |text| {
        HandoutRecords::parse(text).ok_or_else(|| format!("`{text}` is none of before, behind and off"))
    });
    Some(Audit { retention: retention?, handouts: handouts?, heads: heads? })
}

fn events(r: &mut Reader) -> Option<Events> {
    let kept = r.read("events.retention", retention);
    let refreshed = r.read("events.refreshed", parse::flag);
    Some(Events { retention: kept?, refreshed: refreshed? })
}

fn retention(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "0" => Ok(None),
        _ => {
            parse::duration(text).map(Some).map_err(|problem| format!("{problem}; 0 keeps records for ever"))
        }
    }
}

fn limits(r: &mut Reader) -> Option<Limits> {
    let per_address = r.read("limits.per_address", parse::rate);
    let per_key = r.read("limits.per_key", parse::rate);
    let per_tenant = r.read("limits.per_tenant", parse::rate);
    let at_once = r.read("limits.at_once", parse::number(0, 10_000_000));
    let password_hashes = r.read("limits.password_hashes", parse::per_core);
    let password_waiters = r.read("limits.password_waiters", parse::number(0, 100_000));
    let sign_ups_per_hour = r.read("limits.sign_ups_per_hour", parse::number(1, u32::MAX));
    let mails_per_hour = r.read("limits.mails_per_hour", parse::number(1, u32::MAX));
    let failed_logins_per_minute = r.read("limits.failed_logins_per_minute", parse::number(1, u32::MAX));
    Some(Limits {
        per_address: per_address?,
        per_key: per_key?,
        per_tenant: per_tenant?,
        at_once: at_once?,
        password_hashes: password_hashes?,
        password_waiters: password_waiters?,
        sign_ups_per_hour: sign_ups_per_hour?,
        mails_per_hour: mails_per_hour?,
        failed_logins_per_minute: failed_logins_per_minute?,
    })
}

fn log(r: &mut Reader) -> Option<Log> {
    let json = r.read("log.format", parse::json);
    let level = r.read("log.level", parse::level);
    Some(Log { json: json?, level: level? })
}

fn trace(r: &mut Reader) -> Option<Trace> {
    let url = r.read("trace.url", |text| match text {
        "" => Ok(None),
        _ => parse::collector(text).map(Some),
    });
    let headers = r.secret("trace.headers", parse::headers);
    let sample = r.read("trace.sample", parse::part);
    let follow = r.read("trace.follow", parse::flag);
    let service = r.read("trace.service", parse::service);
    Some(Trace { url: url?, headers: headers?, sample: sample?, follow: follow?, service: service? })
}
