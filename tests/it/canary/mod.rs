//! Secrets planted in every secret field of the record schema show up nowhere: in no log, answer, page, metric, trace, mail,
//! `Debug` or byte of the store, in no form.

mod debug;
mod run;
mod search;
mod store;
mod wiretap;

use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::collector::Collector;
use crate::support::raw::raw;
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use grantkeep::crypto::aead;
use grantkeep::vault::RECORDS;
use run::Run;
use search::{Canary, Search};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::Written;
use wiretap::Wiretap;

/// Everything in which a secret of the run must not be.
struct Heard {
    canaries: Vec<Canary>,
    media: Vec<(&'static str, Vec<u8>)>,
}

impl Heard {
    fn leaks(&self) -> BTreeSet<String> {
        let search = Search::new(&self.canaries);
        self.media.iter().flat_map(|(place, bytes)| search.found(place, bytes)).collect()
    }

    /// The same with something more in one medium.
    fn with(&self, place: &'static str, planted: Vec<u8>) -> Self {
        let media = self.media.iter().cloned().chain([(place, planted)]).collect();
        Self { canaries: self.canaries.clone(), media }
    }
}

/// The whole run on one store, in a process of its own that logs all it can.
async fn heard(stores: Stores, redis: Option<&RedisServer>, format: &str) -> Heard {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (tap, master_key) = (Wiretap::start().await, new_master_key(Some("canary")));
    let collector = Collector::start(200);
    let further = [
        ("providers.dirs", run::provider(folder.path())),
        ("vault.master_keys", master_key.clone()),
        ("log.level", "trace".to_owned()),
        ("log.format", format.to_owned()),
        ("trace.url", collector.url.clone()),
        // So that each fault strikes.
        ("refresh.backoff_min", "1ms".to_owned()),
        ("refresh.backoff_max", "1ms".to_owned()),
    ];
    let further: Vec<(&str, &str)> = further.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let app = App::spawn(stores, &further);
    let data = app.folder().join("data");
    let look: Box<dyn Fn() -> Vec<u8> + '_> = match redis {
        Some(redis) => Box::new(|| {
            assert_eq!(store::without_v_or_rev(redis), [""; 0], "every record has v and rev");
            store::redis_now(redis)
        }),
        None => Box::new(|| store::files(&data)),
    };
    let mut run = Run::new(&app, &tap, &master_key, look);
    run.move_in().await;
    run.forget().await;
    run.authorize("user 1").await;
    run.use_it("user 1").await;
    run.by_page("user 2").await;
    run.overheard();
    let mut media = run.heard;
    media.extend(run.stored.into_iter().map(|bytes| ("store", bytes)));
    let mut canaries = run.canaries;
    if let Some(redis) = redis {
        let log = store::redis_log(redis);
        let written = Written::of_log(&log);
        assert_eq!(written.missing(RECORDS), [], "each secret field was there at some moment");
        assert_eq!(written.unnamed(RECORDS), [], "the schema names every field");
        assert_eq!(written.misshapen(RECORDS), BTreeSet::new());
        canaries.push(data_key(&written, &master_key));
        media.push(("store", log));
    }
    let metrics = raw(http().get(format!("{}/metrics", app.admin))).await;
    assert!(metrics.text().contains("grantkeep_"), "{}", metrics.text());
    media.push(("metrics", metrics.body));
    assert!(
        collector.spans(20).await.iter().any(|span| span.name == "POST"),
        "calls to the provider are there"
    );
    media.push(("traces", collector.bytes()));
    media.push(("outbox", store::files(&app.outbox)));
    assert!(app.log().contains("a refresh was not answered"), "the log is there: {}", app.log());
    media.push(("log", app.log().into_bytes()));
    Heard { canaries, media }
}

/// The tenant's data key, unwrapped as only a holder of the master key can.
fn data_key(written: &Written, master_key: &str) -> Canary {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
    let value = |field: &str| {
        let values = &written.0[&("tenant".to_owned(), field.to_owned())];
        String::from_utf8(values[0].clone()).expect("a text")
    };
    let (wrapped, tenant) = (value("data_key"), value("id"));
    let [id, master, text] = wrapped.splitn(3, '.').collect::<Vec<_>>()[..] else { panic!("{wrapped}") };
    let mut place = vec![1];
    for part in ["data-key", tenant.as_str(), id, master] {
        place.extend_from_slice(&u32::try_from(part.len()).expect("short").to_be_bytes());
        place.extend_from_slice(part.as_bytes());
    }
    place.extend_from_slice(&0_u64.to_be_bytes());
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64");
    let (nonce, sealed) = bytes.split_first_chunk().expect("a nonce");
    let master = BASE64_STANDARD.decode(master_key.split_once(':').expect("id and key").1).expect("base64");
    let key = aead::Key::new(&master.try_into().expect("32 bytes"));
    let plain = key.open(nonce, &place, sealed).unwrap_or_else(|_| panic!("it opens"));
    Canary { name: "data key", value: plain.to_vec(), may: &[] }
}

#[tokio::test]
async fn no_secret_leaves_its_place_on_redis() {
    let redis = Arc::new(RedisServer::start(&["--appendonly", "yes"]));
    let heard = heard(Stores::Redis(Arc::clone(&redis)), Some(&redis), "json").await;
    assert_eq!(heard.leaks(), BTreeSet::new());
    each_planted_leak_is_found(&heard);
}

#[tokio::test]
async fn no_secret_leaves_its_place_on_the_embedded_store() {
    let heard = heard(Stores::Embedded, None, "pretty").await;
    assert_eq!(heard.leaks(), BTreeSet::new());
    each_planted_leak_is_found(&heard);
}

/// The search can fail: each secret of this very run, planted in each medium, is found there.
fn each_planted_leak_is_found(heard: &Heard) {
    for place in ["log", "store", "metrics", "traces", "outbox", "token", "new key", "refused", "opened"] {
        assert!(heard.media.iter().any(|(known, _)| *known == place), "nothing was heard at {place}");
        for canary in heard.canaries.iter().filter(|canary| !canary.may.contains(&place)) {
            let line =
                [b"2026-11-22T00:00:00Z  INFO grantkeep: said ", canary.value.as_slice(), b"\n"].concat();
            let leaks = Heard { canaries: vec![canary.clone()], media: vec![] }.with(place, line).leaks();
            assert!(leaks.iter().any(|leak| leak.contains(canary.name)), "{} in {place}", canary.name);
        }
    }
    let whole = heard.with("log", heard.canaries[0].value.clone());
    assert!(!whole.leaks().is_empty(), "one among all that was heard");
    // What may be heard somewhere is really found there, among everything else that was said.
    let strict: Vec<Canary> =
        heard.canaries.iter().map(|canary| Canary { may: &[], ..canary.clone() }).collect();
    let all = Heard { canaries: strict, media: heard.media.clone() }.leaks();
    for canary in &heard.canaries {
        for place in canary.may.iter().filter(|place| **place != "token") {
            assert!(
                all.contains(&format!("{place}: the {} as it is", canary.name)),
                "{} at {place}",
                canary.name
            );
        }
    }
    assert!(all.contains("token: the access token as it is"));
}

#[test]
fn every_form_of_a_secret_is_found() {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine};
    let secret = "p@ss w\u{f6}rd/with+all=sorts?";
    let search =
        Search::new(&[Canary { name: "password", value: secret.as_bytes().to_vec(), may: &["mail"] }]);
    let hex = search::hex(secret.as_bytes());
    let mut planted: Vec<Vec<u8>> = vec![
        secret.into(),
        hex.to_uppercase().into(),
        hex.into(),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into(),
        secret.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        secret.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        format!("{:?}", secret.as_bytes()).into(),
    ];
    for before in ["", "a", "ab", "Basic user:"] {
        planted.push(BASE64_STANDARD.encode(format!("{before}{secret} and more")).into());
        planted.push(BASE64_URL_SAFE.encode(format!("{before}{secret} and more")).into());
    }
    for bytes in planted {
        let line = [b"noise ", bytes.as_slice(), b" noise"].concat();
        assert_eq!(search.found("log", &line).len().min(1), 1, "{}", String::from_utf8_lossy(&line));
        assert!(search.found("mail", &line).is_empty());
    }
    assert!(search.found("log", b"p@ss w\xc3\xb6rd/with+all=sorts and nothing of it").is_empty());
}
