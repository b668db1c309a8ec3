//! A form and a JSON document say the same, on every route that takes a body.

use super::address;
use crate::journey::sandbox;
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::raw::{Raw, raw};
use crate::support::tenant::{HOME, PASSWORD, Tenant, agree};
use grantkeep::http::{ROUTES, RouteName};
use grantkeep::sandbox::Sandbox;
use serde_json::{Value, json};
use std::time::Duration;

/// Fields for one call; another set each time, where a route takes each only once.
async fn fields(route: RouteName, app: &App, tenant: &Tenant, sandbox: &Sandbox) -> Option<Value> {
    Some(match route {
        RouteName::SignUp => {
            let email = address("body");
            json!({ "email": email, "password": PASSWORD, "product": "Acme & Söhne" })
        }
        RouteName::VerifyEmail => signed_up(app, tenant).await,
        RouteName::ForgotPassword => json!({ "email": tenant.email }),
        RouteName::ResetPassword => forgotten(app).await,
        RouteName::CreateApiKey => json!({
            "name": "a key", "scopes": ["tokens:read", "keys:write"], "providers": ["slack", "google"],
            "ips": ["192.0.2.0/24"], "expires_at": "2099-01-31T12:00:00Z",
        }),
        RouteName::EnableProvider => registration(sandbox),
        RouteName::BeginAuthorization => {
            json!({ "end_user": "user 1 & co", "end_user_label": "Ada", "account": "work", "scopes": ["profile"], "redirect_url": HOME })
        }
        RouteName::CompleteAuthorization => {
            let begin = json!({ "end_user": "user 1", "redirect_url": HOME });
            let link = tenant.post("/authorize-sandbox", &begin).await.expect(201).text("authorize_url");
            let back = agree(&mut Browser::new(), &link).await;
            json!({ "completion": back.parameter("completion").expect("a completion"), "end_user": "user 1" })
        }
        RouteName::GetAccessToken => {
            json!({ "provider": "sandbox", "end_user": "user 1", "min_ttl": 10, "force_refresh": false })
        }
        RouteName::ImportConnection => brought_along(tenant).await,
        RouteName::RefreshConnection => json!({}),
        RouteName::ChangeIntegration => changes(sandbox),
        RouteName::ChangeTenant => json!({ "product": "Acme & Söhne" }),
        // `DeleteTenant` would end the rest of the case.
        RouteName::ShowVerification
        | RouteName::ShowPasswordReset
        | RouteName::ListApiKeys
        | RouteName::ShowApiKey
        | RouteName::ShowSession
        | RouteName::ListIntegrations
        | RouteName::ShowIntegration
        | RouteName::RemoveIntegration
        | RouteName::ShowTenant
        | RouteName::DeleteTenant
        | RouteName::RevokeApiKey
        | RouteName::OpenAuthorization
        // Goes with the cookie of its page: `sessions::page_finish`.
        | RouteName::StartAuthorization
        | RouteName::Callback
        | RouteName::ListAudit
        | RouteName::ListEvents
        | RouteName::ListConnections
        | RouteName::ShowConnection
        | RouteName::DeleteConnection
        | RouteName::ListProviders
        | RouteName::ShowProvider
        | RouteName::Document
        | RouteName::Style => return None,
    })
}

/// The token of a sign-up's mail.
async fn signed_up(app: &App, tenant: &Tenant) -> Value {
    let email = address("body");
    tenant.post("/signup", &json!({ "email": email, "password": PASSWORD })).await.expect(202);
    json!({ "token": app.mailed_token("/verify-email", &email).await })
}

/// The token of somebody's mail to set a new password, and one.
async fn forgotten(app: &App) -> Value {
    let other = Tenant::new(app).await;
    other.post("/forgot-password", &json!({ "email": other.email })).await.expect(202);
    let token = app.mailed_token("/reset-password", &other.email).await;
    json!({ "token": token, "password": "another quiet harbour & dawn" })
}

/// A grant for a slot that takes one, so it is emptied before.
async fn brought_along(tenant: &Tenant) -> Value {
    let list = tenant.get("/v1/connections?end_user=brought%20along").await.expect(200);
    for item in list.body["items"].as_array().expect("items") {
        tenant.delete(&format!("/v1/connections/{}", item["id"].as_str().expect("an id"))).await;
    }
    json!({
        "provider": "sandbox", "end_user": "brought along", "account": "a & b", "access_token": "an access token",
        "refresh_token": "a refresh token", "expires_in": 3600, "scopes": ["profile"],
        "metadata": { "team": "T 1" }, "check": false,
    })
}

fn registration(sandbox: &Sandbox) -> Value {
    json!({
        "provider": "sandbox",
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "scopes": ["profile", "offline_access"],
        "redirect_url": [HOME, "https://example.com/a?b=c&d=%20+"],
        "variables": { "host": sandbox.base_url().trim_start_matches("http://") },
    })
}

fn changes(sandbox: &Sandbox) -> Value {
    json!({
        "client_id": "sandbox-client", "client_secret": "sandbox-secret", "scopes": ["profile", "offline_access"],
        "redirect_url": [HOME, "https://example.com/"], "finish": "backend", "drop_previous_secret": true,
        "variables": { "host": sandbox.base_url().trim_start_matches("http://") },
    })
}

/// The same fields as a form.
fn as_form(fields: &Value) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, value) in fields.as_object().expect("an object") {
        let pairs: Vec<(String, String)> = match value {
            Value::Array(list) if name == "scopes" => {
                vec![(name.clone(), list.iter().map(text).collect::<Vec<_>>().join(" "))]
            }
            Value::Array(list) => list.iter().map(|value| (name.clone(), text(value))).collect(),
            Value::Object(object) => {
                object.iter().map(|(inner, value)| (format!("{name}[{inner}]"), text(value))).collect()
            }
            value => vec![(name.clone(), text(value))],
        };
        form.extend_pairs(pairs);
    }
    form.finish()
}

/// What an answer says, without what is another one each time.
fn said(answer: &Raw) -> (u16, Value) {
    let mut body = answer.json();
    for (name, value) in body.as_object_mut().expect("an object") {
        let new = ["id", "key", "session", "authorize_url", "tenant", "generation", "expires_in", "summary"]
            .contains(&name.as_str());
        if new
            || (name.ends_with("_at") && name != "expires_at")
            || (name == "expires_at" && !value.to_string().contains("2099"))
        {
            *value = Value::Null;
        }
    }
    (answer.status, body)
}

on_both_stores!(form_and_json_say_the_same, |stores: Stores| async move {
    let app = App::start(stores).await;
    let sandbox = sandbox(Duration::from_mins(5)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let connection = tenant.connect("user 1").await["id"].as_str().expect("an id").to_owned();
    for route in ROUTES {
        let Some(first) = fields(route.name, &app, &tenant, &sandbox).await else {
            let without_its_page = route.name == RouteName::StartAuthorization;
            assert!(route.method != "POST" || without_its_page, "{route:?} takes a body");
            continue;
        };
        let path = route.path.replace("{provider}", "sandbox").replace("{id}", &connection);
        let request = || {
            let request = http()
                .request(route.method.as_str().parse().expect("a method"), format!("{}{path}", tenant.url));
            let request = request.header("accept", "application/json");
            if route.access.wants_caller() { request.bearer_auth(&tenant.key) } else { request }
        };
        let json =
            raw(request().header("content-type", "application/json; charset=utf-8").body(first.to_string()))
                .await;
        let second = fields(route.name, &app, &tenant, &sandbox).await.expect("the same again");
        let form =
            request().header("content-type", "application/x-www-form-urlencoded").body(as_form(&second));
        let form = raw(form).await;
        assert!((200..300).contains(&json.status), "{route:?}: {}", json.text());
        assert_eq!(said(&json), said(&form), "{route:?}");
    }
});
