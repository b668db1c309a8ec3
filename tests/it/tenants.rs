//! Another tenant's thing is answered exactly as one that is not there.
//!
//! The cases come from the route table: each route says how something of another tenant could be named on it. [`good`] has a
//! good request for every route by an exhaustive match, so a new route without one does not compile.

use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::raw::{Raw, difference, raw};
use crate::support::tenant::{HOME, PASSWORD, Tenant, agree, arrive};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use grantkeep::http::{Foreign, ROUTES, Route, RouteName, Thing};
use grantkeep::sandbox::Sandbox;
use serde_json::{Value, json};
use std::time::Duration;

/// A tenant with one of everything.
struct World {
    tenant: Tenant,
    connection: String,
    api_key: String,
    session: String,
    completion: String,
}

impl World {
    async fn new(app: &App, sandbox: &Sandbox, end_user: &str) -> Self {
        let tenant = Tenant::new(app).await;
        tenant.enable(sandbox).await.expect(201);
        let connection = tenant.connect(end_user).await["id"].as_str().expect("an id").to_owned();
        let made = tenant.post("/v1/api-keys", &json!({ "name": "second" })).await.expect(201);
        let begun = tenant.post("/authorize-sandbox", &json!({ "end_user": end_user })).await.expect(201);
        let link = tenant.begin(&format!("{end_user} too")).await;
        let back = agree(&mut Browser::new(), &link).await;
        Self {
            connection,
            api_key: made.text("id"),
            session: begun.text("session"),
            completion: back.parameter("completion").expect("a completion"),
            tenant,
        }
    }

    /// What its tenant sees of it.
    async fn seen(&self, end_user: &str) -> Vec<Value> {
        let token = self.tenant.token(end_user).await.expect(200);
        let lists = [
            "/v1/connections".to_owned(),
            "/v1/api-keys".to_owned(),
            format!("/v1/connections/{}", self.connection),
            format!("/v1/sessions/{}", self.session),
            "/v1/integrations".to_owned(),
            "/v1/tenant".to_owned(),
        ];
        let mut seen = vec![token.body["access_token"].clone(), token.body["generation"].clone()];
        for path in lists {
            seen.push(self.tenant.get(&path).await.expect(200).body);
        }
        seen
    }

    fn name_of(&self, thing: Thing) -> String {
        match thing {
            Thing::Tenant => self.tenant.id().to_owned(),
            Thing::ApiKey => self.api_key.clone(),
            Thing::Integration => "sandbox".to_owned(),
            Thing::Completion => self.completion.clone(),
            Thing::EndUser => "user A".to_owned(),
            Thing::Connection => self.connection.clone(),
            Thing::Session => self.session.clone(),
        }
    }
}

/// A name of the same form for a thing that nobody has.
fn absent(name: &str) -> String {
    if name == "sandbox" {
        // The same provider under another name.
        return "twinbox".to_owned();
    }
    let (rest, last) = name.split_at(name.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

/// A request, to be sent.
struct Ask {
    path: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    body: Option<Value>,
    cookie: Option<String>,
}

fn ask() -> Ask {
    Ask { path: vec![], query: vec![], body: None, cookie: None }
}

impl Ask {
    fn at(mut self, parameter: &'static str, value: &str) -> Self {
        self.path.push((parameter, value.to_owned()));
        self
    }

    fn with(mut self, parameter: &str, value: &str) -> Self {
        self.query.push((parameter.to_owned(), value.to_owned()));
        self
    }

    fn json(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Names a thing as the table says; an error where the request has no such place.
    fn name(&mut self, foreign: Foreign, name: &str) -> Result<(), String> {
        let text = |parameter: &str| match parameter {
            "cursor" => BASE64_URL_SAFE_NO_PAD.encode(name),
            _ => name.to_owned(),
        };
        let found = match foreign {
            Foreign::Nothing(_) => true,
            Foreign::Path(parameter, _) => {
                let place = self.path.iter_mut().find(|(known, _)| *known == parameter);
                place.map(|(_, value)| *value = text(parameter)).is_some()
            }
            Foreign::Query(parameter, _) => {
                let place = self.query.iter_mut().find(|(known, _)| known == parameter);
                place.map(|(_, value)| *value = text(parameter)).is_some()
            }
            Foreign::Field(field, _) => {
                let place = self.body.as_mut().and_then(|body| body.get_mut(field));
                place.map(|value| *value = text(field).into()).is_some()
            }
        };
        found.then_some(()).ok_or_else(|| format!("there is no place for {foreign:?}"))
    }

    async fn send(&self, by: &Tenant, route: &Route) -> Raw {
        let mut path = route.path.to_owned();
        for (parameter, value) in &self.path {
            let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            path = path.replace(&format!("{{{parameter}}}"), &encoded.replace('+', "%20"));
        }
        assert!(!path.contains('{'), "{route:?} lacks a parameter");
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let mut request = http()
            .request(route.method.as_str().parse().expect("a method"), format!("{}{path}?{query}", by.url));
        if route.access.wants_caller() {
            request = request.bearer_auth(&by.key);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(body) = &self.body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        raw(request).await
    }
}

/// A good request of `by` on each route; what is to be named foreign has its place in it.
async fn good(route: RouteName, by: &Tenant, sandbox: &Sandbox) -> Ask {
    match route {
        RouteName::SignUp => ask().json(json!({ "email": "nobody@example.com", "password": PASSWORD })),
        RouteName::ShowVerification | RouteName::ShowPasswordReset => ask().with("token", "t"),
        RouteName::VerifyEmail => ask().json(json!({ "token": "t" })),
        RouteName::ForgotPassword => ask().json(json!({ "email": "nobody@example.com" })),
        RouteName::ResetPassword => ask().json(json!({ "token": "t", "password": PASSWORD })),
        RouteName::CreateApiKey => ask().json(json!({ "name": "another" })),
        RouteName::ListApiKeys | RouteName::ListIntegrations => ask().with("cursor", "c"),
        RouteName::ShowApiKey
        | RouteName::RevokeApiKey
        | RouteName::ShowSession
        | RouteName::ShowConnection
        | RouteName::RefreshConnection
        | RouteName::DeleteConnection => ask().at("id", "i"),
        RouteName::ImportConnection => {
            ask().json(json!({ "provider": "p", "end_user": "brought along", "access_token": "a" }))
        }
        RouteName::ShowIntegration | RouteName::RemoveIntegration => ask().at("provider", "p"),
        RouteName::ChangeIntegration => ask().at("provider", "p").json(json!({ "scopes": "profile" })),
        RouteName::ChangeTenant => ask().json(json!({ "product": "Another" })),
        RouteName::DeleteTenant => ask().json(json!({ "confirm": "c" })),
        RouteName::EnableProvider => ask().json(json!({
            "provider": "p",
            "client_id": "client-of-somebody",
            "client_secret": "secret-of-somebody",
            "redirect_url": HOME,
            "variables": { "host": sandbox.base_url().trim_start_matches("http://") },
        })),
        RouteName::BeginAuthorization => ask().at("provider", "p").json(json!({ "end_user": "user B" })),
        RouteName::OpenAuthorization => ask().at("provider", "sandbox").with("session", "s"),
        RouteName::StartAuthorization => {
            ask().at("provider", "sandbox").json(json!({ "session": "s", "proof": "p" }))
        }
        RouteName::Callback => arriving(by).await,
        RouteName::CompleteAuthorization => {
            ask().json(json!({ "completion": "c", "end_user": "user A too" }))
        }
        RouteName::GetAccessToken => ask().json(json!({ "provider": "sandbox", "end_user": "e" })),
        RouteName::ListConnections => ask().with("end_user", "e"),
        RouteName::ListAudit | RouteName::ListEvents => ask().with("connection", "c").with("limit", "100"),
        RouteName::ShowTenant | RouteName::ListProviders | RouteName::Document | RouteName::Style => ask(),
        RouteName::ShowProvider => ask().at("id", "sandbox"),
    }
}

/// A browser that comes back from the provider for `by`, with everything that belongs there.
async fn arriving(by: &Tenant) -> Ask {
    let mut browser = Browser::new();
    let page = arrive(&mut browser, &by.begin("user B").await).await;
    let back = browser.send(&page, &page.form().press("allow")).await.location().expect("it goes back");
    let cookies: Vec<String> =
        browser.cookies_for(&back).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = back.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    Ask { query, cookie: Some(cookies.join("; ")), ..ask().at("tenant", by.id()).at("provider", "sandbox") }
}

/// The names in the table that were not tried.
fn untried(routes: &[Route], tried: &[RouteName]) -> Vec<RouteName> {
    routes.iter().map(|route| route.name).filter(|name| !tried.contains(name)).collect()
}

/// What tells the answer for `name` from the one for a name that nobody has, asked by `by`.
async fn told_apart(route: &Route, by: &Tenant, sandbox: &Sandbox, name: &str) -> Option<String> {
    let other = absent(name);
    let mut answers = Vec::new();
    for name in [name, &other] {
        let mut ask = good(route.name, by, sandbox).await;
        ask.name(route.foreign, name).unwrap_or_else(|fault| panic!("{route:?}: {fault}"));
        answers.push(ask.send(by, route).await);
    }
    difference((&answers[0], name), (&answers[1], &other))
}

/// On routes that name nothing of anybody's: an id of the other tenant's, wherever a text can stand.
async fn told_apart_anywhere(
    route: &Route,
    by: &Tenant,
    sandbox: &Sandbox,
    ids: &[String],
) -> Option<String> {
    let ask = good(route.name, by, sandbox).await;
    let fields = ask.body.iter().flat_map(|body| body.as_object().expect("an object").keys().cloned());
    let places: Vec<Foreign> = fields
        .map(|field| Foreign::Field(field.leak(), Thing::Tenant))
        .chain(ask.path.iter().map(|(parameter, _)| Foreign::Path(parameter, Thing::Tenant)))
        .chain(ask.query.iter().map(|(parameter, _)| Foreign::Query(parameter.clone().leak(), Thing::Tenant)))
        .collect();
    for place in places {
        for id in ids {
            let route = Route { foreign: place, ..route.clone() };
            if let Some(said) = told_apart(&route, by, sandbox, id).await {
                return Some(format!("{place:?} {said}"));
            }
        }
    }
    None
}

/// The same provider under two names: one that A has enabled, one that nobody has.
fn twin(folder: &std::path::Path) -> String {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/sandbox.toml")).expect("a file");
    std::fs::write(folder.join("twinbox.toml"), file).expect("a file");
    folder.display().to_string()
}

on_both_stores!(what_is_anothers_answers_as_what_is_absent, |stores: Stores| async move {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let app = App::start_with(stores, &[("providers.dirs", &twin(folder.path()))]).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let a = World::new(&app, &sandbox, "user A").await;
    let b = World::new(&app, &sandbox, "user B").await;
    let before = a.seen("user A").await;
    let ids = [a.tenant.id().to_owned(), a.session.clone()];
    let mut tried = Vec::new();
    for route in ROUTES {
        let said = match route.foreign {
            Foreign::Nothing(_) if route.access.wants_caller() => {
                good(route.name, &b.tenant, &sandbox).await.send(&b.tenant, route).await;
                None
            }
            Foreign::Nothing(_) => told_apart_anywhere(route, &b.tenant, &sandbox, &ids).await,
            // Who has not enabled the provider.
            Foreign::Path(_, Thing::Integration) | Foreign::Field(_, Thing::Integration) => {
                told_apart(route, &Tenant::new(&app).await, &sandbox, "sandbox").await
            }
            Foreign::Path(_, thing) | Foreign::Field(_, thing) | Foreign::Query(_, thing) => {
                told_apart(route, &b.tenant, &sandbox, &a.name_of(thing)).await
            }
        };
        assert!(said.is_none(), "{route:?} tells A's from nobody's: {}", said.unwrap_or_default());
        assert_eq!(a.seen("user A").await, before, "{route:?} changed something of A's");
        tried.push(route.name);
    }
    assert_eq!(untried(ROUTES, &tried), []);
    // The completion is good still, and so are the second key and the integration.
    a.tenant.complete(&a.completion, "user A too").await.expect(201);
    a.tenant.begin("user A").await;

    // And every one of these cases can fail: A is told its own things from nobody's.
    for route in ROUTES {
        let (Foreign::Path(_, thing) | Foreign::Field(_, thing) | Foreign::Query(_, thing)) = route.foreign
        else {
            continue;
        };
        // A position is no thing: what lies after it is the caller's own in any case.
        if matches!(route.foreign, Foreign::Query("cursor", _)) {
            continue;
        }
        // What nobody had may have been enabled by a route before.
        a.tenant.delete("/v1/integrations/twinbox").await;
        let said = told_apart(route, &a.tenant, &sandbox, &a.name_of(thing)).await;
        assert!(said.is_some(), "{route:?} answers A for its own as for nobody's");
    }
});

#[test]
fn a_missing_case_and_a_leak_are_caught() {
    let tried: Vec<RouteName> = ROUTES.iter().skip(1).map(|route| route.name).collect();
    assert_eq!(untried(ROUTES, &tried), [ROUTES[0].name]);
    // A route whose thing the good request does not name.
    let mut request = ask().at("id", "i");
    assert!(request.name(Foreign::Path("id", Thing::Connection), "x").is_ok());
    assert!(request.name(Foreign::Path("connection", Thing::Connection), "x").is_err());
    assert!(request.name(Foreign::Query("connection", Thing::Connection), "x").is_err());
    assert!(request.name(Foreign::Field("connection", Thing::Connection), "x").is_err());

    let one = Raw {
        status: 404,
        headers: vec![("allow".to_owned(), "GET".to_owned())],
        body: b"no such id-1".to_vec(),
    };
    let same = Raw {
        headers: [one.headers.clone(), vec![("date".to_owned(), "later".to_owned())]].concat(),
        ..one.clone()
    };
    assert_eq!(difference((&one, "id-1"), (&same, "id-1")), None);
    let other_id = Raw { body: b"no such id-2".to_vec(), ..one.clone() };
    assert_eq!(difference((&one, "id-1"), (&other_id, "id-2")), None);
    for leak in [
        Raw { status: 403, ..one.clone() },
        Raw { headers: vec![("allow".to_owned(), "POST".to_owned())], ..one.clone() },
        Raw { headers: vec![], ..one.clone() },
        Raw { body: b"no such id-1 of yours".to_vec(), ..one.clone() },
    ] {
        assert!(difference((&one, "id-1"), (&leak, "id-1")).is_some(), "{leak:?}");
    }
}
