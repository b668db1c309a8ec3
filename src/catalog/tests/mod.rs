//! The catalog from outside: files in, providers or faults out.

mod faults;
mod loading;
mod reading;

use super::{BuiltIn, Catalog, Provider};
use crate::domain::ProviderId;
use std::sync::Arc;

/// The least that is a provider.
const LEAST: &str = r#"
name = "Some"
protocol = "oauth2"
[authorize]
url = "https://a.example/authorize"
[token]
url = "https://a.example/token"
"#;

/// The provider that `text` describes; the test fails with its faults.
fn provider(text: &'static str) -> Arc<Provider> {
    let catalog =
        Catalog::load(&[BuiltIn { id: "some", text }], &[], true).unwrap_or_else(|faults| panic!("{faults}"));
    Arc::clone(catalog.get(&ProviderId::parse("some").unwrap()).unwrap())
}

/// [`LEAST`] with `more` behind it.
fn least_and(more: &str) -> Arc<Provider> {
    provider(format!("{LEAST}{more}").leak())
}
