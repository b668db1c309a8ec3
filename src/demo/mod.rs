//! The demo: one journey through Grantkeep over real HTTP, playing the tenant's backend and the end user's browser.
//!
//! It knows the server by its URL only, and prints every request with what came back, shortened, secrets masked. The steps
//! are those of the README.

mod journey;
mod page;
mod play;

pub use journey::{Summary, journey};
pub use play::Stumble;

use std::path::PathBuf;
use url::Url;

/// Where the journey takes place. Without `Debug`: it holds a password.
pub struct Stage {
    /// The server's public URL.
    pub server: Url,
    /// The admin port's URL.
    pub admin: String,
    /// The sandbox provider's URL.
    pub sandbox: String,
    /// Where mails land.
    pub outbox: PathBuf,
    /// Where everything of this demo lies.
    pub folder: PathBuf,
    /// The password to sign up with.
    pub password: String,
}
