//! Completion: the tenant's backend says whose browser came back, and only then is the code exchanged.

use super::authorize::values;
use super::call::call;
use super::client::{Client, Taken};
use super::{Broker, profile};
use crate::catalog::{Provider, Values};
use crate::domain::{Action, CodeVerifier, Deed, EndUserId, Refusal, Ticket, Timestamp};
use crate::ports::UpstreamError;
use crate::telemetry::metrics;
use crate::vault::{
    ApiKeyLimits, Authority, Completing, Connection, ExchangeInputs, Finish, Integration, MoreToken,
    NewGrant, Plan, Session, SessionState, Tokens,
};
use crate::wire::{self, AnswerKind, ClientCredentials, Grant, RefusalClass, TokenAnswer, TokenSet, pkce};
use std::sync::Arc;
use std::time::Duration;

/// What a tenant's backend says to complete a session.
#[derive(Clone, Debug)]
pub struct Complete {
    /// What came back in the browser.
    pub completion: Ticket,
    /// The end user of the backend's own login session.
    pub end_user: EndUserId,
    /// The verifier of the challenge given at the beginning, where one was.
    pub code_verifier: Option<CodeVerifier>,
    /// What the caller's key is limited to: which provider is meant is known only when the session is found.
    pub limits: ApiKeyLimits,
}

/// A claimed session whose finisher has been checked as its integration says, ready to be exchanged.
pub(super) struct Checked {
    pub by: Authority,
    pub session: Session,
    pub provider: Arc<Provider>,
    pub integration: Integration,
    /// The code and what goes with it, where they are at hand; otherwise the session keeps them.
    pub inputs: Option<ExchangeInputs>,
}

/// An exchange that brought nothing.
struct Failed {
    refusal: Refusal,
    /// The code was not spent: the same completion may be tried again.
    again: bool,
    /// It may be the client secret that was refused: another one may be tried.
    blames_client: bool,
}

impl Broker {
    /// Completes a session, to its end even if the caller goes away: one who left between the claim and the exchange would
    /// leave the session claimed by nobody.
    pub async fn complete(
        self: &Arc<Self>,
        by: &Authority,
        request: Complete,
    ) -> Result<Connection, Refusal> {
        let (broker, by) = (Arc::clone(self), by.clone());
        let work = self.ports.tasks.finish(async move { broker.complete_recorded(&by, request).await });
        let outcome = work.await.unwrap_or(Err(Refusal::Internal));
        metrics::session("completed", outcome.as_ref().map_or_else(Refusal::code, |_| "ok"));
        outcome
    }

    async fn complete_recorded(&self, by: &Authority, request: Complete) -> Result<Connection, Refusal> {
        let mut deed = Deed::done(Action::SessionCompleted);
        let outcome = match self.vault.sessions().by_completion(&request.completion, by).await? {
            Completing::Unknown => Err(no_completion()),
            Completing::Ended => Err(Refusal::SessionExpired),
            Completing::Session(session) => {
                deed = session.named_in(deed);
                self.complete_checked(by, *session, request).await
            }
        };
        self.record_completion(by, deed, &outcome).await?;
        outcome
    }

    /// That a session was completed, or was not; and what came of it.
    pub(super) async fn record_completion(
        &self,
        by: &Authority,
        mut deed: Deed,
        outcome: &Result<Connection, Refusal>,
    ) -> Result<(), Refusal> {
        deed.outcome = outcome.as_ref().map_or_else(Refusal::code, |_| "ok");
        let audit = self.vault.audit(by);
        if let Ok(connection) = outcome {
            let is_new = connection.created_at == connection.connected_at;
            let action = if is_new { Action::ConnectionCreated } else { Action::ConnectionReconnected };
            let made = connection.slot.named_in(Deed::done(action)).about("connection", &connection.id);
            audit.note(&made.about("generation", connection.generation));
            deed = deed.about("connection", &connection.id);
        }
        Ok(audit.record(deed).await?)
    }

    async fn complete_checked(
        &self,
        by: &Authority,
        session: Session,
        request: Complete,
    ) -> Result<Connection, Refusal> {
        request.limits.may_use(&session.made.slot.provider)?;
        match session.state {
            SessionState::Returned => {}
            // Past its time, whoever claimed it was killed in the middle.
            SessionState::Exchanging
                if session.made.expires_at.plus(self.settings.upstream_timeout) > self.ports.clock.now() =>
            {
                return Err(being_completed());
            }
            _ => return Err(Refusal::SessionExpired),
        }
        if let Err(refusal) = check_finisher(&session, &request) {
            self.vault.sessions().end(&session, &SessionState::Failed(refusal.code().to_owned())).await?;
            return Err(refusal);
        }
        let (provider, integration) = self.still_good(&session, by).await?;
        let claimed = self.vault.sessions().begin_exchange(&session).await?;
        let session = claimed.ok_or_else(being_completed)?;
        let by = by.clone();
        self.exchange(Checked { by, session, provider, integration, inputs: None }).await
    }

    pub(super) async fn exchange(&self, checked: Checked) -> Result<Connection, Refusal> {
        let sessions = self.vault.sessions();
        let (grant, client) = match self.ask(&checked).await {
            Ok(brought) => brought,
            // On a page nobody holds a completion to try again with.
            Err(Failed { refusal, again: true, .. }) if checked.integration.finish == Finish::Backend => {
                sessions.return_again(&checked.session).await?;
                return Err(refusal);
            }
            Err(Failed { refusal, .. }) => {
                let state = SessionState::Failed(refusal.code().to_owned());
                sessions.end(&checked.session, &state).await?;
                return Err(refusal);
            }
        };
        let kept = self.keep_grant(&checked, &grant).await;
        if matches!(kept, Err(Refusal::Unauthenticated)) {
            // The tenant is being deleted: what came for it meanwhile is ended like the rest.
            let mut values = grant.variables.clone();
            values.extend(grant.metadata.clone());
            let ended = self.revoke(&checked.by, &checked.provider, &grant.tokens, &client, &values).await;
            tracing::warn!(revocation = ended.as_str(), "a grant came for a tenant that is being deleted");
        }
        let state = match &kept {
            Ok(connection) => SessionState::Completed(connection.id.clone()),
            Err(refusal) => SessionState::Failed(refusal.code().to_owned()),
        };
        if let Err(error) = sessions.end(&checked.session, &state).await {
            // The outcome stands without it, and the session ends with its time.
            tracing::error!(session = %checked.session.id, %error, "what became of a session is not stored");
        }
        kept
    }

    /// Keeps a grant, and goes on trying while the store does not answer: what came back cannot be had again.
    async fn keep_grant(&self, checked: &Checked, grant: &NewGrant) -> Result<Connection, Refusal> {
        let connections = self.vault.connections(&checked.by);
        let slot = &checked.session.made.slot;
        self.insist("a new grant", || connections.connect(slot, grant)).await?.ok_or_else(other_account)
    }

    /// Exchanges the code and asks who was connected.
    async fn ask(&self, checked: &Checked) -> Result<(NewGrant, Client), Failed> {
        let stop = |refusal| Failed { refusal, again: false, blames_client: false };
        let inputs = match checked.inputs.clone() {
            Some(inputs) => Ok(Some(inputs)),
            None => self.vault.sessions().exchange_inputs(&checked.session).await,
        };
        let inputs = inputs.map_err(|e| stop(e.into()))?.ok_or_else(|| stop(Refusal::Internal))?;
        let client =
            self.client(&checked.by, checked.integration.clone(), &checked.integration.client_id).await;
        let client = client.map_err(|e| Failed { again: true, ..stop(e.into()) })?;
        let mut values = values(&checked.integration, &checked.session);
        values.extend(inputs.captured.clone());
        let grant = Grant::Code {
            code: &inputs.code,
            redirect_uri: &inputs.redirect_uri,
            code_verifier: inputs.verifier.as_ref(),
        };
        // Before the request: a token never seems to live longer than it does.
        let asked_at = self.ports.clock.now();
        let set = self.send_with_either(checked, grant, &client, &values).await?;
        let mut grant = new_grant(checked, *set, asked_at);
        grant.metadata.extend(inputs.captured);
        values.extend(grant.metadata.clone());
        profile::learn(&*self.ports.upstream, &checked.provider, &mut grant, values).await;
        grant.plan = self.plan_of_new(&checked.provider, &grant);
        Ok((grant, client))
    }

    /// Sends the code, and where the client secret is refused once more with the one before.
    async fn send_with_either(
        &self,
        checked: &Checked,
        grant: Grant<'_>,
        client: &Client,
        values: &Values,
    ) -> Result<Box<TokenSet>, Failed> {
        let first = self.send_code(&checked.provider, grant, &client.newest(), values).await;
        let blamed = matches!(&first, Err(Failed { blames_client: true, .. }));
        let (outcome, taken) = match client.before().filter(|_| blamed) {
            None => (first, Taken::Newest),
            Some(before) => match self.send_code(&checked.provider, grant, &before, values).await {
                Err(Failed { blames_client: true, .. }) => (first, Taken::Newest),
                second => (second, Taken::Before),
            },
        };
        match &outcome {
            Ok(_) => self.secret_was_taken(&checked.by, client, taken).await,
            Err(Failed { refusal: Refusal::IntegrationMisconfigured { error }, .. }) => {
                self.client_was_refused(&checked.by, client, error).await;
            }
            Err(_) => {}
        }
        outcome
    }

    async fn send_code(
        &self,
        provider: &Provider,
        grant: Grant<'_>,
        client: &ClientCredentials<'_>,
        values: &Values,
    ) -> Result<Box<TokenSet>, Failed> {
        let failed = |refusal, again| Failed { refusal, again, blames_client: false };
        let unavailable = |wait: Option<Duration>| Refusal::ProviderUnavailable {
            retry_after: wait.unwrap_or(Duration::from_secs(5)),
        };
        let mut request = wire::token_request(provider, grant, client, values)
            .map_err(|error| failed(Refusal::IntegrationMisconfigured { error: error.to_string() }, false))?;
        request.timeout = Some(self.settings.upstream_timeout);
        let response = match call(&*self.ports.upstream, &provider.id, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(provider = %provider.id, %error, "a code could not be exchanged");
                return Err(failed(unavailable(None), matches!(error, UpstreamError::NotSent(_))));
            }
        };
        let answer = wire::read_token_answer(provider, AnswerKind::Code, &response, self.ports.clock.now());
        let blames_client = answer.blames_client();
        match answer {
            TokenAnswer::Granted(set) => Ok(set),
            TokenAnswer::Busy { retry_after, status } => {
                tracing::warn!(provider = %provider.id, status, "the provider put an exchange off");
                Err(failed(unavailable(retry_after), true))
            }
            TokenAnswer::Unreadable { reason, status } => {
                tracing::warn!(provider = %provider.id, status, reason, "an exchange was answered with nonsense");
                Err(failed(Refusal::ProviderRefused { error: "unreadable_answer".to_owned() }, false))
            }
            TokenAnswer::Refused { class, error, status } => {
                tracing::warn!(provider = %provider.id, status, error, "the provider refused an exchange");
                let refusal = match class {
                    RefusalClass::ClientFault => Refusal::IntegrationMisconfigured { error },
                    _ => Refusal::ProviderRefused { error },
                };
                Err(Failed { refusal, again: false, blames_client })
            }
        }
    }
}

/// A slot stays with the account that it was first connected to.
fn other_account() -> Refusal {
    Refusal::Conflict {
        detail: "Another account of the provider is connected here, or the provider did not say which one this is. \
                 Delete that connection first, or name a different `account`."
            .to_owned(),
    }
}

fn no_completion() -> Refusal {
    Refusal::NotFound {
        what: "such a completion; an integration whose finish is `page` gives none, its sessions are completed at the return"
            .to_owned(),
    }
}

fn being_completed() -> Refusal {
    Refusal::Conflict { detail: "This session is being completed.".to_owned() }
}

/// The countermeasure: the person who ends the flow is the one who began it, said by the backend and by nobody's URL.
fn check_finisher(session: &Session, request: &Complete) -> Result<(), Refusal> {
    let same_person = session.made.slot.end_user == request.end_user;
    let same_backend = match (&session.made.code_challenge, &request.code_verifier) {
        (Some(challenge), Some(verifier)) => pkce::matches(verifier, challenge),
        (None, None) => true,
        // A verifier without a challenge says that somebody took the challenge away (RFC 9700 section 4.8.2).
        (Some(_), None) | (None, Some(_)) => false,
    };
    if same_person && same_backend { Ok(()) } else { Err(Refusal::EndUserMismatch) }
}

fn new_grant(checked: &Checked, set: TokenSet, asked_at: Timestamp) -> NewGrant {
    let made = &checked.session.made;
    let lifetime = set.expires_in.or(checked.provider.refresh.assumed_lifetime);
    let more = set.more.into_iter().map(|(name, token)| {
        let expires_at = token.expires_in.map(|span| asked_at.plus(span));
        (name, MoreToken { access: token.access_token, refresh: token.refresh_token, expires_at })
    });
    let mut variables = checked.integration.variables.clone();
    variables.extend(made.variables.clone());
    NewGrant {
        tokens: Tokens {
            access: set.access_token,
            refresh: set.refresh_token,
            previous: None,
            more: more.collect(),
        },
        token_type: set.token_type,
        issued_at: asked_at,
        expires_at: lifetime.map(|span| asked_at.plus(span)),
        refresh_expires_at: set.refresh_expires_in.map(|span| asked_at.plus(span)),
        // RFC 6749 section 5.1: no scope in the answer means what was asked.
        scopes: set.scopes.unwrap_or_else(|| made.scopes.clone()),
        requested_scopes: made.scopes.clone(),
        client_id: checked.integration.client_id.clone(),
        variables,
        metadata: set.metadata,
        identity: crate::vault::Identity::default(),
        plan: Plan::default(),
    }
}
