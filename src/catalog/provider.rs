//! A provider as its file describes it (section 7 of the design): facts, checked, never code.
//!
//! Everything that is optional in the file has its default filled in here, so that readers above never guess.

use super::parts::{
    AfterConnect, Authorize, CallbackRules, ClientAuth, FurtherToken, HostRule, Identity, Refresh, Revoke,
    TokenEndpoint,
};
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
