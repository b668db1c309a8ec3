//! The catalog: what Grantkeep knows about providers, read from files, checked when they are loaded and never after.
//!
//! A seam: rooms above take their facts from here, and nothing here knows what is done with them. The format is
//! described in `docs/providers.md`. Loading is strict: an unknown key, a URL that is none, a value that this version does not
//! serve are faults with file, line and column, and all of them are reported at once.

mod fault;
mod provider;
mod summary;
mod template;
mod variables;

pub use fault::{CatalogFaults, Fault};
pub use provider::{
    AfterConnect, Authorize, BodyKind, CallbackRules, ClientAuth, FurtherToken, HostRule, HttpMethod,
    Identity, OldAccess, OnUnknown, Pkce, Pointer, Provider, Refresh, RefreshWith, Rename, ResponsePointers,
    Revoke, RevokeToken, Rotation, TokenEndpoint,
};
pub use summary::{Summary, VariableSummary};
pub use template::{FillError, Place, Template};
pub use variables::{AskedAt, Pattern, Values, Variable, VariableFault};

use crate::domain::ProviderId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A provider file compiled into the binary.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// The id: its file name without `.toml`.
    pub id: &'static str,
    /// The text of the file.
    pub text: &'static str,
}

/// All providers, by id. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalog {
    providers: Arc<BTreeMap<ProviderId, Arc<Provider>>>,
}

impl Catalog {
    /// Reads `built_in` and then the `.toml` files of `dirs`, in order; a file replaces an earlier one of the same name.
    ///
    /// Plain http is a fault unless `allow_insecure`; a built-in file that uses it is then not listed.
    pub fn load(
        _built_in: &[BuiltIn],
        _dirs: &[PathBuf],
        _allow_insecure: bool,
    ) -> Result<Self, CatalogFaults> {
        Ok(Self { providers: Arc::default() })
    }

    /// The provider of that id.
    pub fn get(&self, id: &ProviderId) -> Option<&Arc<Provider>> {
        self.providers.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values()
    }
}

/// The faults of one file as lines `file:line:col: what (hint)`; none for a good file.
pub fn lint(_file: &str, _text: &str, _allow_insecure: bool) -> Vec<String> {
    Vec::new()
}
