//! What the tests play with: real servers of others, and actors who use Grantkeep from outside.

pub mod app;
pub mod browser;
pub mod clock;
pub mod collector;
pub mod document;
pub mod figures;
pub mod html;
pub mod maps;
pub mod oidc;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod redis_forms;
pub mod schema;
pub mod smtp;
pub mod tenant;
pub mod tls;

use std::path::{Path, PathBuf};

/// A tool that `make tools` installed: named by an environment variable, else in the target folder.
pub fn tool(variable: &str, place: &str) -> PathBuf {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| {
        // CARGO_TARGET_TMPDIR is `<target>/tmp`.
        Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join(place)
    });
    assert!(path.exists(), "{} is not there: run `make tools`, or set {variable}", path.display());
    path
}
