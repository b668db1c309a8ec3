//! One attempt: send under a claim, and store what came of it.

use super::super::call::call;
use super::verdict::{self, Class, Nothing, Verdict};
use super::{Ask, Broker, Landed, Target};
use crate::broker::client::{Client, Taken};
use crate::catalog::{Provider, RefreshWith, Rotation, Values};
use crate::domain::{Action, Deed, ReauthorizationReason, Refusal, Secret, Timestamp};
use crate::ports::UpstreamError;
use crate::telemetry::metrics;
use crate::vault::{Attempt, Committed, Connection, Doubt, Failure, Fresh, MoreToken, Status, Tokens};
use crate::wire::{self, ClientCredentials, Grant, TokenSet};
use std::sync::Arc;
use std::time::Duration;

/// Not worth a second request when less than this is left of an attempt.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a request needs, read and opened before the claim, so that nothing but the request lies between claim and answer.
pub(super) struct Ready {
    provider: Arc<Provider>,
    client: Client,
    tokens: Tokens,
    values: Values,
}

/// A claim under which a request may be sent.
struct Claimed<'a> {
    ask: &'a Ask,
    read: Connection,
    attempt: Attempt,
    ready: Ready,
    /// Monotonic time from before the claim was made.
    at: Duration,
}

enum Brought {
    Tokens(Box<Fresh>),
    Nothing(Failure),
}

impl Broker {
    /// Reads and opens what a request needs; a refusal where it may not be made at all.
    pub(super) async fn prepare(&self, ask: &Ask, connection: &Connection) -> Result<Ready, Refusal> {
        let provider = self.provider(&connection.slot.provider)?;
        let gone = || Refusal::IntegrationMisconfigured { error: "not_enabled".to_owned() };
        let found = self.vault.integrations(&ask.by).find(&provider.id).await?;
        let integration = found.ok_or_else(gone)?;
        if integration.client_id != connection.client_id {
            // A refresh token belongs to the client it was issued to (RFC 6749 section 6).
            return Err(Refusal::ReauthorizationRequired {
                reason: ReauthorizationReason::IntegrationChanged,
                connection: Some(connection.id.clone()),
            });
        }
        let client = self.client(&ask.by, integration, &connection.client_id).await?;
        let tokens = self.vault.connections(&ask.by).open(connection).await?;
        let mut values = connection.variables.clone();
        values.extend(connection.metadata.clone());
        Ok(Ready { provider, client, tokens, values })
    }

    /// Sends under a claim and stores what came of it.
    pub(super) async fn attempt(
        &self,
        ask: &Ask,
        mut read: Connection,
        attempt: Attempt,
        ready: Ready,
        at: Duration,
    ) -> Result<Landed, Refusal> {
        // An attempt found past its deadline is part of what is known from here on; the claim has written it down.
        let lost = read.attempt.take().map(|lost| lost.started);
        read.trouble.unknown_since = read.trouble.unknown_since.or(lost);
        let claimed = Claimed { ask, read, attempt, ready, at };
        let verdict = match self.doomed(&claimed) {
            Some(reason) => return self.give_up(claimed, reason).await,
            None => self.ask_provider(&claimed).await,
        };
        let word = match &verdict {
            Verdict::Granted(_) => "refreshed",
            Verdict::Nothing(nothing) => nothing.class.word(),
        };
        let took = self.ports.clock.monotonic().saturating_sub(claimed.at);
        metrics::refresh(&claimed.ready.provider.id, word, took);
        match verdict {
            Verdict::Granted(set) => self.keep(claimed, *set).await,
            Verdict::Nothing(nothing) => self.record_failure(claimed, &nothing).await,
        }
    }

    /// Why nothing needs to be sent.
    fn doomed(&self, claimed: &Claimed<'_>) -> Option<ReauthorizationReason> {
        let (read, provider) = (&claimed.read, &claimed.ready.provider);
        if read.refresh_expires_at.is_some_and(|end| end <= self.ports.clock.now()) {
            return Some(ReauthorizationReason::RefreshTokenExpired);
        }
        // Compared in the store's time: both were taken from it.
        verdict::hopeless(provider, read.trouble.unknown_since, claimed.attempt.started)
            .then_some(ReauthorizationReason::RefreshOutcomeUnknown)
    }

    async fn ask_provider(&self, claimed: &Claimed<'_>) -> Verdict {
        let Some(token) = claimed.token() else {
            return Verdict::Nothing(Nothing {
                class: Class::Refused,
                error: "no_refresh_token".to_owned(),
                retry_after: None,
                blames_client: false,
            });
        };
        let first = self.send(claimed, &token).await;
        let Verdict::Nothing(Nothing { class: Class::InvalidGrant, .. }) = &first else { return first };
        // The grace of the token before this one is for this moment only.
        match &claimed.ready.tokens.previous {
            Some((previous, until))
                if claimed.attempt.started < *until && claimed.ask.target == Target::Main =>
            {
                self.send(claimed, &Secret::new(previous.expose())).await
            }
            _ => first,
        }
    }

    /// One request, and where the client secret is refused one more with the one before.
    async fn send(&self, claimed: &Claimed<'_>, token: &Secret) -> Verdict {
        let client = &claimed.ready.client;
        let first = self.send_as(claimed, token, &client.newest()).await;
        let blamed = matches!(&first, Verdict::Nothing(Nothing { blames_client: true, .. }));
        let (verdict, taken) = match client.before().filter(|_| blamed) {
            None => (first, Taken::Newest),
            Some(before) => match self.send_as(claimed, token, &before).await {
                Verdict::Nothing(Nothing { blames_client: true, .. }) => (first, Taken::Newest),
                second => (second, Taken::Before),
            },
        };
        if matches!(verdict, Verdict::Granted(_)) {
            self.secret_was_taken(&claimed.ask.by, client, taken).await;
        }
        verdict
    }

    /// One request. Not sent where too little is left of the attempt: its answer could come when somebody else has begun.
    async fn send_as(
        &self,
        claimed: &Claimed<'_>,
        token: &Secret,
        client: &ClientCredentials<'_>,
    ) -> Verdict {
        let (ready, provider) = (&claimed.ready, &claimed.ready.provider);
        let grant = Grant::Refresh { token };
        let built = wire::token_request(provider, grant, client, &ready.values);
        let now = || self.ports.clock.now();
        let mut request = match built {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(provider = %provider.id, %error, "a refresh could not be built");
                return Verdict::Nothing(Nothing {
                    class: Class::ClientFault,
                    error: "not_built".to_owned(),
                    retry_after: None,
                    blames_client: false,
                });
            }
        };
        let gone = self.ports.clock.monotonic().saturating_sub(claimed.at);
        let left = self.attempt_lasts().saturating_sub(gone + self.settings.attempt_slack / 2);
        let timeout = left.min(self.settings.upstream_timeout);
        if timeout < SHORTEST.min(self.settings.upstream_timeout) {
            return verdict::of(provider, Err(UpstreamError::NotSent("too late".to_owned())), now());
        }
        request.timeout = Some(timeout);
        let answer = call(&*self.ports.upstream, &provider.id, request).await;
        if let Err(error) = &answer {
            tracing::warn!(provider = %provider.id, %error, "a refresh was not answered");
        }
        verdict::of(provider, answer, now())
    }

    async fn keep(&self, claimed: Claimed<'_>, set: TokenSet) -> Result<Landed, Refusal> {
        let issued_at = self.ports.clock.now().minus(self.ports.clock.monotonic().saturating_sub(claimed.at));
        let new_refresh = set.refresh_token.clone();
        let fresh = claimed.fresh(set, issued_at);
        let tokens = fresh.tokens.clone();
        let stored = self.store(&claimed, &Brought::Tokens(Box::new(fresh))).await;
        if matches!(stored, Err(Refusal::Unauthenticated)) {
            // The tenant was deleted meanwhile, and with it what would seal them.
            self.revoke_unwanted(&claimed, &tokens).await;
        }
        match stored? {
            Committed::Stored(connection) => {
                let deed = Deed::done(Action::ConnectionRefreshed);
                self.record_refresh(claimed.ask, &connection, deed).await?;
                Ok(Landed::Fresh(connection))
            }
            Committed::Superseded(None) => {
                self.revoke_unwanted(&claimed, &tokens).await;
                Ok(Landed::Kept(None, Refusal::ConnectionNotFound))
            }
            Committed::Superseded(Some(now)) if now.status == Status::Deleting => {
                self.revoke_unwanted(&claimed, &tokens).await;
                Ok(Landed::Kept(Some(now), Refusal::ConnectionNotFound))
            }
            Committed::Superseded(Some(now)) => {
                tracing::warn!(
                    connection = %now.id,
                    rotated = new_refresh.is_some(),
                    "a refresh came too late: a newer generation is kept"
                );
                Ok(Landed::Fresh(now))
            }
        }
    }

    async fn record_failure(&self, claimed: Claimed<'_>, nothing: &Nothing) -> Result<Landed, Refusal> {
        let (status, doubt) =
            verdict::consequence(&claimed.ready.provider, nothing.class, &claimed.read.trouble);
        let backoff = self.backoff(claimed.read.trouble.failures);
        let wait = nothing.retry_after.map_or(backoff, |after| after.max(backoff));
        let failure = Failure {
            status,
            error: nothing.error.clone(),
            retry_at: Some(self.ports.clock.now().plus(wait)),
            doubt,
        };
        let refusal = verdict::refusal(status, nothing, &claimed.read.id, wait);
        self.land(claimed, failure, refusal).await
    }

    async fn give_up(&self, claimed: Claimed<'_>, reason: ReauthorizationReason) -> Result<Landed, Refusal> {
        metrics::refresh(&claimed.ready.provider.id, reason.as_str(), Duration::ZERO);
        let connection = Some(claimed.read.id.clone());
        let failure = Failure {
            status: Status::ReauthorizationRequired(reason),
            error: reason.as_str().to_owned(),
            retry_at: None,
            doubt: Doubt::None,
        };
        self.land(claimed, failure, Refusal::ReauthorizationRequired { reason, connection }).await
    }

    async fn land(
        &self,
        claimed: Claimed<'_>,
        failure: Failure,
        refusal: Refusal,
    ) -> Result<Landed, Refusal> {
        match self.store(&claimed, &Brought::Nothing(failure)).await? {
            Committed::Stored(connection) => {
                let deed = Deed { outcome: refusal.code(), ..Deed::done(Action::ConnectionRefreshed) };
                self.record_refresh(claimed.ask, &connection, deed).await?;
                Ok(Landed::Kept(Some(connection), refusal))
            }
            Committed::Superseded(now) => Ok(match self.overtaken(claimed.ask, now.as_deref()).await? {
                Some(landed) => landed,
                None => Landed::Kept(now, refusal),
            }),
        }
    }

    async fn record_refresh(&self, ask: &Ask, connection: &Connection, deed: Deed) -> Result<(), Refusal> {
        let deed = connection.slot.named_in(deed).about("connection", &connection.id);
        let deed = deed.about("generation", connection.generation);
        Ok(self.vault.audit(&ask.by).record(deed).await?)
    }

    /// What is there instead of the outcome that came too late.
    async fn overtaken(&self, ask: &Ask, now: Option<&Connection>) -> Result<Option<Landed>, Refusal> {
        match now {
            Some(now) => self.nothing_to_do(ask, now).await,
            None => Ok(Some(Landed::Kept(None, Refusal::ConnectionNotFound))),
        }
    }

    async fn store(&self, claimed: &Claimed<'_>, brought: &Brought) -> Result<Committed, Refusal> {
        let connections = self.vault.connections(&claimed.ask.by);
        let (connections, read, attempt) = (&connections, &claimed.read, &claimed.attempt);
        let store = || async move {
            match brought {
                Brought::Tokens(fresh) => connections.commit(read, attempt, fresh).await,
                Brought::Nothing(failure) => connections.fail(read, attempt, failure).await,
            }
        };
        self.insist("the outcome of a refresh", store).await
    }

    /// Ends tokens that came for a connection which was deleted meanwhile.
    async fn revoke_unwanted(&self, claimed: &Claimed<'_>, tokens: &Tokens) {
        let ready = &claimed.ready;
        let ended = self.revoke(&claimed.ask.by, &ready.provider, tokens, &ready.client, &ready.values).await;
        tracing::warn!(connection = %claimed.read.id, revocation = ended.as_str(), "tokens came for a deleted connection");
    }

    fn backoff(&self, failures: u32) -> Duration {
        let doubled = self.settings.backoff_min.saturating_mul(1 << failures.min(16));
        self.jittered(doubled.min(self.settings.backoff_max))
    }
}

impl Claimed<'_> {
    /// What is sent.
    fn token(&self) -> Option<Secret> {
        let tokens = &self.ready.tokens;
        match (&self.ask.target, self.ready.provider.refresh.send) {
            (Target::Main, RefreshWith::AccessToken) => Some(Secret::new(tokens.access.expose())),
            (Target::Main, RefreshWith::RefreshToken) => {
                tokens.refresh.as_ref().map(|token| Secret::new(token.expose()))
            }
            (Target::More(name), _) => {
                let further = tokens.more.get(name)?;
                further.refresh.as_ref().map(|token| Secret::new(token.expose()))
            }
        }
    }

    /// The next generation.
    fn fresh(&self, set: TokenSet, issued_at: Timestamp) -> Fresh {
        let lifetime = set.expires_in.or(self.ready.provider.refresh.assumed_lifetime);
        let expires_at = lifetime.map(|span| issued_at.plus(span));
        let mut tokens = self.ready.tokens.clone();
        if let Target::More(name) = &self.ask.target {
            let kept = tokens.more.remove(name).and_then(|token| token.refresh);
            let refresh = set.refresh_token.or(kept);
            let token = MoreToken { access: set.access_token, refresh, expires_at };
            tokens.more.insert(name.clone(), token);
            return Fresh {
                tokens,
                token_type: self.read.token_type.clone(),
                issued_at: self.read.issued_at,
                expires_at: self.read.expires_at,
                refresh_expires_at: None,
                scopes: None,
                metadata: Values::new(),
            };
        }
        tokens.access = set.access_token;
        tokens.previous = None;
        if let Some(new) = set.refresh_token {
            let old = tokens.refresh.replace(new);
            if self.ready.provider.refresh.rotation == Rotation::Grace {
                // Counted from when it was first sent: the provider may have rotated at any moment after that.
                let since = self.read.trouble.unknown_since.unwrap_or(self.attempt.started);
                let until = since.plus(self.ready.provider.refresh.grace);
                tokens.previous = old.map(|old| (old, until));
            }
        }
        for (name, further) in set.more {
            let expires_at = further.expires_in.map(|span| issued_at.plus(span));
            let kept = tokens.more.remove(&name).and_then(|token| token.refresh);
            let refresh = further.refresh_token.or(kept);
            tokens.more.insert(name, MoreToken { access: further.access_token, refresh, expires_at });
        }
        Fresh {
            tokens,
            token_type: set.token_type,
            issued_at,
            expires_at,
            refresh_expires_at: set.refresh_expires_in.map(|span| issued_at.plus(span)),
            scopes: set.scopes,
            metadata: set.metadata,
        }
    }
}
