//! Grants that a tenant brings along, and refreshes that it orders.
//!
//! An import that is to be checked is stored first and then refreshed like any other connection: a strict provider spends the
//! refresh token in the check, and what it answers must not be lost with whoever asked. Where the check brings nothing, the
//! tenant has its tokens as before, so the connection is taken back.

use super::Broker;
use super::handout::check_status;
use super::integrations::{check_scopes, refuse};
use super::refresh::{Ask, Landed, Target};
use crate::catalog::{AskedAt, Provider, RefreshWith};
use crate::domain::{AccessToken, Action, Deed, ReauthorizationReason, RefreshToken, Refusal, Scopes};
use crate::vault::{Authority, Connection, Identity, Integration, NewGrant, Plan, Slot, Tokens};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const LONGEST_TOKEN: usize = 16 * 1024;
const MOST_METADATA: usize = 50;
const LONGEST_METADATA: usize = 4096;
/// Ten years: what is longer is no lifetime.
const LONGEST_LIFE: Duration = Duration::from_hours(10 * 365 * 24);

/// A grant that was made elsewhere.
#[derive(Clone, Debug)]
pub struct Import {
    /// What it will fill.
    pub slot: Slot,
    /// The access token; may have expired.
    pub access_token: AccessToken,
    /// The refresh token, where there is one.
    pub refresh_token: Option<RefreshToken>,
    /// How long the access token still lives; where absent, what the provider's file assumes.
    pub expires_in: Option<Duration>,
    /// What was granted; where absent, what the integration asks.
    pub scopes: Option<Scopes>,
    /// Values for the variables asked at authorize.
    pub variables: BTreeMap<String, String>,
    /// What the provider told of the account.
    pub metadata: BTreeMap<String, String>,
    /// To be kept only if the provider refreshes it.
    pub check: bool,
}

impl Broker {
    /// Keeps a grant in a slot that is empty. Goes on to its end even if the caller goes away.
    ///
    /// Refuses with [`Refusal::Conflict`] a slot that is taken; with `check` as the provider does.
    pub async fn import(self: &Arc<Self>, by: &Authority, request: Import) -> Result<Connection, Refusal> {
        let (broker, by) = (Arc::clone(self), by.clone());
        let work = self.ports.tasks.finish(async move {
            let outcome = broker.take_in(&by, &request).await;
            let deed = request.slot.named_in(Deed::of(Action::ConnectionImported, &outcome));
            let deed = match &outcome {
                Ok(connection) => deed.about("connection", &connection.id),
                Err(_) => deed,
            };
            broker.note(&by, deed).await;
            outcome
        });
        work.await.unwrap_or(Err(Refusal::Internal))
    }

    async fn take_in(self: &Arc<Self>, by: &Authority, request: &Import) -> Result<Connection, Refusal> {
        let provider = self.provider(&request.slot.provider)?;
        let integration = self.integration(by, &provider.id).await?;
        let grant = self.brought(&provider, &integration, request)?;
        let renewable = request.refresh_token.is_some() || provider.refresh.send == RefreshWith::AccessToken;
        if request.check && !renewable {
            return Err(Refusal::field("check", "needs a `refresh_token`"));
        }
        let kept = self.vault.connections(by).import(&request.slot, &grant).await?;
        let imported = kept.ok_or_else(taken)?;
        if !request.check {
            return Ok(imported);
        }
        match self.join_refresh(ask(by, &imported)).await {
            Landed::Fresh(connection) => Ok(*connection),
            // Nobody knows what is stored: it is not taken back.
            Landed::Kept(_, refusal @ (Refusal::StoreUnavailable { .. } | Refusal::Internal)) => Err(refusal),
            Landed::Kept(_, refusal) => self.take_back(by, &imported, refusal).await,
        }
    }

    /// Forgets an import that the provider did not refresh, unless somebody else's refresh of it went well or is under way.
    async fn take_back(
        &self,
        by: &Authority,
        imported: &Connection,
        refusal: Refusal,
    ) -> Result<Connection, Refusal> {
        let connections = self.vault.connections(by);
        loop {
            let found = connections.find(&imported.slot).await?;
            let Some(now) = found.filter(|now| now.grant == imported.grant) else { return Err(refusal) };
            if now.generation > imported.generation {
                return Ok(now);
            }
            if now.attempt.is_some() {
                return Err(refusal);
            }
            if connections.forget(&now).await? {
                let error = now.trouble.last_error.unwrap_or_else(|| "invalid_grant".to_owned());
                return Err(match refusal {
                    Refusal::ReauthorizationRequired { .. } => Refusal::ProviderRefused { error },
                    other => other,
                });
            }
        }
    }

    /// Refreshes a connection now, whatever its token's life. A provider that gives no newer token yet leaves it as it is.
    pub async fn refresh_connection(
        self: &Arc<Self>,
        by: &Authority,
        connection: &Connection,
    ) -> Result<Connection, Refusal> {
        check_status(connection)?;
        if !self.held(by, connection, &Target::Main).await?.renewable() {
            if connection.lives_at(self.ports.clock.now()) {
                let detail = "This grant has no refresh token: its access token works until it expires.";
                return Err(Refusal::Conflict { detail: detail.to_owned() });
            }
            let reason = ReauthorizationReason::RefreshTokenExpired;
            return Err(Refusal::ReauthorizationRequired { reason, connection: Some(connection.id.clone()) });
        }
        match self.join_refresh(ask(by, connection)).await {
            Landed::Fresh(connection) => Ok(*connection),
            Landed::Kept(_, refusal) => Err(refusal),
        }
    }

    fn brought(
        &self,
        provider: &Provider,
        integration: &Integration,
        request: &Import,
    ) -> Result<NewGrant, Refusal> {
        check_token("access_token", request.access_token.expose())?;
        if let Some(token) = &request.refresh_token {
            check_token("refresh_token", token.expose())?;
        }
        if request.expires_in.is_some_and(|span| span > LONGEST_LIFE) {
            return Err(Refusal::field("expires_in", "must be ten years at most"));
        }
        let scopes = request.scopes.clone().unwrap_or_else(|| integration.scopes.clone());
        check_scopes(&scopes)?;
        check_metadata(provider, &request.metadata)?;
        let asked =
            provider.check_variables(AskedAt::Authorize, &request.variables).map_err(|f| refuse(&f))?;
        let mut variables = integration.variables.clone();
        variables.extend(asked);
        let now = self.ports.clock.now();
        let lifetime = request.expires_in.or(provider.refresh.assumed_lifetime);
        let mut grant = NewGrant {
            tokens: Tokens {
                access: request.access_token.clone(),
                refresh: request.refresh_token.clone(),
                previous: None,
                more: BTreeMap::new(),
            },
            token_type: "Bearer".to_owned(),
            issued_at: now,
            expires_at: lifetime.map(|span| now.plus(span)),
            refresh_expires_at: None,
            requested_scopes: scopes.clone(),
            scopes,
            client_id: integration.client_id.clone(),
            variables,
            metadata: request.metadata.clone(),
            identity: Identity::default(),
            plan: Plan::default(),
        };
        grant.plan = self.plan_of_new(provider, &grant);
        Ok(grant)
    }
}

/// A refresh that begins after this moment.
fn ask(by: &Authority, connection: &Connection) -> Ask {
    Ask {
        by: by.clone(),
        slot: connection.slot.clone(),
        target: Target::Main,
        needed: None,
        seen_grant: connection.grant.clone(),
        seen_generation: connection.generation,
        seen_attempt: connection.attempt.as_ref().map(|attempt| attempt.id.clone()),
        ahead: false,
    }
}

fn taken() -> Refusal {
    Refusal::Conflict {
        detail:
            "This end user has a connection here already. Delete it first, or name a different `account`."
                .to_owned(),
    }
}

/// RFC 6749 appendix A.12: visible ASCII and spaces.
fn check_token(field: &str, token: &str) -> Result<(), Refusal> {
    let fine =
        (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|b| (0x20..=0x7e).contains(&b));
    if fine {
        return Ok(());
    }
    Err(Refusal::field(field, format!("must be 1 to {LONGEST_TOKEN} printable ASCII characters")))
}

/// What a provider's answers would have to pass. None of it may stand in for a variable: those are checked by their pattern.
fn check_metadata(provider: &Provider, metadata: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if metadata.len() > MOST_METADATA {
        return Err(Refusal::field("metadata", format!("must have {MOST_METADATA} members at most")));
    }
    for (name, value) in metadata {
        let wrong = |what: String| Err(Refusal::field("metadata", format!("has a member that {what}")));
        if !(1..=64).contains(&name.len()) || !name.bytes().all(letter) {
            return wrong("is not named by 1 to 64 letters, digits, `_` and `-`".to_owned());
        }
        if provider.variables.contains_key(name) {
            return wrong(format!("is a variable: `{name}`"));
        }
        if value.len() > LONGEST_METADATA || value.chars().any(char::is_control) {
            return wrong(format!(
                "is longer than {LONGEST_METADATA} bytes or holds control characters: `{name}`"
            ));
        }
        if provider.hosts.get(name).is_some_and(|rule| rule.accept(value).is_none()) {
            return wrong(format!("is not a host under the suffixes of the provider's file: `{name}`"));
        }
    }
    Ok(())
}
