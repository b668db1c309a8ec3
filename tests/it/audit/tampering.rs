//! Somebody who can write to the store and knows no key: whatever was done, `grantkeep audit verify` names it.

use super::*;

/// What a hand does to the store, and a part of what is said of it.
async fn after(change: impl FnOnce(&Scene), said: &[&str]) {
    let scene = Scene::new().await;
    assert_eq!(scene.sound().await, 20);
    change(&scene);
    let faults = scene.faults().await;
    assert_eq!(faults.len(), said.len(), "{faults:?}");
    for (fault, part) in faults.iter().zip(said) {
        assert!(fault.contains(part), "{fault} does not say {part}");
        assert!(fault.contains(scene.tenant.id()) && fault.contains(&scene.instance()), "{fault}");
    }
}

/// With one field of the record in that place (from 1) another.
fn set(scene: &Scene, place: usize, field: &str, value: impl Fn(&str) -> String) {
    let mut entries = scene.entries();
    let place = entries[place - 1].1.iter_mut().find(|(name, _)| name == field).expect("a field");
    place.1 = value(&place.1);
    scene.rewrite(&entries);
}

#[tokio::test]
async fn a_record_that_was_changed() {
    after(|s| set(s, 7, "event", |event| event.replace("nobody", "somebody")), &["record 7 was changed"])
        .await;
    after(
        |s| set(s, 7, "event", |event| event.replace("connection_not_found", "ok")),
        &["record 7 was changed"],
    )
    .await;
    after(|s| set(s, 7, "mac", |mac| mac.chars().rev().collect()), &["record 7 was changed"]).await;
    after(|s| set(s, 20, "event", |event| event.replace("nobody", "somebody")), &["record 20 was changed"])
        .await;
    after(|s| set(s, 1, "event", |event| event.replace("127.0.0.1", "127.0.0.2")), &["record 1 was changed"])
        .await;
    after(|s| set(s, 7, "data_key", |_| "abcdefgh".to_owned()), &["record 7 cannot be verified"]).await;
}

#[tokio::test]
async fn what_is_no_record() {
    let gone = ["is no record", "records 7 to 7 are missing"];
    after(|s| set(s, 7, "event", |_| "{}".to_owned()), &gone).await;
    after(|s| set(s, 7, "sequence", |_| "x".to_owned()), &gone).await;
}

#[tokio::test]
async fn records_that_are_missing() {
    let without = |scene: &Scene, gone: std::ops::RangeInclusive<usize>| {
        let mut entries = scene.entries();
        entries.drain(gone.start() - 1..*gone.end());
        scene.rewrite(&entries);
    };
    after(|s| without(s, 7..=7), &["records 7 to 7 are missing"]).await;
    after(|s| without(s, 7..=9), &["records 7 to 9 are missing"]).await;
    after(|s| without(s, 1..=3), &["records 1 to 3 are missing: the beginning was cut off"]).await;
    after(|s| without(s, 18..=20), &["records 18 to 20 are missing: the end was cut off"]).await;
    after(|s| without(s, 1..=20), &["records 1 to 20 are missing: the end was cut off"]).await;
    let deleted = |s: &Scene| assert_eq!(s.redis.say::<i64>(&["DEL", &s.name("audit")]), 1);
    after(deleted, &["records 1 to 20 are missing: the end was cut off"]).await;
}

#[tokio::test]
async fn records_out_of_their_order() {
    let swapped = |scene: &Scene, one: usize, other: usize| {
        let mut entries = scene.entries();
        let taken = entries[one - 1].1.clone();
        entries[one - 1].1 = std::mem::replace(&mut entries[other - 1].1, taken);
        scene.rewrite(&entries);
    };
    after(|s| swapped(s, 7, 8), &["record 7 is out of order: it stands after record 8"]).await;
    let twice = |scene: &Scene| {
        let mut entries = scene.entries();
        let again = entries[4].1.clone();
        entries.push((format!("{}-9", u64::MAX / 4), again));
        scene.rewrite(&entries);
    };
    after(twice, &["record 5 is there again, after record 20"]).await;
    // With the numbers changed too, so that they look right.
    let renumbered = |scene: &Scene| {
        swapped(scene, 7, 8);
        set(scene, 7, "sequence", |_| "7".to_owned());
        set(scene, 8, "sequence", |_| "8".to_owned());
    };
    after(renumbered, &["record 7 was changed", "record 8 does not follow", "record 9 does not follow"])
        .await;
}

#[tokio::test]
async fn records_that_were_made_up() {
    let forged = |scene: &Scene| {
        let mut entries = scene.entries();
        let mut fields = entries.last().expect("one").1.clone();
        fields
            .iter_mut()
            .filter(|(name, _)| name == "sequence")
            .for_each(|(_, value)| *value = "21".to_owned());
        entries.push((format!("{}-0", u64::MAX / 4), fields));
        scene.rewrite(&entries);
    };
    let said = [
        "record 21 was changed, or does not come from this trail",
        "the head was set back, or records were made up",
    ];
    after(forged, &said).await;
    let other = Scene::new().await;
    let theirs = other.entries()[6].1.clone();
    let copied = |scene: &Scene| {
        let mut entries = scene.entries();
        entries[6].1.clone_from(&theirs);
        scene.rewrite(&entries);
    };
    // A data key of another tenant's is none of this one's.
    after(copied, &["record 7 cannot be verified: its data key", "record 8 does not follow"]).await;
}

#[tokio::test]
async fn a_head_that_was_changed() {
    let head = |scene: &Scene, field: &str, value: &str| {
        let name = scene.name("audit-head");
        scene.redis.say::<i64>(&["HSET", &name, field, value]);
    };
    after(|s| head(s, "sequence", "30"), &["records 21 to 30 are missing: the end was cut off"]).await;
    after(|s| head(s, "mac", &"ab".repeat(32)), &["its head record does not match record 20"]).await;
    after(|s| head(s, "mac", ""), &["its head record does not match record 20"]).await;
    after(|s| head(s, "sequence", "x"), &["its head record cannot be read"]).await;
    let gone = |s: &Scene| assert_eq!(s.redis.say::<i64>(&["DEL", &s.name("audit-head")]), 1);
    after(gone, &["its head record is missing; the last record is 20"]).await;
    let back = |scene: &Scene| {
        let mac = scene.entries()[14].1.iter().find(|(name, _)| name == "mac").expect("one").1.clone();
        head(scene, "sequence", "15");
        head(scene, "mac", &mac);
    };
    after(back, &["its head record says 15 and the last record is 20: the head was set back"]).await;
}

/// End and head together: the store alone cannot say it, a log that was kept elsewhere can.
#[tokio::test]
async fn a_tail_that_was_cut_with_its_head() {
    let scene = Scene::new().await;
    let line = |place: usize| {
        let mac = scene.entries()[place - 1].1.iter().find(|(name, _)| name == "mac").expect("one").1.clone();
        format!(
            r#"{{"level":"INFO","tenant":"{}","instance":"{}","sequence":{place},"mac":"{mac}","at":"2099-01-01T00:00:00Z","target":"grantkeep::audit"}}"#,
            scene.tenant.id(),
            scene.instance()
        )
    };
    let heads = format!("{}\n{}\n", line(10), line(20));
    let (found, faults) = verified(&scene.settings, scene.tenant.id(), &heads).await;
    assert_eq!((found.heads, faults), (2, vec![]));
    // A history that was written anew, with keys and all, has other MACs than those that were logged.
    let other =
        heads.lines().last().expect("one").replace("\"mac\":\"", "\"mac\":\"0").replace("\",\"at\"", "#");
    let other = other
        .split_once('#')
        .map(|(before, after)| format!("{}\",\"at\"{after}", &before[..before.len() - 1]));
    let faults = verified(&scene.settings, scene.tenant.id(), &other.expect("a line")).await.1;
    assert!(
        faults.len() == 1 && faults[0].contains("record 20 is not the one that the log names"),
        "{faults:?}"
    );
    let mut entries = scene.entries();
    entries.truncate(15);
    let mac = entries[14].1.iter().find(|(name, _)| name == "mac").expect("one").1.clone();
    scene.rewrite(&entries);
    let name = scene.name("audit-head");
    scene.redis.say::<i64>(&["HSET", &name, "sequence", "15", "mac", &mac]);
    assert_eq!(scene.faults().await, [""; 0], "as the store tells it, nothing is wrong");
    let faults = verified(&scene.settings, scene.tenant.id(), &heads).await.1;
    assert!(
        faults.len() == 1 && faults[0].contains("records 16 to 20 are missing: the log says"),
        "{faults:?}"
    );
    // All of it gone, so that not even its instance is known.
    scene.redis.say::<i64>(&["DEL", &scene.name("audit"), &name]);
    scene.redis.say::<i64>(&["DEL", &format!("gk:{{{}}}:index:audit-instances", scene.tenant.id())]);
    assert_eq!(scene.faults().await, [""; 0]);
    let faults = verified(&scene.settings, scene.tenant.id(), &heads).await.1;
    assert!(faults.len() == 1 && faults[0].contains("all of it is missing"), "{faults:?}");
}

/// The server goes on, says what it found, and what it writes from then on holds together.
#[tokio::test]
async fn a_server_whose_head_was_set_back_goes_on_and_says_so() {
    let scene = Scene::new().await;
    let mac = scene.entries()[14].1.iter().find(|(name, _)| name == "mac").expect("one").1.clone();
    scene.redis.say::<i64>(&["HSET", &scene.name("audit-head"), "sequence", "15", "mac", &mac]);
    scene.tenant.token("nobody").await.expect(404);
    let metrics =
        crate::support::raw::raw(crate::support::browser::http().get(format!("{}/metrics", scene.app.admin)));
    let metrics = metrics.await.text();
    let alarms = metrics.lines().find_map(|line| {
        line.strip_prefix(r#"grantkeep_alarms_total{kind="audit_broken"} "#)?.parse::<u64>().ok()
    });
    assert!(alarms.is_some_and(|alarms| alarms > 0), "{metrics}");
    let faults = scene.faults().await;
    assert!(
        faults.iter().any(|fault| fault.contains("record 16 is there again, after record 20")),
        "{faults:?}"
    );
}
