//! The refresh protocol through the front door, against a sandbox that misbehaves.

mod ahead;
mod clocks;
mod deletion;
mod epoch;
mod events;
mod faults;
mod fleet;
mod forced;
mod held;
mod hosts;
mod model;
mod outcomes;
mod proofs;
mod reads;
mod spilled;
mod stopping;
mod store_trouble;
mod wishes;

use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::tenant::{Answer, Tenant, answer, with_json};
use grantkeep::adapters::system::SystemClock;
use grantkeep::domain::Timestamp;
use grantkeep::ports::Clock;
use grantkeep::sandbox::{Behaviour, Counts, Endpoint, FamilyCounts, Fault, Grant, Rotation, Rule, Sandbox};
use reqwest::Method;
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;
use tempfile::TempDir;

/// Long enough that nothing expires in a case.
const LONG: Duration = Duration::from_hours(1);
/// As short as a lifetime can be said.
const SHORT: Duration = Duration::from_secs(1);

/// How a provider treats refresh tokens: what its file says, and what the sandbox does.
#[derive(Clone, Copy)]
struct Mode {
    /// The lines under `[refresh]`.
    file: &'static str,
    rotation: Rotation,
}

/// A refresh spends nothing.
const NONE: Mode = Mode { file: "rotation = \"none\"", rotation: Rotation::None };
/// The spent token works for ten seconds more.
const GRACE: Mode = Mode { file: "rotation = \"grace\"\ngrace = \"10s\"", rotation: Rotation::Grace };
/// It does not; after an unknown outcome it is tried all the same.
const STRICT: Mode =
    Mode { file: "rotation = \"strict\"\non_unknown = \"retry\"", rotation: Rotation::Strict };
/// It does not, and is not tried.
const CAREFUL: Mode =
    Mode { file: "rotation = \"strict\"\non_unknown = \"reauthorize\"", rotation: Rotation::Strict };

impl Mode {
    /// The sandbox's own file with other lines under `[refresh]`, in a folder for `providers.dirs`.
    fn folder(self) -> TempDir {
        const KNOWN: &str = "rotation = \"strict\"\non_unknown = \"retry\"";
        let own = include_str!("../../../providers/sandbox.toml");
        assert!(own.contains(KNOWN), "the sandbox's file has other lines under [refresh] now");
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        std::fs::write(folder.path().join("sandbox.toml"), own.replace(KNOWN, self.file)).expect("a file");
        folder
    }
}

/// Failures are tried again soon.
const QUICK: &[(&str, &str)] = &[("refresh.backoff_min", "20ms"), ("refresh.backoff_max", "40ms")];

/// And requests do not last long: for cases in which one lasts too long. A machine with other things to do may be too slow
/// for them, so they are not for the others.
const HASTY: &[(&str, &str)] =
    &[("upstream.timeout", "2s"), ("upstream.connect_timeout", "1s"), ("refresh.slack", "1s"), UNKEPT];

/// Nothing is kept: for cases that change a record behind the servers' backs.
const UNKEPT: (&str, &str) = ("cache.ttl", "0");

/// A server, a sandbox and a tenant that has enabled it.
struct Stage {
    app: App,
    sandbox: Sandbox,
    tenant: Tenant,
    mode: Mode,
    _files: TempDir,
}

/// Somebody who is connected.
struct Connected {
    id: String,
    /// The number of their family at the sandbox.
    family: u64,
    /// Their first token.
    token: String,
    user: String,
}

impl Stage {
    /// With [`QUICK`] and further settings.
    async fn new(stores: Stores, mode: Mode, further: &[(&str, &str)]) -> Self {
        let files = mode.folder();
        let folder = files.path().display().to_string();
        let mut settings = vec![("providers.dirs", folder.as_str())];
        settings.extend(QUICK.iter().filter(|(key, _)| further.iter().all(|(other, _)| other != key)));
        settings.extend(further);
        let app = App::start_with(stores, &settings).await;
        Self::on(app, mode, files).await
    }

    /// On a server that runs already and knows these files.
    async fn on(app: App, mode: Mode, files: TempDir) -> Self {
        let sandbox = sandbox(LONG).await;
        let tenant = Tenant::new(&app).await;
        tenant.enable(&sandbox).await.expect(201);
        Self { app, sandbox, tenant, mode, _files: files }
    }

    /// What the sandbox does from now on.
    fn behave(&self, access_lifetime: Duration) {
        let Mode { rotation, .. } = self.mode;
        self.sandbox.control().behave(Behaviour { access_lifetime, rotation, ..Behaviour::default() });
    }

    /// Connects somebody whose first token lives that long; those that follow live long.
    async fn connect(&self, user: &str, lifetime: Duration) -> Connected {
        self.behave(lifetime);
        let connection = self.tenant.connect(user).await;
        self.behave(LONG);
        let id = connection["id"].as_str().expect("an id").to_owned();
        let family = *self.counts().families.keys().last().expect("a family");
        // Not asked of us where it is to expire: half-way there it would be refreshed.
        let token = if lifetime == LONG {
            self.token(user).await.expect(200).text("access_token")
        } else {
            String::new()
        };
        Connected { id, family, token, user: user.to_owned() }
    }

    fn counts(&self) -> Counts {
        self.sandbox.control().counts()
    }

    fn family(&self, of: &Connected) -> FamilyCounts {
        self.counts().families[&of.family].clone()
    }

    /// Strikes the next refresh.
    fn strike(&self, fault: Fault) {
        self.rule(Rule::new(Endpoint::Token, fault).times(1));
    }

    /// The same after it took effect.
    fn strike_after(&self, fault: Fault) {
        self.rule(Rule::new(Endpoint::Token, fault).times(1).after_effect());
    }

    fn rule(&self, rule: Rule) {
        assert!(self.sandbox.control().fault(rule.only(Grant::RefreshToken)));
    }

    async fn token(&self, user: &str) -> Answer {
        self.tenant.token(user).await
    }

    /// A token from a refresh that begins now.
    async fn forced(&self, user: &str) -> Answer {
        ask(&self.tenant, user, &json!({ "force_refresh": true })).await
    }

    /// The connection as the tenant sees it.
    async fn seen(&self, of: &Connected) -> Value {
        self.tenant.get(&format!("/v1/connections/{}", of.id)).await.expect(200).body
    }

    /// Waits out the life of somebody's token.
    async fn expire(&self, of: &Connected) {
        expired(&self.seen(of).await["expires_at"]).await;
    }

    /// Waits until a failed refresh may be tried again.
    async fn rest(&self, of: &Connected) {
        expired(&self.seen(of).await["retry_at"]).await;
    }

    /// What an API says to a token.
    async fn works(&self, token: &str) -> bool {
        works(&self.sandbox, token).await
    }
}

/// True when the sandbox's API takes the token.
async fn works(sandbox: &Sandbox, token: &str) -> bool {
    let call = crate::support::browser::http().get(format!("{}/me", sandbox.base_url())).bearer_auth(token);
    answer(call).await.status == 200
}

/// Asks for a token with further fields.
async fn ask(tenant: &Tenant, user: &str, further: &Value) -> Answer {
    let mut body = json!({ "provider": "sandbox", "end_user": user });
    body.as_object_mut().expect("an object").extend(further.as_object().expect("an object").clone());
    answer(with_json(tenant.request(Method::POST, "/get-access-token"), &body)).await
}

/// Waits for a time that an answer names; an absent one is past.
async fn expired(at: &Value) {
    let Some(at) = at.as_str().map(|text| Timestamp::parse(text).expect("a time")) else { return };
    tokio::time::sleep(at.since(SystemClock::new().now()) + Duration::from_millis(2)).await;
}

/// Looks until it is so, ten seconds at most.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    for _ in 0..1000 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be that {what}")
}
