//! Records go when their time is over, and what is left still verifies.

use super::*;
use crate::support::clock::Ahead;
use grantkeep::adapters::system::SystemClock;
use grantkeep::ports::Clock;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// Until the job has let everything go that is old enough.
async fn trimmed(tenant: &Tenant, left: usize) {
    for _ in 0..1500 {
        let items = trail(tenant).await;
        let old = items.iter().filter(|item| item["action"] != "audit.read").count();
        if old <= left {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing goes");
}

/// On a Redis of its own: the job goes over every tenant there is.
#[tokio::test]
async fn what_is_old_goes_on_redis() {
    what_is_old_goes_and_leaves_a_checkpoint(Stores::Redis(Arc::new(RedisServer::start(&[])))).await;
}

#[tokio::test]
async fn what_is_old_goes_on_the_embedded_store() {
    what_is_old_goes_and_leaves_a_checkpoint(Stores::Embedded).await;
}

async fn what_is_old_goes_and_leaves_a_checkpoint(stores: Stores) {
    let (key, clock) = (new_master_key(Some("test")), Arc::new(Ahead::default()));
    let further = [("vault.master_keys", key.as_str()), ("audit.retention", "2s")];
    let redis = match &stores {
        Stores::Redis(redis) => Some(redis.url()),
        _ => None,
    };
    let app = App::start_by(stores, &further, Arc::clone(&clock) as Arc<dyn Clock>).await;
    let tenant = Tenant::new(&app).await;
    for _ in 0..10 {
        tenant.token("nobody").await.expect(404);
    }
    clock.pass(DAY);
    trimmed(&tenant, 0).await;
    tenant.token("nobody").await.expect(404);
    let kept = of_action(&tenant, "token.handed_out").await;
    assert!(kept.len() == 1 && kept[0]["sequence"].as_u64().expect("a number") > 12, "{kept:?}");
    let copy = copy_of_embedded(&app, redis.is_none());
    let url =
        redis.unwrap_or_else(|| format!("embedded:{}", copy.as_ref().expect("a copy").path().display()));
    let settings = settings(&url, &key, &[("audit.retention", "2s")]);
    let (found, faults) = verified(&settings, tenant.id(), "").await;
    assert_eq!(faults, [""; 0]);
    let newest = kept[0]["sequence"].as_u64().expect("a number");
    assert!((1..newest).contains(&found.records), "some are there, and not all that ever were: {found:?}");
}

fn copy_of_embedded(app: &App, embedded: bool) -> Option<tempfile::TempDir> {
    embedded.then(|| copy_of(app))
}

/// The trail of an instance that wrote nothing for long is forgotten by the others: it may be gone for ever. If it is not, it
/// goes on where it was.
#[tokio::test]
async fn an_instance_that_was_idle_goes_on_where_it_was() {
    // Redis keeps its own time, which cannot be moved: long enough for a slow machine, and no longer.
    const KEPT: Duration = Duration::from_secs(8);
    let (redis, key) = (Arc::new(RedisServer::start(&[])), new_master_key(Some("test")));
    let further = [("vault.master_keys", key.as_str()), ("audit.retention", "8s")];
    let app = App::start_with(Stores::Redis(Arc::clone(&redis)), &further).await;
    let tenant = Tenant::new(&app).await;
    tenant.token("nobody").await.expect(404);
    let settings = settings(&redis.url(), &key, &further[1..]);
    let scene = Scene { app, tenant, redis, settings };
    // What the job of another instance does.
    let vault = vault_on(&scene, &key, Arc::new(SystemClock::new()));
    let there = || scene.redis.say::<i64>(&["EXISTS", &scene.name("audit"), &scene.name("audit-head")]);
    for _ in 0..100 {
        vault.trim_audit(KEPT).await.expect("it answers");
        if there() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(there(), 0);
    assert_eq!(scene.faults().await, [""; 0]);
    scene.tenant.token("nobody").await.expect(404);
    let (found, faults) = verified(&scene.settings, scene.tenant.id(), "").await;
    assert_eq!((found.records, faults), (1, vec![]));
    assert_eq!(trail(&scene.tenant).await[0]["sequence"], 4);
    // Taken away before its time, it goes on as well; but that is seen.
    scene.redis.say::<i64>(&["DEL", &scene.name("audit"), &scene.name("audit-head")]);
    scene.tenant.token("nobody").await.expect(404);
    let faults = scene.faults().await;
    assert!(
        faults.len() == 1 && faults[0].contains("let records go that were to be kept longer"),
        "{faults:?}"
    );
}

/// A checkpoint is no way to hide that something was cut off: it is sealed, and says why records went.
#[tokio::test]
async fn a_checkpoint_cannot_be_made_up() {
    let scene = Scene::new().await;
    let mac = scene.entries()[9].1.iter().find(|(name, _)| name == "mac").expect("one").1.clone();
    let key = scene.entries()[9].1.iter().find(|(name, _)| name == "data_key").expect("one").1.clone();
    scene.rewrite(&scene.entries()[10..]);
    let name = scene.name("audit-head");
    let seal = "ab".repeat(32);
    let words = [
        "HSET",
        &name,
        "checkpoint_sequence",
        "10",
        "checkpoint_mac",
        &mac,
        "checkpoint_time",
        "1",
        "checkpoint_made_at",
        "2",
        "checkpoint_retention",
        "1",
        "checkpoint_key",
        &key,
        "checkpoint_seal",
        &seal,
    ];
    scene.redis.say::<i64>(&words);
    let faults = scene.faults().await;
    assert!(faults.len() == 1 && faults[0].contains("its checkpoint at record 10 was changed"), "{faults:?}");
}

/// A record that was changed to look old does not go with the old ones: what goes is checked on its way out.
#[tokio::test]
async fn evidence_does_not_go_by_looking_old() {
    let (redis, key) = (Arc::new(RedisServer::start(&[])), new_master_key(Some("test")));
    let further = [("vault.master_keys", key.as_str()), ("audit.retention", "1h")];
    let clock = Arc::new(Ahead::default());
    let app =
        App::start_by(Stores::Redis(Arc::clone(&redis)), &further, Arc::clone(&clock) as Arc<dyn Clock>)
            .await;
    let tenant = Tenant::new(&app).await;
    tenant.token("nobody").await.expect(404);
    let settings = settings(&redis.url(), &key, &[("audit.retention", "1h")]);
    let scene = Scene { app, tenant, redis, settings };
    let mut entries = scene.entries();
    for (_, fields) in &mut entries {
        let (_, event) = fields.iter_mut().find(|(name, _)| name == "event").expect("one");
        let rest = event.split_once(',').expect("fields").1;
        *event = format!("{{\"time\":1,{rest}");
    }
    scene.rewrite(&entries);
    let vault = vault_on(&scene, &key, clock);
    assert_eq!(vault.trim_audit(Duration::from_hours(1)).await.expect("it answers"), 0);
    assert_eq!(scene.entries().len(), 3, "all of it is there to be looked at");
    assert!(scene.faults().await[0].contains("record 1 was changed"));
}

fn vault_on(scene: &Scene, key: &str, clock: Arc<dyn Clock>) -> grantkeep::vault::Vault {
    use grantkeep::vault::{Keyring, Vault};
    let settings = settings(&scene.redis.url(), key, &[]);
    let keys = settings.vault.master_keys.iter().map(|key| (key.id(), key.expose()));
    let store = Arc::new(redis_store(&scene.redis.url()));
    let chance = Arc::new(grantkeep::adapters::system::SystemChance);
    Vault::new(store, clock, chance, Keyring::new(keys).expect("a key"))
}
