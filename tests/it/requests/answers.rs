//! What every answer has, whatever it says.

use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::{Raw, raw};
use crate::support::tenant::answer;
use grantkeep::http::{Access, ROUTES};
use std::collections::BTreeSet;

async fn get(url: &str) -> Raw {
    raw(http().get(url)).await
}

#[tokio::test]
async fn nothing_is_a_problem_too() {
    let app = App::start(Stores::Embedded).await;
    for path in [
        "/nowhere",
        "/v1",
        "/v1/connections/a/b",
        "/authorize-",
        "/signup/",
        "/..%2f",
        "/assets/",
        "//providers",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        let answer = get(&format!("{}{path}", app.url)).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(
            (answer.json()["status"].as_u64(), answer.json()["type"].as_str()),
            (Some(404), Some("about:blank"))
        );
    }
    for (method, path, allowed) in [
        ("GET", "/signup", "POST"),
        ("PUT", "/v1/api-keys", "POST, GET, HEAD"),
        ("PATCH", "/v1/connections/x", "GET, HEAD, DELETE"),
        ("DELETE", "/providers", "GET, HEAD"),
        ("HEAD", "/get-access-token", "POST"),
        ("BREW", "/verify-email", "GET, POST"),
        ("OPTIONS", "/get-access-token", "POST"),
    ] {
        let request = http().request(method.parse().expect("a method"), format!("{}{path}", app.url));
        let answer = raw(request).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(method == "HEAD" || answer.code() == "invalid_request", "{}", answer.text());
    }
}

#[tokio::test]
async fn every_route_answers_with_the_same_care() {
    let app = App::start(Stores::Embedded).await;
    let mut pages = 0;
    for route in ROUTES {
        let path = route.path.replace("{id}", "x").replace("{provider}", "slack").replace("{tenant}", "x");
        let request =
            || http().request(route.method.as_str().parse().expect("a method"), format!("{}{path}", app.url));
        let answer = raw(request()).await;
        assert!(answer.status < 500, "{route:?}: {}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{route:?}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{route:?}");
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{route:?}");
        let public = matches!(&*path, "/assets/style.css" | "/openapi.json");
        assert!(public || answer.header("cache-control") == Some("no-store"), "{route:?}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{route:?}");
        assert_eq!(answer.header("server"), None, "{route:?}");
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            let policy = answer.header("content-security-policy").expect("a policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                "{policy}"
            );
            assert!(
                answer.text().contains("always-the-same"),
                "a page tells the request id: {}",
                answer.text()
            );
            pages += 1;
            assert_eq!(route.access, Access::Browser);
            let json = raw(request().header("accept", "application/json")).await;
            assert_eq!(
                (json.status, json.header("content-type")),
                (answer.status, Some("application/problem+json"))
            );
        } else if answer.status >= 400 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{route:?}");
        }
    }
    let browsers = ROUTES.iter().filter(|route| route.access == Access::Browser).count();
    assert_eq!(pages, browsers, "a browser without what it needs gets a page on each of its routes");
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let app = App::start(Stores::Embedded).await;
    let ask = |id: Option<&'static str>| {
        let request = http().get(format!("{}/nowhere", app.url));
        answer(id.into_iter().fold(request, |request, id| request.header("x-request-id", id)))
    };
    let mut made = BTreeSet::new();
    for id in [Some("0193-my_own.id"), None, None, Some("no spaces please"), Some("<script>"), Some("")] {
        let answer = ask(id).await;
        let told = answer.headers["x-request-id"].to_str().expect("a text").to_owned();
        assert_eq!(answer.body["request_id"], told.as_str());
        if id == Some("0193-my_own.id") {
            assert_eq!(told, "0193-my_own.id");
        } else {
            assert!(uuid::Uuid::parse_str(&told).is_ok() && made.insert(told), "{id:?}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let app = App::start(Stores::Embedded).await;
    for path in ["/providers", "/providers/slack", "/providers/none", "/assets/style.css", "/v1/connections"]
    {
        let url = format!("{}{path}", app.url);
        let (head, get) = (raw(http().head(&url)).await, get(&url).await);
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        for name in ["content-type", "cache-control", "x-content-type-options", "www-authenticate"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn operators_have_a_port_of_their_own() {
    let app = App::start(Stores::Embedded).await;
    for (path, words) in [("/healthz", "ok"), ("/readyz", "ok"), ("/metrics", "# TYPE")] {
        get(&format!("{}/providers", app.url)).await;
        let answer = get(&format!("{}{path}", app.admin)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
        assert_eq!(get(&format!("{}{path}", app.url)).await.status, 404, "{path} on the public port");
    }
    assert_eq!(get(&format!("{}/providers", app.admin)).await.status, 404);
}

#[tokio::test]
async fn the_catalog_is_for_everybody() {
    let app = App::start(Stores::Embedded).await;
    let list = get(&format!("{}/providers", app.url)).await.json();
    let items = list["items"].as_array().expect("items");
    let ids: Vec<&str> = items.iter().map(|item| item["id"].as_str().expect("an id")).collect();
    assert!(
        ids.is_sorted()
            && ["atlassian", "google", "sandbox", "slack", "twitter"].iter().all(|id| ids.contains(id)),
        "{ids:?}"
    );
    assert!(list["next_cursor"].is_null());
    for item in items {
        let one = get(&format!("{}/providers/{}", app.url, item["id"].as_str().expect("an id"))).await;
        assert_eq!((one.status, &one.json()), (200, item));
    }
    for unknown in ["none", "No%20Such", "..%2fslack", "slack%00"] {
        let answer = get(&format!("{}/providers/{unknown}", app.url)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "not_found"),
            "{unknown}: {}",
            answer.text()
        );
    }
}
