//! A tenant's registration as a request needs it: while a client secret is changed, two of them may be the right one.
//!
//! A request that is refused for client authentication had no effect (RFC 6749 section 5.2), so it is made once more with the
//! secret before. An operator may then change the secret first here or first at the provider.

use super::Broker;
use crate::domain::ClientSecret;
use crate::telemetry::metrics;
use crate::vault::{Authority, Integration, IntegrationSecrets, PreviousSecret, VaultError};
use crate::wire::ClientCredentials;

/// A registration with its secrets opened.
pub(super) struct Client {
    id: String,
    secrets: IntegrationSecrets,
    integration: Integration,
}

impl Client {
    /// The registration with the secret in use.
    pub fn newest(&self) -> ClientCredentials<'_> {
        ClientCredentials { client_id: &self.id, client_secret: self.secrets.client_secret.as_ref() }
    }

    /// The same with the secret before, where there is one.
    pub fn before(&self) -> Option<ClientCredentials<'_>> {
        let secret = self.secrets.previous.as_ref()?;
        Some(ClientCredentials { client_id: &self.id, client_secret: Some(secret) })
    }

    /// Which revision of the integration it is.
    pub fn revision(&self) -> u64 {
        self.integration.rev
    }

    /// Both secrets, the one in use first.
    pub fn secrets(&self) -> impl Iterator<Item = Option<&ClientSecret>> {
        let before = self.secrets.previous.as_ref().map(Some);
        std::iter::once(self.secrets.client_secret.as_ref()).chain(before)
    }
}

/// Which of two secrets the provider took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Newest,
    Before,
}

impl Broker {
    /// The client secret before this one, where it is still good.
    pub fn previous_secret(&self, integration: &Integration) -> Option<PreviousSecret> {
        integration.previous_secret.filter(|known| self.ports.clock.now() < known.until)
    }

    /// The registration that an integration is, under a client id: its own, or the one that a grant was made under.
    pub(super) async fn client(
        &self,
        by: &Authority,
        integration: Integration,
        client_id: &str,
    ) -> Result<Client, VaultError> {
        let secrets = self.vault.integrations(by).secrets(&integration).await?;
        Ok(Client { id: client_id.to_owned(), secrets, integration })
    }

    /// Tells which secret the provider took. That it could not be written down costs the request nothing.
    pub(super) async fn secret_was_taken(&self, by: &Authority, client: &Client, taken: Taken) {
        let provider = &client.integration.provider;
        if taken == Taken::Before {
            tracing::warn!(tenant = %by.tenant(), %provider, "the provider refused the client secret and took the one before");
            metrics::previous_secret(provider);
        }
        let integrations = self.vault.integrations(by);
        if let Err(error) = integrations.was_taken(&client.integration, taken == Taken::Before).await {
            tracing::warn!(%provider, %error, "which client secret the provider took is not written down");
        }
        if let Err(error) = integrations.is_taken(&client.integration).await {
            tracing::warn!(%provider, %error, "that the provider takes a registration again is not written down");
        }
    }

    /// Tells that the provider does not take the registration. That it could not be told costs the request nothing.
    pub(super) async fn client_was_refused(&self, by: &Authority, client: &Client, error: &str) {
        let provider = &client.integration.provider;
        tracing::warn!(tenant = %by.tenant(), %provider, error, "the provider does not take a tenant's registration");
        if let Err(fault) = self.vault.integrations(by).is_refused(&client.integration, error).await {
            tracing::warn!(%provider, error = %fault, "that the provider does not take a registration is not told");
        }
    }
}
