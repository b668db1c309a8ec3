//! What `GET /providers` tells about a provider: what a tenant must know to enable it, and nothing of how it is spoken to.

use super::parts::{Pkce, Rotation};
use super::provider::Provider;
use super::variables::{AskedAt, Pattern};
use serde::Serialize;
use utoipa::ToSchema;

/// A provider as tenants see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct Summary {
    /// Its id, which stands in requests and paths.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// What it is for.
    pub categories: Vec<String>,
    /// The vendor's page; empty where there is none.
    pub docs: String,
    /// How it is spoken to.
    pub protocol: &'static str,
    /// Whether `client_secret` must be given.
    pub needs_secret: bool,
    /// What its URLs leave open.
    pub variables: Vec<VariableSummary>,
    /// Names that `token` may take at `/get-access-token`, besides none.
    pub tokens: Vec<String>,
    /// Whether a code challenge is sent (RFC 7636).
    pub pkce: Pkce,
    /// What a refresh does to the refresh token before it.
    pub rotation: Rotation,
    /// Whether deleting a connection ends the grant at the provider too.
    pub revocation: bool,
}

/// A variable as tenants see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Variable)]
pub struct VariableSummary {
    /// Its name in `variables`.
    pub name: String,
    /// What it is called in a form.
    pub title: String,
    /// What the whole value must match: a regular expression.
    #[schema(value_type = Option<String>, required)]
    pub pattern: Option<Pattern>,
    /// What it is where nothing is given.
    pub default: String,
    /// For a form.
    pub example: String,
    /// When it is asked.
    pub at: AskedAt,
    /// Whether it must be given.
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
