//! Connections as a tenant sees them: listed, read, and ended here and at the provider.

use super::Broker;
use super::call::call;
use super::client::{Client, Taken};
use crate::catalog::{Provider, Values};
use crate::domain::{AccessToken, Action, ConnectionId, Deed, RefreshToken, Refusal};
use crate::ports::UpstreamError;
use crate::vault::{Authority, Connection, ConnectionFilter, Status, Tokens, VaultError};
use crate::wire::{self, ClientCredentials};
use std::sync::Arc;

/// What became of a grant at the provider when its connection was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revocation {
    /// The provider says that it is ended.
    Revoked,
    /// The provider has no such thing.
    Unsupported,
    /// The answer was lost.
    Unknown,
    /// The provider could not be asked, or said no.
    Failed,
}

impl Revocation {
    /// The word in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Unsupported => "unsupported",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// The provider does not accept the client: another secret may be tried.
#[derive(Debug, PartialEq, Eq)]
struct ClientRefused;

impl Broker {
    /// Connections that pass a filter, after that position, `limit` looked at; and where to go on.
    pub async fn list_connections(
        &self,
        by: &Authority,
        filter: &ConnectionFilter,
        status: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Connection>, Option<String>), Refusal> {
        let (mut found, next) = self.vault.connections(by).list(filter, after, limit).await?;
        found.retain(|connection| status.is_none_or(|status| connection.status.word() == status));
        Ok((found, next))
    }

    /// The connection of a public id.
    pub async fn connection(&self, by: &Authority, id: &ConnectionId) -> Result<Connection, Refusal> {
        self.vault.connections(by).find_by_id(id).await?.ok_or(Refusal::ConnectionNotFound)
    }

    /// Ends a connection: marked first, so that no token comes from it any more, then revoked upstream, then forgotten.
    /// Goes on to its end even if the caller goes away; one that was cut short is finished by asking again.
    pub async fn delete_connection(
        self: &Arc<Self>,
        by: &Authority,
        id: &ConnectionId,
    ) -> Result<Revocation, Refusal> {
        let (broker, by, id) = (Arc::clone(self), by.clone(), id.clone());
        let work = self.ports.tasks.finish(async move {
            let mut deed = Deed::done(Action::ConnectionDeleted).about("connection", &id);
            let outcome = broker.delete(&by, &id, &mut deed).await;
            deed.outcome = outcome.as_ref().map_or_else(Refusal::code, |_| "ok");
            if let Ok(revocation) = &outcome {
                deed = deed.about("revocation", revocation.as_str());
            }
            broker.vault.audit(&by).record(deed).await?;
            outcome
        });
        work.await.map_err(|_| Refusal::Internal)?
    }

    /// `deed` is told which slot it was.
    pub(super) async fn delete(
        &self,
        by: &Authority,
        id: &ConnectionId,
        deed: &mut Deed,
    ) -> Result<Revocation, Refusal> {
        let connections = self.vault.connections(by);
        let deleting = loop {
            let found = self.connection(by, id).await?;
            if found.status == Status::Deleting {
                break found;
            }
            // Read again in any case: marked by us, or changed by somebody in between, such as a refresh.
            match connections.begin_delete(&found).await {
                Err(VaultError::DoesNotOpen { .. }) => break found,
                marked => drop(marked?),
            }
        };
        *deed = deleting.slot.named_in(deed.clone());
        let tokens = match connections.open(&deleting).await {
            Ok(tokens) => tokens,
            // Nobody can use what does not open, nor revoke it; its owner may have it forgotten all the same.
            Err(VaultError::DoesNotOpen { .. }) => {
                connections.forget(&deleting).await?;
                return Ok(Revocation::Failed);
            }
            Err(error) => return Err(error.into()),
        };
        let revocation = self.revoke_connection(by, &deleting, &tokens).await;
        connections.finish_delete(&deleting).await?;
        Ok(revocation)
    }

    pub(super) async fn revoke_connection(
        &self,
        by: &Authority,
        connection: &Connection,
        tokens: &Tokens,
    ) -> Revocation {
        let Ok(provider) = self.provider(&connection.slot.provider) else { return Revocation::Failed };
        let Ok(integration) = self.integration(by, &provider.id).await else { return Revocation::Failed };
        let Ok(client) = self.client(by, integration, &connection.client_id).await else {
            return Revocation::Failed;
        };
        let mut values = connection.variables.clone();
        values.extend(connection.metadata.clone());
        self.revoke(by, &provider, tokens, &client, &values).await
    }

    /// Ends every token of a grant upstream; what is said is the worst that happened.
    pub(super) async fn revoke(
        &self,
        by: &Authority,
        provider: &Provider,
        tokens: &Tokens,
        client: &Client,
        values: &Values,
    ) -> Revocation {
        let main = (&tokens.access, tokens.refresh.as_ref());
        let further = tokens.more.values().map(|token| (&token.access, token.refresh.as_ref()));
        let mut worst = Revocation::Revoked;
        for one in std::iter::once(main).chain(further) {
            let (mut ended, mut taken) =
                (self.revoke_one(provider, one, &client.newest(), values).await, Taken::Newest);
            if let (Err(ClientRefused), Some(before)) = (&ended, client.before()) {
                (ended, taken) = (self.revoke_one(provider, one, &before, values).await, Taken::Before);
            }
            if ended == Ok(Revocation::Revoked) {
                self.secret_was_taken(by, client, taken).await;
            }
            worst = worst.max(ended.unwrap_or(Revocation::Failed));
        }
        worst
    }

    async fn revoke_one(
        &self,
        provider: &Provider,
        (access, refresh): (&AccessToken, Option<&RefreshToken>),
        client: &ClientCredentials<'_>,
        values: &Values,
    ) -> Result<Revocation, ClientRefused> {
        let mut request = match wire::revoke_request(provider, access, refresh, client, values) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(Revocation::Unsupported),
            Err(error) => {
                tracing::warn!(provider = %provider.id, %error, "a revocation could not be built");
                return Ok(Revocation::Failed);
            }
        };
        request.timeout = Some(self.settings.upstream_timeout);
        match call(&*self.ports.upstream, &provider.id, request).await {
            Ok(response) => match wire::revocation_outcome(provider, &response) {
                wire::Revocation::Revoked => Ok(Revocation::Revoked),
                wire::Revocation::ClientRefused => Err(ClientRefused),
                wire::Revocation::Failed => Ok(Revocation::Failed),
            },
            Err(error) => {
                tracing::warn!(provider = %provider.id, %error, "a revocation was not answered");
                Ok(match error {
                    UpstreamError::NotSent(_) => Revocation::Failed,
                    UpstreamError::Lost(_) => Revocation::Unknown,
                })
            }
        }
    }
}
