//! The catalog: what Grantkeep knows about providers, read from files, checked when they are loaded and never after.
//!
//! A seam: rooms above take their facts from here, and nothing here knows what is done with them. The format is
//! described in `docs/providers.md`. Loading is strict: an unknown key, a URL that is none, a value that this version does not
//! serve are faults with file, line and column, and all of them are reported at once.

mod built_in;
mod fault;
mod fields;
mod file;
mod parts;
mod provider;
mod reader;
mod sections;
mod summary;
mod template;
mod variables;

pub use built_in::BUILT_IN;
pub use fault::{CatalogFaults, Fault};
pub use parts::{
    AfterConnect, Authorize, BodyKind, CallbackRules, ClientAuth, FurtherToken, HostRule, HttpMethod,
    Identity, OldAccess, OnUnknown, Pkce, Pointer, Refresh, RefreshWith, Rename, ResponsePointers, Revoke,
    RevokeToken, Rotation, TokenEndpoint,
};
pub use provider::Provider;
pub use summary::{Summary, VariableSummary};
pub use template::{FillError, Place, Template};
pub use variables::{AskedAt, Pattern, Values, Variable, VariableFault};

use crate::domain::ProviderId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    /// Reads `built_in` (in a running server [`BUILT_IN`]) and then the `.toml` files of `dirs`, in order; a file replaces
    /// an earlier one of the same name.
    ///
    /// Plain http is a fault unless `allow_insecure`; a built-in file that uses it is then only left out.
    ///
    /// # Errors
    ///
    /// All faults of all files; what cannot be read at all is one too.
    pub fn load(built_in: &[BuiltIn], dirs: &[PathBuf], allow_insecure: bool) -> Result<Self, CatalogFaults> {
        let mut providers = BTreeMap::new();
        let mut faults = Vec::new();
        let mut keep = |read: Result<Provider, Vec<Fault>>| match read {
            Ok(provider) if provider.is_insecure() && !allow_insecure => {}
            Ok(provider) => drop(providers.insert(provider.id.clone(), Arc::new(provider))),
            Err(more) => faults.extend(more),
        };
        for BuiltIn { id, text } in built_in {
            // Asked for without the check, and left out above: an operator who forbids http is not at fault for a file of ours.
            keep(read(&format!("providers/{id}.toml"), id, text, true));
        }
        for dir in dirs {
            match files_of(dir) {
                Ok(files) => files.iter().for_each(|path| keep(read_path(path, allow_insecure))),
                Err(fault) => keep(Err(vec![fault])),
            }
        }
        if faults.is_empty() {
            Ok(Self { providers: Arc::new(providers) })
        } else {
            Err(CatalogFaults(faults))
        }
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

/// What is wrong in one provider file, as lines `file:line:col: what (hint)`; none for a good file.
pub fn lint(path: &Path, allow_insecure: bool) -> Vec<String> {
    read_path(path, allow_insecure).err().into_iter().flatten().map(|fault| fault.to_string()).collect()
}

fn read(file: &str, id: &str, text: &str, allow_insecure: bool) -> Result<Provider, Vec<Fault>> {
    let fault = || {
        let what = "the file name is the provider's id: lower-case letters, digits and dashes, then .toml";
        vec![Fault::of_file(file, what)]
    };
    file::read(&ProviderId::parse(id).ok_or_else(fault)?, file, text, allow_insecure)
}

fn read_path(path: &Path, allow_insecure: bool) -> Result<Provider, Vec<Fault>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| vec![unreadable(path, &error)])?;
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    read(&name, &id, &text, allow_insecure)
}

/// The provider files of a folder, sorted; other files are none of ours.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, Fault> {
    let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| unreadable(dir, &error))?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::of_file(&path.display().to_string(), format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
