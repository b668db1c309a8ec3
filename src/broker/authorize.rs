//! Sessions: made by the tenant's backend, opened by the end user's browser.

use super::Broker;
use super::integrations::{check_scopes, refuse};
use super::page::{Refused, Way, check_page};
use crate::catalog::{AskedAt, Pkce, Provider, Values};
use crate::crypto::hash::sha256_hex;
use crate::domain::{
    Action, Deed, Origin, ProviderId, Refusal, Scopes, SessionFault, SessionId, Ticket, Timestamp,
};
use crate::ports::ChanceExt;
use crate::telemetry::metrics;
use crate::vault::{Authority, Finish, Integration, NewSession, Opening, Session, SessionState, Slot};
use crate::wire::{self, AuthorizeInputs, pkce};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a session may be completed.
pub(super) const SESSION_LIFE: Duration = Duration::from_mins(10);
const LONGEST_LABEL: usize = 200;

/// What a tenant's backend asks for.
#[derive(Clone, Debug)]
pub struct Begin {
    /// What will be connected.
    pub slot: Slot,
    /// A name for the end user, for pages.
    pub label: Option<String>,
    /// Other scopes than the integration's.
    pub scopes: Option<Scopes>,
    /// One of the integration's; may be left out where it has only one.
    pub redirect_url: Option<String>,
    /// Values for the variables asked at authorize.
    pub variables: BTreeMap<String, String>,
    /// An S256 challenge whose verifier will be asked for at completion.
    pub code_challenge: Option<String>,
}

/// A session that waits for its end user. Without `Debug`: the URL holds the ticket.
#[derive(Clone)]
pub struct Begun {
    /// Its public id.
    pub session: SessionId,
    /// Where to send the end user's browser. Holds the ticket: whoever has it can open the session.
    pub authorize_url: Url,
    /// Until when it can be completed.
    pub expires_at: Timestamp,
}

/// Where an opened session leads. Without `Debug`: the URL holds the state.
#[derive(Clone)]
pub struct Opened {
    /// The provider's authorization endpoint, with everything it needs.
    pub location: Url,
    /// Binds the return to this browser.
    pub cookie: SessionCookie,
}

/// A cookie that binds a return to the browser that left.
#[derive(Clone, Debug)]
pub struct SessionCookie {
    /// Its name; on https with the `__Host-` prefix.
    pub name: String,
    /// Its value, 256 bits.
    pub value: Ticket,
    /// How long it may stay.
    pub max_age: Duration,
    /// True on https.
    pub secure: bool,
}

impl Broker {
    /// Makes a session for one end user.
    pub async fn begin(&self, by: &Authority, request: Begin) -> Result<Begun, Refusal> {
        let slot = request.slot.clone();
        let outcome = self.make(by, request).await;
        metrics::session("created", outcome.as_ref().map_or_else(Refusal::code, |_| "ok"));
        let deed = slot.named_in(Deed::of(Action::SessionCreated, &outcome));
        let deed = match &outcome {
            Ok(begun) => deed.about("session", &begun.session),
            Err(_) => deed,
        };
        self.vault.audit(by).record(deed).await?;
        outcome
    }

    async fn make(&self, by: &Authority, request: Begin) -> Result<Begun, Refusal> {
        let provider = self.provider(&request.slot.provider)?;
        let integration = self.integration(by, &provider.id).await?;
        check_page(integration.finish, &request)?;
        let scopes = request.scopes.unwrap_or_else(|| integration.scopes.clone());
        check_scopes(&scopes)?;
        check_label(request.label.as_deref())?;
        if request.code_challenge.as_deref().is_some_and(|challenge| !pkce::is_challenge(challenge)) {
            return Err(Refusal::field(
                "code_challenge",
                "must be an S256 challenge of RFC 7636: 43 characters",
            ));
        }
        let redirect_url = pick_redirect(&integration, request.redirect_url)?;
        let variables =
            provider.check_variables(AskedAt::Authorize, &request.variables).map_err(|f| refuse(&f))?;
        let expires_at = self.ports.clock.now().plus(SESSION_LIFE);
        let made = NewSession {
            slot: request.slot,
            label: request.label,
            scopes,
            redirect_url,
            variables,
            code_challenge: request.code_challenge,
            integration_rev: integration.rev,
            endpoints: wire::fingerprint(&provider),
            expires_at,
        };
        let (session, ticket) = self.vault.sessions().create(by, made).await?;
        let mut url = self.settings.public_url.clone();
        url.set_path(&format!("/authorize-{}", provider.id));
        url.query_pairs_mut().append_pair("session", ticket.expose());
        Ok(Begun { session: session.id, authorize_url: url, expires_at })
    }

    /// Opens a session's link: a state, a PKCE pair and a cookie of this opening, or a page that asks first. May be done
    /// again, by a reload or by whoever previews links.
    pub async fn open(
        &self,
        provider: &ProviderId,
        ticket: &Ticket,
        origin: &Origin,
    ) -> Result<Way, Refused> {
        let outcome = match self.by_link(ticket, origin).await {
            Ok((session, by)) => self.open_recorded(provider, &session, &by).await,
            Err(refusal) => Err(refusal.into()),
        };
        let (step, word) = match &outcome {
            Ok(Way::Page(_)) => ("shown", "ok"),
            Ok(Way::Away(_)) => ("opened", "ok"),
            Err(refused) => ("opened", refused.refusal.code()),
        };
        metrics::session(step, word);
        outcome
    }

    /// A page that is shown changes nothing, and is no deed.
    async fn open_recorded(
        &self,
        provider: &ProviderId,
        session: &Session,
        by: &Authority,
    ) -> Result<Way, Refused> {
        let outcome = self.way(provider, session, by).await;
        if !matches!(outcome, Ok(Way::Page(_))) {
            let deed = session.named_in(Deed::of(Action::SessionOpened, &outcome));
            self.vault.audit(by).record(deed).await?;
        }
        match outcome {
            Ok(way) => Ok(way),
            Err(refusal) => Err(self.named(session, by, refusal).await),
        }
    }

    /// The session of a link, and the proof that the link gives.
    pub(super) async fn by_link(
        &self,
        ticket: &Ticket,
        origin: &Origin,
    ) -> Result<(Session, Authority), Refusal> {
        let found = self.vault.sessions().by_ticket(ticket).await?;
        let (session, authority) = found.ok_or(Refusal::SessionRefused(SessionFault::Link))?;
        Ok((session, authority.by(origin)))
    }

    async fn way(&self, provider: &ProviderId, session: &Session, by: &Authority) -> Result<Way, Refusal> {
        let (provider, integration) = self.still_open(provider, session, by).await?;
        match integration.finish {
            Finish::Backend => self.send_away(session, &provider, &integration).await.map(Way::Away),
            Finish::Page => {
                let asked = self.page_of(session, by, &provider, &integration).await?;
                Ok(Way::Page(Box::new(asked)))
            }
        }
    }

    /// As [`Self::still_good`], for a session that nobody has come back to yet, and whose link came to its own provider's path.
    pub(super) async fn still_open(
        &self,
        provider: &ProviderId,
        session: &Session,
        by: &Authority,
    ) -> Result<(Arc<Provider>, Integration), Refusal> {
        if session.made.slot.provider != *provider {
            return Err(Refusal::SessionRefused(SessionFault::Path));
        }
        let both = self.still_good(session, by).await?;
        if session.state == SessionState::Pending { Ok(both) } else { Err(Refusal::SessionExpired) }
    }

    pub(super) async fn send_away(
        &self,
        session: &Session,
        provider: &Provider,
        integration: &Integration,
    ) -> Result<Opened, Refusal> {
        let cookie = self.cookie(session);
        let redirect_uri = self.callback_url(&session.tenant, &provider.id).to_string();
        let verifier = pkce::verifier(&*self.ports.chance);
        let challenge = pkce::challenge(&verifier);
        let opening = Opening {
            cookie_hash: sha256_hex(cookie.value.expose().as_bytes()),
            redirect_uri: redirect_uri.clone(),
            verifier: (provider.authorize.pkce == Pkce::S256).then_some(verifier),
        };
        let state = self.vault.sessions().open(session, &opening).await?;
        let inputs = AuthorizeInputs {
            client_id: &integration.client_id,
            redirect_uri: &redirect_uri,
            scopes: &session.made.scopes,
            state: &state,
            code_challenge: &challenge,
            values: &values(integration, session),
        };
        let location = wire::authorize_url(provider, &inputs).map_err(|error| {
            tracing::warn!(provider = %provider.id, %error, "no authorization URL could be made");
            Refusal::IntegrationMisconfigured { error: error.to_string() }
        })?;
        Ok(Opened { location, cookie })
    }

    fn cookie(&self, session: &Session) -> SessionCookie {
        SessionCookie {
            name: self.cookie_name(session),
            value: self.ports.chance.ticket(),
            max_age: SESSION_LIFE,
            secure: self.is_https(),
        }
    }

    pub(super) fn cookie_name(&self, session: &Session) -> String {
        let prefix = if self.is_https() { "__Host-" } else { "" };
        format!("{prefix}gk-{}", session.cookie_tag())
    }

    pub(super) fn is_https(&self) -> bool {
        self.settings.public_url.scheme() == "https"
    }

    /// The provider and integration of a session, where neither changed since it was made and its time is not over.
    pub(super) async fn still_good(
        &self,
        session: &Session,
        by: &Authority,
    ) -> Result<(Arc<Provider>, Integration), Refusal> {
        if session.made.expires_at <= self.ports.clock.now() {
            return Err(Refusal::SessionExpired);
        }
        let changed = || Refusal::Conflict {
            detail: "The integration or the provider's definition was changed after this session was made. \
                     Make a new session."
                .to_owned(),
        };
        let provider = self.provider(&session.made.slot.provider).map_err(|_| changed())?;
        let integration = self.vault.integrations(by).find(&provider.id).await?.ok_or_else(changed)?;
        let same = integration.rev == session.made.integration_rev
            && wire::fingerprint(&provider) == session.made.endpoints;
        if same { Ok((provider, integration)) } else { Err(changed()) }
    }
}

/// What fills the holes in a provider's URLs.
pub(super) fn values(integration: &Integration, session: &Session) -> Values {
    let mut values = integration.variables.clone();
    values.extend(session.made.variables.clone());
    values
}

fn check_label(label: Option<&str>) -> Result<(), Refusal> {
    let fine = label.is_none_or(|l| l.chars().count() <= LONGEST_LABEL && !l.chars().any(char::is_control));
    if fine {
        return Ok(());
    }
    Err(Refusal::field(
        "end_user_label",
        format!("must be {LONGEST_LABEL} characters at most, none of them control"),
    ))
}

/// RFC 9700 section 4.1.3: compared as strings.
fn pick_redirect(integration: &Integration, asked: Option<String>) -> Result<String, Refusal> {
    match (asked, integration.redirect_urls.as_slice()) {
        (Some(asked), known) if known.contains(&asked) => Ok(asked),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Refusal::field("redirect_url", "is missing; the integration has several")),
        (Some(_), _) => Err(Refusal::field("redirect_url", "must be equal to one of the integration's")),
    }
}
