//! Enabling a provider: a tenant's own registration, checked before it is kept.

use super::Broker;
use crate::catalog::{AskedAt, Provider, VariableFault};
use crate::domain::{Action, ClientSecret, Deed, ProviderId, Refusal, Scopes};
use crate::vault::{Authority, Finish, Integration, IntegrationDraft, IntegrationSecrets};
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
    /// To be registered at the provider.
    pub callback_url: Url,
    /// True when there was none before.
    pub created: bool,
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
        check_client(&provider, &request)?;
        check_scopes(&request.scopes)?;
        check_redirects(&request.redirect_urls)?;
        let variables =
            provider.check_variables(AskedAt::Integration, &request.variables).map_err(|f| refuse(&f))?;
        let draft = IntegrationDraft {
            client_id: request.client_id,
            secrets: IntegrationSecrets { client_secret: request.client_secret },
            scopes: request.scopes,
            redirect_urls: request.redirect_urls,
            variables,
            finish: request.finish,
        };
        let created = self.vault.integrations(by).put(&provider.id, &draft).await?;
        let integration = self.integration(by, &provider.id).await?;
        Ok(Enabled { integration, callback_url: self.callback_url(by.tenant(), &provider.id), created })
    }
}

fn check_client(provider: &Provider, request: &Enable) -> Result<(), Refusal> {
    let visible = |text: &str| text.len() <= LONGEST && text.chars().all(|c| !c.is_control());
    if request.client_id.is_empty() || !visible(&request.client_id) {
        return Err(Refusal::field("client_id", "must be the client id that the provider gave you"));
    }
    match &request.client_secret {
        Some(secret) if secret.is_empty() || !visible(secret.expose()) => {
            Err(Refusal::field("client_secret", "must be the client secret that the provider gave you"))
        }
        None if provider.needs_secret() => {
            Err(Refusal::field("client_secret", "is missing; this provider asks for one"))
        }
        _ => Ok(()),
    }
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
