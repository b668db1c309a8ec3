//! The hosted page of `finish = "page"`: what it shows, how its button is bound to the browser that it is shown in, and the
//! finish that follows the return at once.
//!
//! Weaker than the backend's finish: nobody compares who agreed at the provider with whoever the session was made for (draft
//! "Updates to OAuth 2.0 Security Best Current Practice", cross-user session fixation). The page names both, so that a person
//! can. What a browser can be held to is held: the button works only on this page and in the browser that has it (OWASP
//! Cross-Site Request Forgery Prevention, signed double submit), and the return only in the browser that pressed it.

use super::authorize::{Begin, Opened, SessionCookie, values};
use super::callback::{Home, Taken, back};
use super::exchange::Checked;
use super::{Broker, authorize::SESSION_LIFE};
use crate::catalog::Provider;
use crate::crypto::hash::{hmac_sha256, same};
use crate::domain::{Action, Deed, Origin, ProviderId, Refusal, Scopes, SessionFault, Ticket};
use crate::ports::ChanceExt;
use crate::telemetry::metrics;
use crate::vault::{Authority, Connection, ExchangeInputs, Finish, Integration, Session, VaultError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::Arc;
use url::Url;

/// Where an opened link leads.
pub enum Way {
    /// On to the provider.
    Away(Opened),
    /// Onto a page that asks first.
    Page(Box<Asked>),
}

/// What the page says, and what its button sends. Without `Debug`: it holds the proof.
pub struct Asked {
    /// The name of the tenant's product.
    pub product: String,
    /// The host that the browser returns to in the end.
    pub returns_to: String,
    /// The name of the provider.
    pub provider: String,
    /// Where the button leads, up to the path.
    pub leads_to: Url,
    /// For whom the connection will be, as the tenant names that person.
    pub label: String,
    /// Which of that person's accounts, where the tenant tells several apart.
    pub account: String,
    /// What will be asked of the provider.
    pub scopes: Scopes,
    /// Held by the browser, and sent by it from our own pages only.
    pub cookie: SessionCookie,
    /// Says that the page came from us, into the browser with that cookie, for this session.
    pub proof: String,
}

/// The button was pressed.
pub struct Start<'a> {
    /// The link's secret, from the form.
    pub ticket: &'a Ticket,
    /// What the page said to send along.
    pub proof: &'a str,
    /// The browser's cookie of a name.
    pub cookie: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// False where the browser says that another site sent it.
    pub own_site: bool,
    /// Where the browser is.
    pub origin: &'a Origin,
}

/// A refusal for a person, and whose product it was on the way to, where this browser may be told.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The refusal.
    pub refusal: Refusal,
    /// The name of the tenant's product.
    pub product: Option<String>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, product: None }
    }
}

impl From<VaultError> for Refused {
    fn from(error: VaultError) -> Self {
        Refusal::from(error).into()
    }
}

impl Broker {
    /// What the page of a session says. Changes nothing: mail and chat previews open links too.
    pub(super) async fn page_of(
        &self,
        session: &Session,
        by: &Authority,
        provider: &Provider,
        integration: &Integration,
    ) -> Result<Asked, Refusal> {
        let leads_to = provider.fill(&provider.authorize.url, &values(integration, session));
        let cookie = SessionCookie {
            name: self.page_cookie_name(session),
            value: self.ports.chance.ticket(),
            max_age: SESSION_LIFE,
            secure: self.is_https(),
        };
        Ok(Asked {
            product: self.product(session, by).await?,
            returns_to: host(&session.made.redirect_url),
            provider: provider.name.clone(),
            leads_to: leads_to
                .map_err(|error| Refusal::IntegrationMisconfigured { error: error.to_string() })?,
            label: session.made.label.clone().unwrap_or_default(),
            account: session.made.slot.account.as_str().to_owned(),
            scopes: session.made.scopes.clone(),
            proof: proof(cookie.value.expose(), session),
            cookie,
        })
    }

    /// The button of the page: on to the provider, with the cookie of an opening.
    pub async fn start(&self, provider: &ProviderId, start: Start<'_>) -> Result<Opened, Refused> {
        let outcome = match self.by_link(start.ticket, start.origin).await {
            Ok((session, by)) => self.start_recorded(provider, &session, &by, &start).await,
            Err(refusal) => Err(refusal.into()),
        };
        metrics::session("opened", outcome.as_ref().map_or_else(|refused| refused.refusal.code(), |_| "ok"));
        outcome
    }

    async fn start_recorded(
        &self,
        provider: &ProviderId,
        session: &Session,
        by: &Authority,
        start: &Start<'_>,
    ) -> Result<Opened, Refused> {
        let outcome = self.start_from_page(provider, session, by, start).await;
        let deed = session.named_in(Deed::of(Action::SessionOpened, &outcome));
        self.vault.audit(by).record(deed).await?;
        match outcome {
            Ok(opened) => Ok(opened),
            Err(refusal) => Err(self.named(session, by, refusal).await),
        }
    }

    async fn start_from_page(
        &self,
        provider: &ProviderId,
        session: &Session,
        by: &Authority,
        start: &Start<'_>,
    ) -> Result<Opened, Refusal> {
        let (provider, integration) = self.still_open(provider, session, by).await?;
        let known = (start.cookie)(&self.page_cookie_name(session))
            .is_some_and(|held| same(proof(&held, session).as_bytes(), start.proof.as_bytes()));
        if integration.finish != Finish::Page || !known || !start.own_site {
            return Err(Refusal::SessionRefused(SessionFault::Form));
        }
        self.send_away(session, &provider, &integration).await
    }

    fn page_cookie_name(&self, session: &Session) -> String {
        let prefix = if self.is_https() { "__Host-" } else { "" };
        format!("{prefix}gk-page-{}", session.cookie_tag())
    }

    /// The name that people know the tenant's product by: its own word, or else the host they return to.
    async fn product(&self, session: &Session, by: &Authority) -> Result<String, Refusal> {
        let product = self.vault.product(by).await?;
        Ok(if product.is_empty() { host(&session.made.redirect_url) } else { product })
    }

    /// The refusal, with the product's name for a browser that showed that it belongs to this session: nothing of the tenant's
    /// is shown to one that is not known to have left for it.
    pub(super) async fn named(&self, session: &Session, by: &Authority, refusal: Refusal) -> Refused {
        if matches!(refusal, Refusal::SessionRefused(SessionFault::Path | SessionFault::Cookie)) {
            return refusal.into();
        }
        Refused { refusal, product: self.product(session, by).await.ok() }
    }

    /// Exchanges what came back, to its end even if the browser goes away, and sends the browser home. Of many returns at once
    /// one goes on. The code is not kept: nobody could try again with it.
    pub(super) async fn finish_at_once(
        self: &Arc<Self>,
        provider: Arc<Provider>,
        integration: Integration,
        taken: &Taken,
        inputs: ExchangeInputs,
    ) -> Result<Home, Refusal> {
        let (session, by) = (taken.session.clone(), taken.authority.clone());
        let checked = Checked { by, session, provider, integration, inputs: Some(inputs) };
        let broker = Arc::clone(self);
        let work = self.ports.tasks.finish(async move { broker.claim_and_exchange(checked).await });
        let outcome = work.await.unwrap_or(Err(Refusal::Internal))?;
        metrics::session("completed", outcome.as_ref().map_or_else(Refusal::code, |_| "ok"));
        match outcome {
            Ok(connection) => back(&taken.session, "connected", &[("connection", connection.id.as_str())]),
            Err(refusal) => back(&taken.session, "failed", &[("code", refusal.code())]),
        }
    }

    /// The outer refusal: the session was not claimed, and nothing was sent.
    async fn claim_and_exchange(&self, mut checked: Checked) -> Result<Result<Connection, Refusal>, Refusal> {
        let claimed = self.vault.sessions().begin_exchange(&checked.session).await?;
        checked.session = claimed.ok_or(Refusal::SessionExpired)?;
        let (deed, by) = (checked.session.named_in(Deed::done(Action::SessionCompleted)), checked.by.clone());
        let outcome = self.exchange(checked).await;
        self.record_completion(&by, deed, &outcome).await?;
        Ok(outcome)
    }
}

/// What the page needs that the backend's finish does not, and the other way round.
pub(super) fn check_page(finish: Finish, request: &Begin) -> Result<(), Refusal> {
    if finish != Finish::Page {
        return Ok(());
    }
    if request.label.as_deref().is_none_or(|label| label.trim().is_empty()) {
        return Err(Refusal::field(
            "end_user_label",
            "is missing; the integration's finish is `page`, and the page names the end user by it",
        ));
    }
    if request.code_challenge.is_some() {
        return Err(Refusal::field(
            "code_challenge",
            "must be left out; the integration's finish is `page`, and nobody would ask for its verifier",
        ));
    }
    Ok(())
}

/// Keyed by the browser's cookie, so nobody else can make one; over the session, so it is good for no other.
fn proof(cookie: &str, session: &Session) -> String {
    let message = format!("grantkeep start {}", session.id);
    URL_SAFE_NO_PAD.encode(hmac_sha256(cookie.as_bytes(), message.as_bytes()))
}

fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
