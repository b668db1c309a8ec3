//! Names to addresses, with the check in between: what comes out of here is what is connected to, so a name cannot show a
//! public address to the check and a private one to the connection (DNS rebinding).

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Asks for the addresses of a name.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All of them, in the order of preference.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's own look-up.
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A name has addresses, and none of them is public. Names the kind and not the address: whoever chose the name must not
/// learn our internal network from the refusal.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address ({0})")]
struct NotPublic(&'static str);

/// A look-up that hands over checked addresses only.
pub(super) struct Checked {
    /// Who is asked.
    pub(super) lookup: Arc<dyn Lookup>,
    /// Why an address is refused; none where it may be connected to.
    pub(super) refused: fn(IpAddr) -> Option<&'static str>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, verdict) = (Arc::clone(&self.lookup), self.refused);
        Box::pin(async move {
            let mut addresses = lookup.addresses(name.as_str()).await?;
            // Forbidden addresses are dropped, and the name is refused only where none is left. A mixed answer gains an
            // attacker nothing, since only what is left is ever connected to; and a network with DNS64 adds a NAT64
            // address to every name that has no IPv6 one, so refusing mixed answers would shut honest providers out.
            let mut refused = None;
            addresses.retain(|address| match verdict(*address) {
                Some(kind) => {
                    tracing::warn!(host = name.as_str(), %address, kind, "address of a provider refused");
                    refused = Some(kind);
                    false
                }
                None => true,
            });
            if let Some(kind) = refused.filter(|_| addresses.is_empty()) {
                return Err(NotPublic(kind).into());
            }
            // Port 0: the connector fills in the URL's.
            let checked: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(checked)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::http::addresses::forbidden;
    use std::sync::Mutex;

    /// Answers with one list after the other.
    struct Answers(Mutex<Vec<&'static [&'static str]>>);

    #[async_trait]
    impl Lookup for Answers {
        async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let answer = self.0.lock().unwrap().remove(0);
            Ok(answer.iter().map(|address| address.parse().unwrap()).collect())
        }
    }

    fn checked(answers: &[&'static [&'static str]]) -> Checked {
        Checked { lookup: Arc::new(Answers(Mutex::new(answers.to_vec()))), refused: forbidden }
    }

    async fn ask(resolver: &Checked) -> Result<Vec<String>, String> {
        match resolver.resolve("provider.example".parse().unwrap()).await {
            Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn a_name_that_turns_private_is_refused_at_its_next_look_up() {
        let resolver = checked(&[&["8.8.8.8"], &["10.0.0.1"]]);
        assert_eq!(ask(&resolver).await.unwrap(), ["8.8.8.8"]);
        assert_eq!(ask(&resolver).await.unwrap_err(), "the host has no public address (private)");
    }

    #[tokio::test]
    async fn forbidden_addresses_are_dropped_from_a_mixed_answer() {
        let resolver = checked(&[&["::1", "8.8.8.8", "169.254.169.254", "2606:4700::1"], &["::1", "::"]]);
        assert_eq!(ask(&resolver).await.unwrap(), ["8.8.8.8", "2606:4700::1"]);
        assert!(ask(&resolver).await.is_err());
    }

    #[tokio::test]
    async fn insecure_lets_everything_pass() {
        let resolver = Checked { refused: |_| None, ..checked(&[&["127.0.0.1", "10.0.0.1"]]) };
        assert_eq!(ask(&resolver).await.unwrap(), ["127.0.0.1", "10.0.0.1"]);
    }

    #[tokio::test]
    async fn the_system_knows_localhost() {
        let addresses = SystemLookup.addresses("localhost").await.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }
}
