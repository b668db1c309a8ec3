//! The parts of a provider: endpoints, answers, and what a refresh does.

use super::template::Template;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// The authorization endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct Authorize {
    /// Where the browser goes; its own query is kept.
    pub url: Template,
    /// Further parameters.
    pub params: BTreeMap<String, String>,
    /// Our name of a parameter to theirs; `None` drops it.
    pub rename: Rename,
    /// What the scope parameter is called; `None` sends none.
    pub scope_param: Option<String>,
    /// What stands between two scopes.
    pub scope_separator: char,
    /// Whether a code challenge is sent (RFC 7636).
    pub pkce: Pkce,
    /// What the callback calls the code.
    pub code_param: String,
    /// How long a code is good, where that is short enough to matter.
    pub code_lifetime: Option<Duration>,
}

/// Our names of parameters to the provider's; `None` drops one.
pub type Rename = BTreeMap<String, Option<String>>;

/// RFC 7636; `plain` is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum Pkce {
    /// A SHA-256 challenge.
    S256,
    /// None is sent.
    #[serde(rename = "off")]
    Off,
}

/// The token endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct TokenEndpoint {
    /// Where codes and refresh tokens are exchanged.
    pub url: Template,
    /// How we prove that we are the client.
    pub auth: ClientAuth,
    /// How parameters are sent.
    pub body: BodyKind,
    /// Further parameters of the code exchange.
    pub params: BTreeMap<String, String>,
    /// Further headers, sent with refreshes too.
    pub headers: BTreeMap<String, String>,
    /// As [`Authorize::rename`], for code exchange and refresh.
    pub rename: Rename,
    /// Where things stand in the answer.
    pub response: ResponsePointers,
}

/// How a client proves itself (RFC 6749 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic, id and secret form-encoded first, as RFC 6749 section 2.3.1 says.
    Basic,
    /// HTTP Basic as most clients do it: not form-encoded first.
    BasicRaw,
    /// `client_id` and `client_secret` among the parameters.
    Post,
    /// The secret as a bearer token.
    Bearer,
    /// A public client: only `client_id`.
    None,
}

/// How parameters are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A flat JSON object of strings.
    Json,
    /// In the query of the URL.
    Query,
}

/// A method that a file may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "HTTP's own words")]
pub enum HttpMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// A JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pointer(pub(super) String);

impl Pointer {
    /// The pointer as text; starts with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where things stand in a token answer; `None`: not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names of RFC 6749 section 5.1")]
pub struct ResponsePointers {
    pub access_token: Pointer,
    pub refresh_token: Option<Pointer>,
    pub expires_in: Option<Pointer>,
    /// Seconds until the refresh token dies.
    pub refresh_expires_in: Option<Pointer>,
    pub token_type: Option<Pointer>,
    pub scope: Option<Pointer>,
    /// What stands between two scopes here, besides spaces.
    pub scope_separator: char,
    /// The scope that a refresh token stands for, where the provider's list leaves it out.
    pub refresh_scope: Option<String>,
    /// Must be true.
    pub ok: Option<Pointer>,
    /// Its presence is a refusal, whatever the status.
    pub error: Option<Pointer>,
    /// Copied to the connection, by name.
    pub metadata: BTreeMap<String, Pointer>,
}

/// A further token in the same grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names of RFC 6749 section 5.1")]
pub struct FurtherToken {
    pub access_token: Pointer,
    pub refresh_token: Option<Pointer>,
    pub expires_in: Option<Pointer>,
    pub scope: Option<Pointer>,
}

/// How tokens are renewed.
#[derive(Clone, Debug, Serialize)]
pub struct Refresh {
    /// Where; `None`: the token endpoint.
    pub url: Option<Template>,
    /// POST, unless a file says otherwise. With GET the parameters stand in the query.
    pub method: HttpMethod,
    /// The grant type sent.
    pub grant: String,
    /// Which token is sent.
    pub send: RefreshWith,
    /// Further parameters.
    pub params: BTreeMap<String, String>,
    /// Does a refresh spend the old refresh token?
    pub rotation: Rotation,
    /// How long the old one still works, where `rotation` is [`Rotation::Grace`].
    pub grace: Duration,
    /// After a refresh whose outcome nobody saw.
    pub on_unknown: OnUnknown,
    /// What a refresh does to the old access token.
    pub old_access: OldAccess,
    /// Refresh this long before expiry; `None`: see [`Provider::margin`].
    pub margin: Option<Duration>,
    /// No refresh of an access token younger than this.
    pub min_age: Option<Duration>,
    /// The lifetime where the provider does not say.
    pub assumed_lifetime: Option<Duration>,
    /// A refresh token dies when it is not used for this long.
    pub idle_limit: Option<Duration>,
    /// A refresh token and its successors die this long after the connect.
    pub absolute_limit: Option<Duration>,
    /// Where things stand in the answer to a refresh.
    pub response: ResponsePointers,
    /// True where the file gives `[refresh.response]`: such an answer holds one token, and further tokens are not looked for in it.
    pub own_response: bool,
}

/// Which token a refresh sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshWith {
    /// The refresh token (RFC 6749 section 6).
    RefreshToken,
    /// The access token renews itself.
    AccessToken,
}

/// Does a refresh spend the old refresh token?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// It goes on working.
    None,
    /// It works a little longer: [`Refresh::grace`].
    Grace,
    /// It is spent, and using it again may kill the grant.
    Strict,
}

/// What to do after a refresh whose outcome nobody saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Try the old refresh token once more.
    Retry,
    /// Trying could kill more than this grant: ask the end user again.
    Reauthorize,
}

/// What a refresh does to the old access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OldAccess {
    /// It lives to its own expiry.
    Valid,
    /// It dies at once.
    Killed,
    /// It lives this much longer.
    For(Duration),
}

/// How a grant is ended upstream: RFC 7009, unless `{token}` stands in URL, headers or body.
#[derive(Clone, Debug, Serialize)]
pub struct Revoke {
    /// Where; may hold `{token}` and `{client_id}`.
    pub url: Template,
    /// POST, unless a file says otherwise.
    pub method: HttpMethod,
    /// How we prove that we are the client.
    pub auth: ClientAuth,
    /// Which token is sent.
    pub token: RevokeToken,
    /// The fields of the body, where it is not RFC 7009; may hold `{token}` and `{client_id}`.
    pub body: BTreeMap<String, String>,
    /// Further headers; may hold `{token}` and `{client_id}`.
    pub headers: BTreeMap<String, String>,
}

impl Revoke {
    /// True where `{token}` stands in URL, headers or body: then nothing is sent as RFC 7009 says.
    pub fn names_token(&self) -> bool {
        let text = |map: &BTreeMap<String, String>| map.values().any(|value| value.contains("{token}"));
        self.url.holes().any(|(name, _)| name == "token") || text(&self.headers) || text(&self.body)
    }
}

/// Which token a revocation sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeToken {
    /// The refresh token; the access token where there is none.
    Refresh,
    /// The access token.
    Access,
}

/// What a callback may carry besides code and state.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallbackRules {
    /// Parameters copied to the connection; others are dropped.
    pub capture: Vec<String>,
    /// The parameter with an HMAC-SHA-256 over the others, under the client secret, in hexadecimal.
    pub hmac: Option<String>,
}

/// Who was connected: a GET with the access token as bearer.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// Where.
    pub url: Template,
    /// What is pinned, and compared at reconnect.
    pub id: Pointer,
    /// What people would recognise.
    pub name: Option<Pointer>,
}

/// A further GET with the access token as bearer.
#[derive(Clone, Debug, Serialize)]
pub struct AfterConnect {
    /// Where.
    pub url: Template,
    /// Copied to the connection, by name.
    pub metadata: BTreeMap<String, Pointer>,
}

/// Under which names a host that came out of a response is accepted: `.example.com` is any host below, `example.com` that host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HostRule(pub(super) Vec<String>);

impl HostRule {
    /// The host in `value` (a host name, or an https URL with nothing behind it), if it is one of these.
    pub fn accept(&self, value: &str) -> Option<String> {
        let bare = value.strip_prefix("https://").unwrap_or(value);
        let host = bare.strip_suffix('/').unwrap_or(bare).to_ascii_lowercase();
        let below = |rule: &String| match rule.strip_prefix('.') {
            Some(_) => host.len() > rule.len() && host.ends_with(rule.as_str()),
            None => host == *rule,
        };
        (super::template::is_host_name(&host) && self.0.iter().any(below)).then_some(host)
    }
}
