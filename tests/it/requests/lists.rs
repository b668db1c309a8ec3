//! Lists of connections: filtered, in pages, each connection once.

use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::Browser;
use crate::support::tenant::{HOME, Tenant, agree};
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Every item of a list, page by page.
async fn all(tenant: &Tenant, query: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let page =
            tenant.get(&format!("/v1/connections?limit={limit}{query}{cursor}")).await.expect(200).body;
        let some = page["items"].as_array().expect("items").clone();
        assert!(some.len() <= limit);
        items.extend(some);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
    panic!("the list does not end")
}

async fn connect(tenant: &Tenant, provider: &str, end_user: &str, account: &str) {
    let begin = json!({ "end_user": end_user, "account": account });
    let begun = tenant.post(&format!("/authorize-{provider}"), &begin).await.expect(201);
    let back = agree(&mut Browser::new(), &begun.text("authorize_url")).await;
    tenant.complete(&back.parameter("completion").expect("a completion"), end_user).await.expect(201);
}

/// Names that try to be something else in an index, a URL or a key.
const USERS: &[&str] =
    &["ada", "ada:", "ada:sandbox", "ad", "a%3Ab", "{x}", "jö hn", "\u{1F40E}", "A", "*", "..", "ada\u{0}"];

on_both_stores!(thirty_connections_in_pages, |stores: Stores| async move {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/sandbox.toml")).expect("a file");
    std::fs::write(folder.path().join("twinbox.toml"), file).expect("a file");
    let app = App::start_with(stores, &[("providers.dirs", &folder.path().display().to_string())]).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    let host = sandbox.base_url().trim_start_matches("http://");
    for provider in ["sandbox", "twinbox"] {
        let enable = json!({ "provider": provider, "client_id": "sandbox-client", "client_secret": "sandbox-secret", "redirect_url": HOME, "variables": { "host": host } });
        tenant.post("/enable-provider", &enable).await.expect(201);
    }
    let slots: Vec<(&str, &str, &str)> = USERS
        .iter()
        .flat_map(|user| [("sandbox", *user, ""), ("twinbox", *user, "")])
        .chain(["work", "home", "a:b"].map(|account| ("sandbox", "ada", account)))
        .chain(["work", "home", "a:b"].map(|account| ("twinbox", "ad", account)))
        .collect();
    assert_eq!(slots.len(), 30);
    futures_util::future::join_all(
        slots.iter().map(|(provider, user, account)| connect(&tenant, provider, user, account)),
    )
    .await;

    let slot = |item: &Value| {
        ["provider", "end_user", "account"].map(|name| item[name].as_str().expect("a text").to_owned())
    };
    let whole = all(&tenant, "", 100).await;
    let expected: BTreeSet<_> = slots.iter().map(|(p, u, a)| [*p, *u, *a].map(str::to_owned)).collect();
    assert_eq!((whole.len(), whole.iter().map(slot).collect::<BTreeSet<_>>()), (30, expected));
    for limit in [1, 7, 15, 30, 31] {
        assert_eq!(all(&tenant, "", limit).await, whole, "pages of {limit}");
    }
    for provider in ["sandbox", "twinbox"] {
        let of_provider: Vec<Value> =
            whole.iter().filter(|item| item["provider"] == provider).cloned().collect();
        assert_eq!(
            (of_provider.len(), all(&tenant, &format!("&provider={provider}"), 4).await),
            (15, of_provider)
        );
    }
    for user in USERS {
        let encoded: String = form_urlencoded::byte_serialize(user.as_bytes()).collect();
        let mine: BTreeSet<_> = whole.iter().filter(|item| item["end_user"] == *user).map(slot).collect();
        let found = all(&tenant, &format!("&end_user={encoded}"), 2).await;
        assert_eq!((found.len(), found.iter().map(slot).collect()), (mine.len(), mine), "{user:?}");
        let one = all(&tenant, &format!("&end_user={encoded}&provider=twinbox"), 2).await;
        assert!(
            one.iter().all(|item| item["provider"] == "twinbox" && item["end_user"] == *user)
                && !one.is_empty()
        );
    }
    for nobody in ["&provider=slack", "&end_user=none", "&end_user=ada%25", "&status=failing"] {
        assert_eq!(all(&tenant, nobody, 50).await, Vec::<Value>::new(), "{nobody}");
    }

    // One comes to need its end user again.
    let refused = Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) };
    sandbox.control().fault(Rule::new(Endpoint::Token, refused).times(1));
    let forced = json!({ "provider": "twinbox", "end_user": "ad", "account": "work", "force_refresh": true });
    tenant.post("/get-access-token", &forced).await;
    let gone = all(&tenant, "&status=reauthorization_required", 4).await;
    assert_eq!(gone.iter().map(slot).collect::<Vec<_>>(), [["twinbox", "ad", "work"].map(str::to_owned)]);
    assert_eq!(all(&tenant, "&status=active", 4).await.len(), 29);
    assert_eq!(all(&tenant, "&status=reauthorization_required&provider=sandbox", 4).await.len(), 0);

    for (field, query) in [
        ("status", "status=asleep"),
        ("status", "status="),
        ("provider", "provider=No%20Such"),
        ("end_user", "end_user="),
        ("limit", "limit=0"),
        ("limit", "limit=101"),
        ("limit", "limit=x"),
        ("cursor", "cursor=!"),
        ("cursor", "cursor="),
        ("cursor", "cursor=_w"),
        ("order", "order=desc"),
        ("limit", "limit=1&limit=2"),
    ] {
        let refused = tenant.get(&format!("/v1/connections?{query}")).await.expect(400);
        assert_eq!(
            (refused.code(), refused.body["field"].as_str()),
            ("invalid_request", Some(field)),
            "{query}"
        );
    }
});
