//! Proofs of the refresh protocol: several processes of the real binary on a real Redis, a provider that counts, and whatever
//! can go wrong. Each notes its figures; `make soak` runs the longer forms.

mod at_once;
mod hangs;
mod hostile;
mod kills;
mod neighbour;
mod points;
mod restarts;
mod stores;

use super::fleet::Fleet;
use super::*;
use crate::support::figures;

/// True where the longer forms are wanted.
fn soak() -> bool {
    std::env::var_os("GRANTKEEP_TEST_SOAK").is_some()
}

/// Time-outs scaled down: an attempt lasts a second and a half.
const SCALED: &[(&str, &str)] = &[
    ("upstream.timeout", "1s"),
    ("upstream.connect_timeout", "500ms"),
    ("refresh.slack", "500ms"),
    ("refresh.wait", "10s"),
    UNKEPT,
];

/// Lets a connection's token be expired, as our record of it says.
fn expire_now(redis: &crate::support::redis::RedisServer, stage: &Stage, user: &str) {
    let key = format!("gk:{{{}}}:connection:sandbox:{user}:", stage.tenant.id());
    let fields: i64 = redis.say(&["HSET", &key, "expires_at", "1000"]);
    assert_eq!(fields, 0, "it was there");
}

/// A forced refresh at a server that may be dying, or whose store is; what came of it, if anything did.
async fn tried(tenant: &Tenant, user: &str) -> Option<Answer> {
    let body = json!({ "provider": "sandbox", "end_user": user, "force_refresh": true });
    let response = with_json(tenant.request(Method::POST, "/get-access-token"), &body).send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.ok()?;
    Some(Answer { status, headers, body: serde_json::from_slice(&bytes).ok()? })
}
