//! The seams: what the rooms above need of the world, as traits. Adapters fill them in; only `app` knows which.

mod chance;
mod clock;
#[cfg(test)]
mod interposed;
mod locked;
mod mailer;
mod outages;
mod pages;
pub mod store;
mod tasks;
mod upstream;

pub use chance::{Chance, ChanceExt};
pub use clock::Clock;
#[cfg(test)]
pub use interposed::Interposed;
pub use locked::Locked;
pub use mailer::{Mail, MailError, Mailer};
pub use outages::Outages;
pub use pages::{Pages, PagesError};
pub use tasks::Tasks;
pub use upstream::{Method, OutboundBody, OutboundRequest, OutboundResponse, Upstream, UpstreamError};
