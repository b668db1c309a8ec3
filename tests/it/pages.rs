//! The hosted pages in a real Chromium: accessibility by axe, both colour schemes, phone and desktop, with JavaScript and
//! without; and what a browser does by itself on the way of an end user. `tests/pages/look.mjs` does the looking.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::tenant::{HOME, PASSWORD, Tenant, answer, sign_up, with_json};
use crate::support::tool;
use actix_web::http::Method;
use grantkeep::http::{Access, ROUTES, RouteName};
use grantkeep::sandbox::Sandbox;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Pages as they stand in the plan, each with the route it comes from.
type Pages = Vec<(RouteName, Value)>;

struct World {
    app: App,
    sandbox: Sandbox,
    tenant: Tenant,
}

impl World {
    async fn new() -> Self {
        let app = App::start(Stores::Embedded).await;
        let sandbox = sandbox(Duration::from_mins(1)).await;
        let tenant = Tenant::new(&app).await;
        let host = sandbox.base_url().trim_start_matches("http://");
        let fields = json!({
            "provider": "sandbox",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "scopes": ["profile", "offline_access", "https://www.googleapis.com/auth/calendar.events.readonly"],
            "redirect_url": HOME,
            "variables": { "host": host },
            "finish": "page",
        });
        tenant.post("/enable-provider", &fields).await.expect(201);
        Self { app, sandbox, tenant }
    }

    async fn link(&self) -> String {
        let fields = json!({
            "end_user": "u", "account": "Work", "end_user_label": "Ada Lovelace", "scopes": ["profile", "offline_access"],
        });
        self.tenant.post("/authorize-sandbox", &fields).await.expect(201).text("authorize_url")
    }

    /// With the longest names there can be, one of them from right to left, and many scopes.
    async fn crowded(&self) -> String {
        let scopes: Vec<String> =
            (0..12).map(|n| format!("https://scopes.example/auth/{}{n}", "a".repeat(60))).collect();
        let fields = json!({
            "end_user": "u", "account": "W".repeat(255), "end_user_label": format!("عدا {}", "ä".repeat(190)),
            "scopes": scopes,
        });
        self.tenant.post("/authorize-sandbox", &fields).await.expect(201).text("authorize_url")
    }

    async fn mailed(&self, email: &str) -> String {
        let fields = json!({ "email": email, "password": PASSWORD, "product": "Acme CRM" });
        answer(with_json(http().post(format!("{}/signup", self.app.url)), &fields)).await.expect(202);
        self.app.mailed_link(email).await
    }

    /// A link, and the return of the browser that said no at the provider.
    async fn returning(&self, browser: &mut Browser) -> (String, String) {
        let link = self.link().await;
        let page = browser.get(&link).await;
        let away = browser.send(&page, &page.form()).await;
        let consent = browser.follow(away, HOME).await;
        let back = browser.send(&consent, &consent.form().press("deny")).await.location();
        (link, back.expect("a way back").into())
    }

    async fn pages(&self) -> Pages {
        let page = |name: &str, urls: &[&str], press: bool, title: &str| json!({ "name": name, "urls": urls, "press": press, "title": title });
        let (first, second) =
            (self.mailed("first@example.com").await, self.mailed("second@example.com").await);
        let mut browser = Browser::new();
        let (used, back) = self.returning(&mut browser).await;
        browser.get(&back).await;
        let (one, two) = (self.returning(&mut browser).await.1, self.returning(&mut browser).await.1);
        sign_up(&self.app, "third@example.com").await;
        let asked = http().post(format!("{}/forgot-password", self.app.url));
        answer(with_json(asked, &json!({ "email": "third@example.com" }))).await.expect(202);
        let token = self.app.mailed_token("/reset-password", "third@example.com").await;
        let reset = format!("{}/reset-password?token={token}", self.app.url);
        let unknown = format!("{}/verify-email?token=x", self.app.url);
        vec![
            (RouteName::ShowVerification, page("verify", &[&first], false, "Confirm your address")),
            (RouteName::VerifyEmail, page("verified", &[&first, &second], true, "Address confirmed")),
            (RouteName::ShowPasswordReset, page("reset", &[&reset], false, "Choose a new password")),
            (RouteName::ShowVerification, page("error", &[&unknown], false, "This link is not good")),
            (
                RouteName::OpenAuthorization,
                page("connect", &[&self.link().await], false, "Connect Sandbox · Acme"),
            ),
            (
                RouteName::OpenAuthorization,
                page("crowded", &[&self.crowded().await], false, "Connect Sandbox"),
            ),
            (RouteName::OpenAuthorization, page("over", &[&used], false, "This link is over · Acme CRM")),
            (RouteName::Callback, page("refused", &[&one, &two], false, "This is not the browser")),
        ]
    }
}

/// Looks; what is wrong, one line each.
fn look(plan: &Value) -> Vec<String> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = folder.path().join("plan.json");
    std::fs::write(&file, plan.to_string()).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/look.mjs");
    let mut node = std::process::Command::new(tool("GRANTKEEP_TEST_NODE", "bin/node"));
    node.arg(script).arg(tool("GRANTKEEP_TEST_PAGES_DIR", "pages"));
    node.arg(tool("GRANTKEEP_TEST_CHROMIUM", "bin/chromium")).arg(&file);
    node.args(std::env::var_os("GRANTKEEP_TEST_SCREENSHOTS"));
    let said = node.output().expect("node runs");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() != text.contains('\n'), "{text}{}", String::from_utf8_lossy(&said.stderr));
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_all_kinds_can_use_every_page() {
    let world = World::new().await;
    let pages = world.pages().await;
    for route in ROUTES.iter().filter(|route| route.access == Access::Browser && route.method == Method::GET)
    {
        let seen = pages.iter().any(|(name, _)| *name == route.name);
        assert!(seen, "nobody looks at the pages of {route:?}");
    }
    let away = |link: &str| format!("<body><a href=\"{link}\">connect</a>");
    let (attacked, framed) = (world.link().await, world.link().await);
    let plan = json!({
        "pages": pages.into_iter().map(|(_, page)| page).collect::<Vec<_>>(),
        "elsewhere": {
            "/with": away(&world.link().await),
            "/without": away(&world.link().await),
            "/forge": "<body>",
            "/frame": format!("<body><iframe src=\"{framed}\" title=\"-\"></iframe>"),
        },
        "home": HOME,
        "journeys": ["http://localhost:3000/with", "http://localhost:3000/without"],
        "attack": {
            "open": attacked,
            "forge": "http://localhost:3000/forge",
            "frame": "http://localhost:3000/frame",
        },
    });
    let wrong = tokio::task::spawn_blocking(move || look(&plan)).await.expect("it ends");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let counts = world.sandbox.control().counts();
    assert_eq!(counts.exchanges, 2, "both journeys, and nothing of the attack");
}

/// The same looks at a page on which everything is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_page_is_seen() {
    let bad = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src-elem 'unsafe-inline'\">\
        <style>:focus { outline: none } button { height: 20px } p { color: #999; width: 2000px }</style>\
        <body><p style=\"color: red\">faint, and too wide</p><form><input><button>x</button></form>";
    let plan = json!({
        "pages": [{
            "name": "bad", "urls": ["http://localhost:3000/bad"], "press": false, "title": "Something else",
        }],
        "elsewhere": { "/bad": bad },
        "journeys": [],
    });
    let wrong = tokio::task::spawn_blocking(move || look(&plan)).await.expect("it ends");
    for fault in [
        "not “Something else”",
        "color-contrast",
        ": label: ",
        "scrolls sideways",
        "bad 390 dark: 20 pixels high",
        "no visible focus",
        "Content Security Policy",
    ] {
        assert!(wrong.iter().any(|line| line.contains(fault)), "{fault}: {}", wrong.join("\n"));
    }
}
