//! A provider as its file describes it (section 7 of the design): facts, checked, never code.
//!
//! Everything that is optional in the file has its default filled in here, so that readers above never guess.

use super::template::{FillError, Template};
use super::variables::{Values, Variable};
use crate::domain::ProviderId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// One upstream authorization server.
///
/// `Serialize` is the canonical text of [`Provider::canonical_text`] and of `providers show`; what is only prose is left out.
#[derive(Clone, Debug, Serialize)]
pub struct Provider {
    /// The name of its file.
    pub id: ProviderId,
    /// What people call it.
    #[serde(skip)]
    pub name: String,
    /// What it is good for.
    #[serde(skip)]
    pub categories: Vec<String>,
    /// The vendor's page about it; empty where there is none.
    #[serde(skip)]
    pub docs: String,
    /// RFC 9207: what `iss` must be where the callback carries it.
    pub issuer: Option<Template>,
    /// RFC 9207: the callback must carry `iss`.
    pub iss_required: bool,
    /// What is asked of the tenant, or at authorize, by name.
    pub variables: BTreeMap<String, Variable>,
    /// The authorization endpoint (RFC 6749 section 3.1).
    pub authorize: Authorize,
    /// The token endpoint (RFC 6749 section 3.2).
    pub token: TokenEndpoint,
    /// Further tokens in the same grant, by name.
    pub tokens: BTreeMap<String, FurtherToken>,
    /// How tokens are renewed, and what that does to the old ones.
    pub refresh: Refresh,
    /// How a grant is ended upstream; `None`: it cannot be.
    pub revoke: Option<Revoke>,
    /// What a callback may carry besides code and state.
    pub callback: CallbackRules,
    /// Who was connected.
    pub identity: Option<Identity>,
    /// Further GETs after a connect, in order; each may use what those before it found.
    pub after_connect: Vec<AfterConnect>,
    /// Values that come out of responses and name a host, with the suffixes under which they are accepted.
    pub hosts: BTreeMap<String, HostRule>,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

impl Provider {
    /// How long before expiry a token of that lifetime is refreshed: what the file says, else a tenth of the lifetime
    /// between 30 seconds and 5 minutes; never over half of the lifetime.
    pub fn margin(&self, lifetime: Duration) -> Duration {
        let usual = || (lifetime / 10).clamp(Duration::from_secs(30), Duration::from_mins(5));
        self.refresh.margin.unwrap_or_else(usual).min(lifetime / 2)
    }

    /// The URL of `template` with `values` filled in. Values that came out of responses pass their host rule again.
    pub fn fill(&self, template: &Template, values: &Values) -> Result<Url, FillError> {
        template.fill(&|name| self.look_up(name, values))
    }

    /// As [`Provider::fill`], where `also` knows further names, such as `token` in a revocation.
    pub fn fill_with(
        &self,
        template: &Template,
        values: &Values,
        also: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Url, FillError> {
        template.fill(&|name| also(name).or_else(|| self.look_up(name, values)))
    }

    /// What `iss` must be (RFC 9207), where the provider has an issuer. Not a `Url`: issuers are compared as text.
    pub fn expected_issuer(&self, values: &Values) -> Result<Option<String>, FillError> {
        self.issuer.as_ref().map(|issuer| issuer.fill_text(&|name| self.look_up(name, values))).transpose()
    }

    /// Where refreshes go.
    pub fn refresh_url(&self) -> &Template {
        self.refresh.url.as_ref().unwrap_or(&self.token.url)
    }

    /// True where the tenant's registration has a client secret.
    pub fn needs_secret(&self) -> bool {
        self.token.auth != ClientAuth::None || self.callback.hmac.is_some()
    }

    /// Everything that decides where secrets go and how, as text: equal for equal definitions, whatever file they came from.
    ///
    /// Whoever needs a short form hashes it. A session that began under another text is not exchanged.
    pub fn canonical_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// True when some URL of it may be plain http.
    pub fn is_insecure(&self) -> bool {
        self.templates().any(Template::is_insecure)
    }

    /// All URLs, the issuer too.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        let optional = [
            self.issuer.as_ref(),
            self.refresh.url.as_ref(),
            self.revoke.as_ref().map(|revoke| &revoke.url),
            self.identity.as_ref().map(|identity| &identity.url),
        ];
        [&self.authorize.url, &self.token.url]
            .into_iter()
            .chain(optional.into_iter().flatten())
            .chain(self.after_connect.iter().map(|step| &step.url))
    }

    fn look_up(&self, name: &str, values: &Values) -> Option<String> {
        let value = values.get(name)?;
        match self.hosts.get(name) {
            Some(rule) => rule.accept(value),
            None => Some(value.clone()),
        }
    }
}
