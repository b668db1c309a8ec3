//! The route table: every route there is, who may use it, and how a test names another tenant's thing on it.
//!
//! The server is configured from this table by an exhaustive match over [`RouteName`], so there is no route outside it.

use crate::domain::KeyScope;
use actix_web::http::Method;

/// One route of the public port.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name; each stands in the table once.
    pub name: RouteName,
    /// Its method. `HEAD` goes with `GET`, but for browsers: there a `GET` may spend a state.
    pub method: Method,
    /// Its path, parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// How another tenant's thing is named on it.
    pub foreign: Foreign,
}

/// Who may use a route, and how it answers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody; answers are JSON.
    Public,
    /// A person's browser, by a ticket, a state or a token in its URL; refusals are pages.
    Browser,
    /// An API key with this scope, or a member.
    Caller(KeyScope),
    /// Any API key, or a member.
    AnyCaller,
}

impl Access {
    /// True when a request must prove who calls.
    pub fn wants_caller(self) -> bool {
        matches!(self, Self::Caller(_) | Self::AnyCaller)
    }
}

/// How a request on this route could name something of another tenant; it must then answer as for an absent thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It cannot, for this reason.
    Nothing(&'static str),
    /// By this parameter of the path.
    Path(&'static str, Thing),
    /// By this field of the body.
    Field(&'static str, Thing),
    /// By this parameter of the query.
    Query(&'static str, Thing),
}

/// What belongs to one tenant and has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the design's words")]
pub enum Thing {
    Tenant,
    ApiKey,
    Integration,
    Completion,
    EndUser,
    Connection,
    Session,
}

const OWN_AUTHORITY: Foreign = Foreign::Nothing("the secret in it is the authority; no id stands beside it");
const SHARED: Foreign = Foreign::Nothing("the catalog belongs to nobody");

macro_rules! routes {
    ($($name:ident: $method:ident $path:literal, $access:expr, $foreign:expr;)+) => {
        /// The names of all routes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each stands in the table")]
        pub enum RouteName { $($name),+ }

        /// All routes of the public port.
        pub static ROUTES: &[Route] = &[$(Route {
            name: RouteName::$name,
            method: Method::$method,
            path: $path,
            access: $access,
            foreign: $foreign,
        }),+];
    };
}

use Access::{AnyCaller, Browser, Caller, Public};
use KeyScope::{
    AuditRead, ConnectionsRead, ConnectionsWrite, IntegrationsRead, IntegrationsWrite, KeysWrite,
    TenantWrite, TokensRead,
};

routes! {
    SignUp: POST "/signup", Public, Foreign::Nothing("makes something new, and its answer is always the same");
    ShowVerification: GET "/verify-email", Browser, OWN_AUTHORITY;
    VerifyEmail: POST "/verify-email", Browser, OWN_AUTHORITY;
    ForgotPassword: POST "/forgot-password", Public, Foreign::Nothing("its answer is always the same");
    ShowPasswordReset: GET "/reset-password", Browser, OWN_AUTHORITY;
    ResetPassword: POST "/reset-password", Browser, OWN_AUTHORITY;
    CreateApiKey: POST "/v1/api-keys", Caller(KeysWrite), Foreign::Nothing("makes something new of the caller's own");
    ListApiKeys: GET "/v1/api-keys", Caller(KeysWrite), Foreign::Query("cursor", Thing::ApiKey);
    ShowApiKey: GET "/v1/api-keys/{id}", Caller(KeysWrite), Foreign::Path("id", Thing::ApiKey);
    RevokeApiKey: DELETE "/v1/api-keys/{id}", Caller(KeysWrite), Foreign::Path("id", Thing::ApiKey);
    EnableProvider: POST "/enable-provider", Caller(IntegrationsWrite), Foreign::Field("provider", Thing::Integration);
    BeginAuthorization: POST "/authorize-{provider}", Caller(ConnectionsWrite), Foreign::Path("provider", Thing::Integration);
    OpenAuthorization: GET "/authorize-{provider}", Browser, OWN_AUTHORITY;
    StartAuthorization: POST "/authorize-{provider}/start", Browser, OWN_AUTHORITY;
    Callback: GET "/authorization-success/{tenant}/{provider}", Browser, Foreign::Path("tenant", Thing::Tenant);
    CompleteAuthorization: POST "/complete-authorization", Caller(ConnectionsWrite), Foreign::Field("completion", Thing::Completion);
    GetAccessToken: POST "/get-access-token", Caller(TokensRead), Foreign::Field("end_user", Thing::EndUser);
    ShowSession: GET "/v1/sessions/{id}", Caller(ConnectionsRead), Foreign::Path("id", Thing::Session);
    ImportConnection: POST "/v1/connections", Caller(ConnectionsWrite), Foreign::Field("provider", Thing::Integration);
    ListConnections: GET "/v1/connections", Caller(ConnectionsRead), Foreign::Query("end_user", Thing::EndUser);
    ShowConnection: GET "/v1/connections/{id}", Caller(ConnectionsRead), Foreign::Path("id", Thing::Connection);
    RefreshConnection: POST "/v1/connections/{id}/refresh", Caller(ConnectionsWrite), Foreign::Path("id", Thing::Connection);
    DeleteConnection: DELETE "/v1/connections/{id}", Caller(ConnectionsWrite), Foreign::Path("id", Thing::Connection);
    ListIntegrations: GET "/v1/integrations", Caller(IntegrationsRead), Foreign::Query("cursor", Thing::Integration);
    ShowIntegration: GET "/v1/integrations/{provider}", Caller(IntegrationsRead), Foreign::Path("provider", Thing::Integration);
    ChangeIntegration: PATCH "/v1/integrations/{provider}", Caller(IntegrationsWrite), Foreign::Path("provider", Thing::Integration);
    RemoveIntegration: DELETE "/v1/integrations/{provider}", Caller(IntegrationsWrite), Foreign::Path("provider", Thing::Integration);
    ListAudit: GET "/v1/audit", Caller(AuditRead), Foreign::Query("connection", Thing::Connection);
    ListEvents: GET "/v1/events", Caller(ConnectionsRead), Foreign::Query("connection", Thing::Connection);
    ShowTenant: GET "/v1/tenant", AnyCaller, Foreign::Nothing("the caller's own; no id stands in it");
    ChangeTenant: PATCH "/v1/tenant", Caller(TenantWrite), Foreign::Nothing("the caller's own; no id stands in it");
    DeleteTenant: DELETE "/v1/tenant", Caller(TenantWrite), Foreign::Field("confirm", Thing::Tenant);
    ListProviders: GET "/providers", Public, SHARED;
    ShowProvider: GET "/providers/{id}", Public, SHARED;
    Document: GET "/openapi.json", Public, Foreign::Nothing("the same bytes for everybody");
    Style: GET "/assets/style.css", Public, Foreign::Nothing("the same bytes for everybody");
}

/// The paths of the table, each once, those with parameters last: each of them costs a request on its way to its route a
/// regular expression, and the others only a comparison.
pub(super) fn paths() -> Vec<&'static str> {
    let mut paths: Vec<&'static str> = Vec::new();
    for route in ROUTES {
        if !paths.contains(&route.path) {
            paths.push(route.path);
        }
    }
    paths.sort_by_key(|path| path.contains('{'));
    paths
}

/// The routes of a path.
pub(super) fn at(path: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.path == path)
}

impl Route {
    /// True when `HEAD` is answered too.
    pub(super) fn takes_head(&self) -> bool {
        self.method == Method::GET && self.access != Access::Browser
    }
}

/// The value of `Allow` for a path (RFC 9110 section 10.2.1).
pub(super) fn allowed(path: &str) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for route in at(path) {
        methods.push(route.method.as_str());
        if route.takes_head() {
            methods.push("HEAD");
        }
    }
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_stands_twice() {
        for (n, route) in ROUTES.iter().enumerate() {
            let same = |other: &Route| other.method == route.method && other.path == route.path;
            assert!(!ROUTES[n + 1..].iter().any(same), "{route:?}");
        }
    }

    #[test]
    fn what_a_foreign_thing_is_named_by_stands_in_the_path() {
        for route in ROUTES {
            if let Foreign::Path(parameter, _) = route.foreign {
                assert!(route.path.contains(&format!("{{{parameter}}}")), "{route:?}");
            }
            let by_id = route.path.contains("{id}") && route.access.wants_caller();
            assert!(!by_id || matches!(route.foreign, Foreign::Path("id", _)), "{route:?}");
        }
    }

    #[test]
    fn methods_of_a_path_are_told() {
        assert_eq!(allowed("/v1/connections/{id}"), "GET, HEAD, DELETE");
        assert_eq!(allowed("/authorize-{provider}"), "POST, GET");
    }
}
