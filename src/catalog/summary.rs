//! What `GET /providers` tells about a provider: what a tenant must know to enable it, and nothing of how it is spoken to.

use super::parts::{Pkce, Rotation};
use super::provider::Provider;
use super::variables::{AskedAt, Pattern};
use serde::Serialize;

/// A provider as tenants see it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub struct Summary {
    pub id: String,
    pub name: String,
    pub categories: Vec<String>,
    /// The vendor's page; empty where there is none.
    pub docs: String,
    pub protocol: &'static str,
    /// Whether `client_secret` must be given.
    pub needs_secret: bool,
    pub variables: Vec<VariableSummary>,
    /// Names that `token` may take at `/get-access-token`, besides none.
    pub tokens: Vec<String>,
    pub pkce: Pkce,
    pub rotation: Rotation,
    /// Whether deleting a connection ends the grant at the provider too.
    pub revocation: bool,
}

/// A variable as tenants see it.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub struct VariableSummary {
    pub name: String,
    pub title: String,
    pub pattern: Option<Pattern>,
    pub default: String,
    pub example: String,
    pub at: AskedAt,
    pub required: bool,
}

impl Provider {
    /// The provider as tenants see it.
    pub fn summary(&self) -> Summary {
        let variables = self.variables.iter().map(|(name, variable)| VariableSummary {
            name: name.clone(),
            title: variable.title.clone(),
            pattern: variable.pattern.clone(),
            default: variable.default.clone(),
            example: variable.example.clone(),
            at: variable.at,
            required: variable.is_required(),
        });
        Summary {
            id: self.id.to_string(),
            name: self.name.clone(),
            categories: self.categories.clone(),
            docs: self.docs.clone(),
            protocol: "oauth2",
            needs_secret: self.needs_secret(),
            variables: variables.collect(),
            tokens: self.tokens.keys().cloned().collect(),
            pkce: self.authorize.pkce,
            rotation: self.refresh.rotation,
            revocation: self.revoke.is_some(),
        }
    }
}
