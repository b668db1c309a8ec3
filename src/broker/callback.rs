//! The return from a provider: who comes back, from where, and for whom. Nothing is exchanged before all of that is known.
//!
//! RFC 6749 section 4.1.2, RFC 9207, RFC 9700 sections 4.4 and 4.7, and the draft "Updates to OAuth 2.0 Security Best Current
//! Practice" (cross-user session fixation): the state is taken once, and only then are path, cookie and issuer compared.

use super::Broker;
use super::authorize::values;
use super::page::Refused;
use crate::catalog::Provider;
use crate::crypto::hash::{same, sha256_hex};
use crate::domain::{Action, Deed, Origin, ProviderId, Refusal, SessionFault, Ticket, Timestamp};
use crate::telemetry::metrics;
use crate::vault::{Authority, ExchangeInputs, Finish, Integration, Kept, Opening, Session, SessionState};
use crate::wire::{self, Callback, Returned};
use std::sync::Arc;
use url::Url;

/// A browser that came to the callback.
pub struct Arrival<'a> {
    /// The tenant in the path.
    pub tenant: &'a str,
    /// The provider in the path.
    pub provider: &'a str,
    /// The decoded query, in order.
    pub query: &'a [(String, String)],
    /// The browser's cookie of a name.
    pub cookie: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// Where the browser is.
    pub origin: &'a Origin,
}

/// What a state led to.
pub(super) struct Taken {
    pub opening: Opening,
    pub session: Session,
    pub authority: Authority,
}

/// The status that the tenant's page is told, and the way there.
pub(super) type Home = (&'static str, Url);

const REFUSED: fn(SessionFault) -> Refusal = Refusal::SessionRefused;

impl Broker {
    /// Where to send the browser next. A refusal is for a page: without a usable session there is nowhere to redirect to.
    pub async fn callback(self: &Arc<Self>, arrival: Arrival<'_>) -> Result<Url, Refused> {
        let outcome = self.judge(&arrival).await;
        let word = match &outcome {
            Ok(_) => "ok",
            Err(Refused { refusal, .. }) => {
                // The values stay out of the log: they are what an attacker would want to find there.
                tracing::warn!(code = refusal.code(), ?refusal, "a callback was refused");
                refusal.code()
            }
        };
        metrics::session("returned", word);
        outcome
    }

    async fn judge(self: &Arc<Self>, arrival: &Arrival<'_>) -> Result<Url, Refused> {
        let id = ProviderId::parse(arrival.provider).ok_or(REFUSED(SessionFault::Path))?;
        let provider = self.provider(&id).map_err(|_| REFUSED(SessionFault::Path))?;
        let callback = wire::read_callback(&provider, arrival.query).map_err(|fault| {
            tracing::warn!(provider = %provider.id, %fault, "a callback could not be read");
            REFUSED(SessionFault::State)
        })?;
        let taken = self.vault.sessions().take_state(&callback.state).await?;
        let (opening, session, authority) = taken.ok_or(REFUSED(SessionFault::State))?;
        let taken = Taken { opening, session, authority: authority.by(arrival.origin) };
        let outcome = self.judge_return(arrival, &id, &callback, &taken).await;
        let deed = taken.session.named_in(Deed::of(Action::SessionReturned, &outcome));
        let deed = match &outcome {
            Err(Refusal::SessionRefused(fault)) => deed.about("fault", fault.as_str()),
            // As it stands in the redirect: `authorized`, `connected`, `denied`, `failed`.
            Ok((status, _)) => deed.about("status", *status),
            Err(_) => deed,
        };
        self.vault.audit(&taken.authority).record(deed).await?;
        match outcome {
            Ok((_, url)) => Ok(url),
            Err(refusal) => Err(self.named(&taken.session, &taken.authority, refusal).await),
        }
    }

    /// Path and cookie come first: whoever is refused after them is the browser that left.
    async fn judge_return(
        self: &Arc<Self>,
        arrival: &Arrival<'_>,
        id: &ProviderId,
        callback: &Callback,
        taken: &Taken,
    ) -> Result<Home, Refusal> {
        let Taken { opening, session, authority } = taken;
        if session.tenant.as_str() != arrival.tenant || session.made.slot.provider != *id {
            return Err(REFUSED(SessionFault::Path));
        }
        self.check_cookie(arrival, session, opening)?;
        if session.state != SessionState::Pending {
            return Err(Refusal::SessionExpired);
        }
        let (provider, integration) = match self.still_good(session, authority).await {
            Ok(both) => both,
            Err(refusal @ Refusal::Conflict { .. }) => return self.fail(session, &refusal).await,
            Err(other) => return Err(other),
        };
        let values = values(&integration, session);
        if let Err(fault) = wire::check_issuer(&provider, &values, callback.iss.as_deref()) {
            tracing::warn!(provider = %provider.id, %fault, "a callback names the wrong issuer");
            return Err(REFUSED(SessionFault::Issuer));
        }
        let client = self.client(authority, integration.clone(), &integration.client_id).await?;
        // While the secret is changed the provider may sign with either.
        let signed = |secret| wire::check_hmac(&provider, arrival.query, secret).is_ok();
        if !client.secrets().any(signed) {
            return Err(REFUSED(SessionFault::Issuer));
        }
        self.go_on(provider, integration, callback, taken).await
    }

    /// A code that dies sooner than its session takes the session with it: better told at once than by the provider.
    fn good_until(&self, provider: &Provider, session: &Session) -> Timestamp {
        let end = session.made.expires_at;
        provider.authorize.code_lifetime.map_or(end, |life| end.min(self.ports.clock.now().plus(life)))
    }

    fn check_cookie(
        &self,
        arrival: &Arrival<'_>,
        session: &Session,
        opening: &Opening,
    ) -> Result<(), Refusal> {
        let value = (arrival.cookie)(&self.cookie_name(session)).ok_or(REFUSED(SessionFault::Cookie))?;
        let known = same(sha256_hex(value.as_bytes()).as_bytes(), opening.cookie_hash.as_bytes());
        if known { Ok(()) } else { Err(REFUSED(SessionFault::Cookie)) }
    }

    async fn go_on(
        self: &Arc<Self>,
        provider: Arc<Provider>,
        integration: Integration,
        callback: &Callback,
        taken: &Taken,
    ) -> Result<Home, Refusal> {
        let Taken { opening, session, .. } = taken;
        match &callback.returned {
            Returned::Code(code) if integration.finish == Finish::Page => {
                let inputs = ExchangeInputs {
                    code: code.clone(),
                    redirect_uri: opening.redirect_uri.clone(),
                    verifier: opening.verifier.clone(),
                    captured: callback.captured.clone(),
                };
                self.finish_at_once(provider, integration, taken, inputs).await
            }
            Returned::Code(code) => {
                let sessions = self.vault.sessions();
                let kept = Kept {
                    code,
                    captured: &callback.captured,
                    good_until: self.good_until(&provider, session),
                };
                let kept = sessions.returned(session, opening, kept).await?;
                let completion: Ticket = kept.ok_or(Refusal::SessionExpired)?;
                back(session, "authorized", &[("completion", completion.expose())])
            }
            denial if denial.is_denial() => {
                self.end(session, &SessionState::Denied).await?;
                back(session, "denied", &[])
            }
            Returned::Error(error) => {
                tracing::warn!(provider = %session.made.slot.provider, error, "the provider refused an authorization");
                self.fail(session, &Refusal::ProviderRefused { error: error.clone() }).await
            }
        }
    }

    async fn fail(&self, session: &Session, refusal: &Refusal) -> Result<Home, Refusal> {
        self.end(session, &SessionState::Failed(refusal.code().to_owned())).await?;
        back(session, "failed", &[("code", refusal.code())])
    }

    async fn end(&self, session: &Session, state: &SessionState) -> Result<(), Refusal> {
        let ended = self.vault.sessions().end(session, state).await?;
        if ended { Ok(()) } else { Err(Refusal::SessionExpired) }
    }
}

/// The tenant's redirect URL, which was compared when the session was made, with our parameters behind its own.
pub(super) fn back(
    session: &Session,
    status: &'static str,
    params: &[(&str, &str)],
) -> Result<Home, Refusal> {
    let mut url = Url::parse(&session.made.redirect_url).map_err(|_| Refusal::Internal)?;
    url.query_pairs_mut().append_pair("status", status).extend_pairs(params);
    Ok((status, url))
}
