//! One attempt: send under a claim, and store what came of it.

use super::super::call::call;
use super::claimed::{Claimed, Ready};
use super::verdict::{self, Class, Nothing, Verdict};
use super::{Ask, Broker, Landed, Target};
use crate::broker::client::Taken;
use crate::broker::handout::not_enabled;
use crate::broker::hosts::Turn;
use crate::domain::{ReauthorizationReason, Refusal, Secret};
use crate::telemetry::metrics;
use crate::vault::{Connection, Integration};
use crate::wire::{self, ClientCredentials, Grant};
use std::sync::Arc;
use std::time::Duration;

/// Not worth a second request when less than this is left of an attempt.
const SHORTEST: Duration = Duration::from_secs(1);

impl Broker {
    /// Opens what a request needs; a refusal where it may not be made at all.
    pub(super) async fn prepare(
        &self,
        ask: &Ask,
        connection: &Connection,
        integration: Option<Integration>,
    ) -> Result<Ready, Refusal> {
        let provider = self.provider(&connection.slot.provider)?;
        let integration = integration.ok_or_else(not_enabled)?;
        if integration.client_id != connection.client_id {
            // A refresh token belongs to the client it was issued to (RFC 6749 section 6).
            return Err(Refusal::ReauthorizationRequired {
                reason: ReauthorizationReason::IntegrationChanged,
                connection: Some(connection.id.clone()),
            });
        }
        let client = self.client(&ask.by, integration, &connection.client_id).await?;
        let connections = self.vault.connections(&ask.by);
        let (tokens, keys) = (connections.open(connection).await?, connections.keys().await?);
        let mut values = connection.variables.clone();
        values.extend(connection.metadata.clone());
        Ok(Ready { provider, client, tokens, keys, values })
    }

    /// Sends under a claim and stores what came of it.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        mut claimed: Box<Claimed<'_>>,
        turn: Option<Turn>,
    ) -> Result<Landed, Refusal> {
        let provider = claimed.ready.provider.id.clone();
        // An attempt found past its deadline is part of what is known from here on; the claim has written it down.
        if let Some(lost) = claimed.read.attempt.take() {
            metrics::attempt_lost(&provider);
            claimed.read.trouble.unknown_since = claimed.read.trouble.unknown_since.or(Some(lost.started));
        }
        let began = claimed.at;
        let (class, took, landed) = if let Some(reason) = self.doomed(&claimed) {
            (reason.as_str(), Duration::ZERO, self.give_up(claimed, reason).await)
        } else {
            let verdict = self.ask_provider(&claimed).await;
            let took = self.ports.clock.monotonic().saturating_sub(began);
            self.turn_is_over(turn, &verdict);
            match verdict {
                Verdict::Granted(set) => ("granted", took, self.keep(claimed, *set).await),
                Verdict::Nothing(nothing) => {
                    (nothing.class.word(), took, self.record_failure(claimed, &nothing).await)
                }
            }
        };
        let outcome = match &landed {
            Ok(Landed::Fresh(_)) => "refreshed",
            Ok(Landed::Kept(_, Refusal::ReauthorizationRequired { .. })) => "reauthorization_required",
            Ok(Landed::Kept(..)) => "failing",
            Err(_) => "not_stored",
        };
        metrics::refresh(&provider, class, outcome, took);
        landed
    }

    /// Tells what became of a turn at a host.
    fn turn_is_over(&self, turn: Option<Turn>, verdict: &Verdict) {
        let Some(turn) = turn else { return };
        if matches!(verdict, Verdict::Nothing(Nothing { blames_host: true, .. })) {
            turn.failed(self.ports.clock.monotonic(), self.dice());
        } else {
            turn.answered();
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
            return Verdict::Nothing(Nothing::ours(Class::Refused, "no_refresh_token"));
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
                return Verdict::Nothing(Nothing::ours(Class::ClientFault, "not_built"));
            }
        };
        let gone = self.ports.clock.monotonic().saturating_sub(claimed.at);
        let left = self.attempt_lasts().saturating_sub(gone + self.settings.attempt_slack / 2);
        let timeout = left.min(self.settings.upstream_timeout);
        if timeout < SHORTEST.min(self.settings.upstream_timeout) {
            return Verdict::Nothing(Nothing::ours(Class::NotSent, "too_late"));
        }
        request.timeout = Some(timeout);
        let answer = call(&*self.ports.upstream, &provider.id, request).await;
        if let Err(error) = &answer {
            tracing::warn!(provider = %provider.id, %error, "a refresh was not answered");
        }
        verdict::of(provider, answer, now())
    }
}
