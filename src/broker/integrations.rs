//! A tenant's own registrations: enabled, listed, changed, removed; checked before they are kept.

use super::Broker;
use crate::catalog::{AskedAt, Provider, VariableFault};
use crate::domain::{Action, ClientSecret, Deed, ProviderId, Refusal, Scopes};
use crate::vault::{Authority, Finish, Integration, IntegrationDraft, NewSecret, SecretDraft};
use std::collections::BTreeMap;
use url::{Host, Url};

const LONGEST: usize = 2048;
const REDIRECTS: usize = 50;

/// A tenant's registration at a provider, as it was given.
#[derive(Clone, Debug)]
pub struct Enable {
    /// Which provider.
    pub provider: ProviderId,
    /// The client id there.
    pub client_id: String,
    /// The client secret there.
    pub client_secret: Option<ClientSecret>,
    /// What is asked of end users.
    pub scopes: Scopes,
    /// Where end users return to in the tenant's product; one at least.
    pub redirect_urls: Vec<String>,
    /// Values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// Who ends an authorization.
    pub finish: Finish,
}

/// What was enabled.
#[derive(Clone, Debug)]
pub struct Enabled {
    /// The integration as it is kept.
    pub integration: Integration,
    /// True when there was none before.
    pub created: bool,
}

/// Changes to a registration: what is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Another client id.
    pub client_id: Option<String>,
    /// Another client secret; the one before stays beside it for a while.
    pub client_secret: Option<ClientSecret>,
    /// What is asked of end users from now on.
    pub scopes: Option<Scopes>,
    /// Where end users return to from now on; one at least.
    pub redirect_urls: Option<Vec<String>>,
    /// All values for the provider's variables.
    pub variables: Option<BTreeMap<String, String>>,
    /// Who ends an authorization from now on.
    pub finish: Option<Finish>,
    /// The client secret before is forgotten now.
    pub drop_previous_secret: bool,
}

impl Broker {
    /// Keeps a registration, or replaces the one before.
    pub async fn enable(&self, by: &Authority, request: Enable) -> Result<Enabled, Refusal> {
        let provider = request.provider.clone();
        let outcome = self.keep_registration(by, request).await;
        let action = match &outcome {
            Ok(enabled) if enabled.created => Action::IntegrationCreated,
            _ => Action::IntegrationChanged,
        };
        let deed = Deed::of(action, &outcome).about("provider", provider);
        let deed = match &outcome {
            Ok(enabled) => deed.about("client_id", &enabled.integration.client_id),
            Err(_) => deed,
        };
        self.vault.audit(by).record(deed).await?;
        outcome
    }

    async fn keep_registration(&self, by: &Authority, request: Enable) -> Result<Enabled, Refusal> {
        let provider = self.provider(&request.provider)?;
        check_client_id(&request.client_id)?;
        match &request.client_secret {
            None if provider.needs_secret() => {
                return Err(Refusal::field("client_secret", "is missing; this provider asks for one"));
            }
            secret => check_secret(secret.as_ref())?,
        }
        check_scopes(&request.scopes)?;
        check_redirects(&request.redirect_urls)?;
        let variables =
            provider.check_variables(AskedAt::Integration, &request.variables).map_err(|f| refuse(&f))?;
        let draft = IntegrationDraft {
            client_id: request.client_id,
            secret: SecretDraft { current: NewSecret::Given(request.client_secret), drop_previous: false },
            scopes: request.scopes,
            redirect_urls: request.redirect_urls,
            variables,
            finish: request.finish,
        };
        let created = self.vault.integrations(by).put(&provider.id, &draft).await?;
        let integration = self.integration(by, &provider.id).await?;
        Ok(Enabled { integration, created })
    }

    /// Integrations in the order of their providers' ids, after that position, `limit` at most; and where to go on.
    pub async fn list_integrations(
        &self,
        by: &Authority,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Integration>, Option<String>), Refusal> {
        Ok(self.vault.integrations(by).list(after, limit).await?)
    }

    /// Changes what is given and leaves the rest. Pending sessions under what was there before cannot be finished.
    pub async fn change_integration(
        &self,
        by: &Authority,
        id: &ProviderId,
        change: &Change,
    ) -> Result<Integration, Refusal> {
        let outcome = self.change(by, id, change).await;
        let deed = Deed::of(Action::IntegrationChanged, &outcome).about("provider", id);
        self.note(by, deed).await;
        outcome
    }

    async fn change(&self, by: &Authority, id: &ProviderId, change: &Change) -> Result<Integration, Refusal> {
        loop {
            let before = self.integration(by, id).await?;
            if change.is_empty() {
                return Ok(before);
            }
            let draft = change.over(&before, &*self.provider(id)?)?;
            // Where somebody else wrote in between: read again.
            if self.vault.integrations(by).replace(&before, &draft).await? {
                return self.integration(by, id).await;
            }
        }
    }

    /// Forgets an integration and its secrets. Its connections stay: their tokens are handed out as long as they live, and a
    /// refresh waits until the provider is enabled again under the same client id.
    pub async fn remove_integration(&self, by: &Authority, id: &ProviderId) -> Result<(), Refusal> {
        let outcome = match self.vault.integrations(by).remove(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_enabled(id)),
            Err(error) => Err(error.into()),
        };
        let deed = Deed::of(Action::IntegrationDeleted, &outcome).about("provider", id);
        self.note(by, deed).await;
        outcome
    }
}

impl Change {
    fn is_empty(&self) -> bool {
        let Self { client_id, client_secret, scopes, redirect_urls, variables, finish, drop_previous_secret } =
            self;
        let given = client_id.is_some() || client_secret.is_some() || scopes.is_some();
        !given && redirect_urls.is_none() && variables.is_none() && finish.is_none() && !drop_previous_secret
    }

    /// The whole as it is to be from now on.
    fn over(&self, before: &Integration, provider: &Provider) -> Result<IntegrationDraft, Refusal> {
        self.client_id.as_deref().map_or(Ok(()), check_client_id)?;
        check_secret(self.client_secret.as_ref())?;
        self.scopes.as_ref().map_or(Ok(()), check_scopes)?;
        self.redirect_urls.as_deref().map_or(Ok(()), check_redirects)?;
        let variables = match &self.variables {
            None => before.variables.clone(),
            Some(given) => provider.check_variables(AskedAt::Integration, given).map_err(|f| refuse(&f))?,
        };
        let current = match &self.client_secret {
            None => NewSecret::Same,
            Some(secret) => NewSecret::Given(Some(secret.clone())),
        };
        Ok(IntegrationDraft {
            client_id: self.client_id.clone().unwrap_or_else(|| before.client_id.clone()),
            secret: SecretDraft { current, drop_previous: self.drop_previous_secret },
            scopes: self.scopes.clone().unwrap_or_else(|| before.scopes.clone()),
            redirect_urls: self.redirect_urls.clone().unwrap_or_else(|| before.redirect_urls.clone()),
            variables,
            finish: self.finish.unwrap_or(before.finish),
        })
    }
}

/// What a tenant has not enabled.
pub(super) fn not_enabled(provider: &ProviderId) -> Refusal {
    Refusal::NotFound {
        what: format!("an integration for `{provider}`; enable it with POST /enable-provider"),
    }
}

fn visible(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.chars().all(|c| !c.is_control())
}

fn check_client_id(id: &str) -> Result<(), Refusal> {
    if visible(id) {
        return Ok(());
    }
    Err(Refusal::field("client_id", "must be the client id that the provider gave you"))
}

fn check_secret(secret: Option<&ClientSecret>) -> Result<(), Refusal> {
    if secret.is_none_or(|secret| visible(secret.expose())) {
        return Ok(());
    }
    Err(Refusal::field("client_secret", "must be the client secret that the provider gave you"))
}

/// RFC 6749 section 3.3: a scope is printable ASCII without space, quote and backslash.
pub(super) fn check_scopes(scopes: &Scopes) -> Result<(), Refusal> {
    let fine = |scope: &str| scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    let total: usize = scopes.iter().map(str::len).sum();
    if total > LONGEST * 4 || !scopes.iter().all(fine) {
        return Err(Refusal::field("scopes", "must be scopes as RFC 6749 section 3.3 has them"));
    }
    Ok(())
}

fn check_redirects(urls: &[String]) -> Result<(), Refusal> {
    if urls.is_empty() || urls.len() > REDIRECTS {
        return Err(Refusal::field(
            "redirect_url",
            format!("must be one URL or a list of up to {REDIRECTS}"),
        ));
    }
    urls.iter().try_for_each(|url| check_redirect(url))
}

/// RFC 9700 section 2.1: compared as a string later, so it must be one that needs no interpretation.
fn check_redirect(text: &str) -> Result<(), Refusal> {
    let wrong = |what: &str| Err(Refusal::field("redirect_url", format!("{what}: `{}`", shortened(text))));
    let Ok(url) = Url::parse(text) else { return wrong("is not a URL") };
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return wrong("has no host"),
    };
    match url.scheme() {
        _ if text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            wrong("is too long or holds spaces")
        }
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => return wrong("must be https, or http on loopback"),
    }?;
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return wrong("must have no fragment, user name or password");
    }
    let reserved = |(name, _): (std::borrow::Cow<'_, str>, _)| {
        matches!(&*name, "status" | "completion" | "code" | "connection")
    };
    if url.query_pairs().any(reserved) {
        return wrong("must not have the parameters status, completion, code or connection: they are added");
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

pub(super) fn refuse(faults: &[VariableFault]) -> Refusal {
    let field = faults.first().map(|fault| format!("variables.{}", fault.name));
    let detail = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Refusal::InvalidRequest { field, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_https_or_loopback() {
        for good in [
            "https://app.example.com/done?x=1",
            "http://localhost:3000/",
            "http://127.0.0.1/",
            "http://[::1]:8/",
        ] {
            assert_eq!(check_redirect(good), Ok(()), "{good}");
        }
        for bad in [
            "http://app.example.com/",
            "javascript:alert(1)",
            "https://a@b.example/",
            "https://a.example/#x",
            "//a.example",
            "https://a.example/\n",
            "https://a.example/?completion=1",
            "ftp://localhost/",
            "",
        ] {
            assert!(check_redirect(bad).is_err(), "{bad:?}");
        }
    }
}
