//! The audit trail through the front door: who got or changed what, on both stores; and what `grantkeep audit verify` says
//! when somebody has been at the store.

mod deeds;
mod keeping;
mod reading;
mod retention;
mod several;
mod tampering;
mod trouble;

use crate::support::app::{App, Stores};
use crate::support::redis::RedisServer;
use crate::support::tenant::Tenant;
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::app::{AuditCall, new_master_key, verify_audit};
use grantkeep::config::Settings;
use grantkeep::domain::{Id, TenantId};
use grantkeep::vault::{HeadsLog, Verified};
use serde_json::Value;
use std::sync::Arc;
use tempfile::TempDir;

/// The whole trail as its tenant sees it, the newest first.
async fn trail(tenant: &Tenant) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = tenant.get(&format!("/v1/audit?limit=100{cursor}")).await.expect(200).body;
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Those of one action, the newest first.
async fn of_action(tenant: &Tenant, action: &str) -> Vec<Value> {
    let mut items = trail(tenant).await;
    items.retain(|item| item["action"] == action);
    items
}

/// Settings for the command, on the store of a server whose master key is known.
fn settings(store: &str, master_key: &str, further: &[(&str, &str)]) -> Settings {
    let mut all = vec![("store.url", store.to_owned()), ("vault.master_keys", master_key.to_owned())];
    all.extend(further.iter().map(|(key, value)| (*key, (*value).to_owned())));
    Settings::load(None, std::iter::empty(), &all).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What `grantkeep audit verify` finds wrong with one tenant's trail.
async fn verified(settings: &Settings, tenant: &str, heads: &str) -> (Verified, Vec<String>) {
    let mut log = HeadsLog::default();
    heads.lines().for_each(|line| log.read_line(line));
    let call = AuditCall { tenant: TenantId::parse(tenant), heads: log };
    let mut faults = Vec::new();
    let mut tell = |fault: grantkeep::vault::TrailFault| faults.push(fault.to_string());
    let verified = verify_audit(settings, &call, &mut tell).await.unwrap_or_else(|error| panic!("{error}"));
    (verified, faults)
}

/// A server on Redis, its tenant, and a hand that writes to the store.
struct Scene {
    app: App,
    tenant: Tenant,
    redis: Arc<RedisServer>,
    settings: Settings,
}

impl Scene {
    /// A tenant with some twenty records.
    async fn new() -> Self {
        let (redis, key) = (RedisServer::shared(), new_master_key(Some("test")));
        let app = App::start_with(Stores::Redis(Arc::clone(&redis)), &[("vault.master_keys", &key)]).await;
        let tenant = Tenant::new(&app).await;
        for _ in 0..18 {
            tenant.token("nobody").await.expect(404);
        }
        let settings = settings(&redis.url(), &key, &[]);
        Self { app, tenant, redis, settings }
    }

    /// The instance that the server is.
    fn instance(&self) -> String {
        let id = std::fs::read_to_string(self.app.folder().join("data/instance")).expect("an id");
        id.trim().to_owned()
    }

    fn name(&self, kind: &str) -> String {
        format!("gk:{{{}}}:{kind}:{}", self.tenant.id(), self.instance())
    }

    /// The entries of the stream: id and fields.
    fn entries(&self) -> Vec<(String, Vec<(String, String)>)> {
        self.redis.say(&["XRANGE", &self.name("audit"), "-", "+"])
    }

    /// Puts a stream with these entries in the place of the one that is there.
    fn rewrite(&self, entries: &[(String, Vec<(String, String)>)]) {
        let name = self.name("audit");
        self.redis.say::<i64>(&["DEL", &name]);
        for (id, fields) in entries {
            let mut words = vec!["XADD", &name, id];
            words.extend(fields.iter().flat_map(|(field, value)| [field.as_str(), value.as_str()]));
            self.redis.say::<String>(&words);
        }
    }

    async fn faults(&self) -> Vec<String> {
        verified(&self.settings, self.tenant.id(), "").await.1
    }

    /// Nothing is wrong, and so many records are there.
    async fn sound(&self) -> u64 {
        let (verified, faults) = verified(&self.settings, self.tenant.id(), "").await;
        assert_eq!(faults, [""; 0]);
        verified.records
    }
}

/// A copy of a server's database, which the server itself holds.
fn copy_of(app: &App) -> TempDir {
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = copy.path().join("grantkeep.db").display().to_string();
    let database = rusqlite::Connection::open(app.folder().join("data/grantkeep.db")).expect("it opens");
    database.execute("VACUUM INTO ?1", [file]).expect("a copy");
    copy
}

fn redis_store(url: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions::default()).expect("a good URL")
}
