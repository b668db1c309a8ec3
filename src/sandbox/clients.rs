//! Who may ask for tokens.

use super::Client;
use super::bounded::Bounded;
use crate::crypto::hash;
use crate::domain::ClientSecret;

pub(super) struct Clients {
    /// The SHA-256 of the secret by client id.
    known: Bounded<String, [u8; 32]>,
    any: bool,
}

impl Clients {
    pub(super) fn new(registered: Vec<Client>, any: bool) -> Self {
        let mut known = Bounded::default();
        for client in registered {
            known.insert(client.id, hash::sha256(client.secret.expose().as_bytes()));
        }
        Self { known, any }
    }

    /// Another secret for a client, known or not.
    pub(super) fn register(&mut self, client: &Client) {
        let secret = hash::sha256(client.secret.expose().as_bytes());
        match self.known.get_mut(&client.id) {
            Some(known) => *known = secret,
            None => self.known.insert(client.id.clone(), secret),
        }
    }

    /// True when a person may be sent here by this client.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.any || self.known.get(id).is_some()
    }

    /// True when the secret is the client's; where any client is good, a new one becomes known by it.
    pub(super) fn admits(&mut self, id: &str, secret: &ClientSecret) -> bool {
        let secret = hash::sha256(secret.expose().as_bytes());
        match self.known.get(id) {
            Some(known) => hash::same(known, &secret),
            None if self.any => {
                self.known.insert(id.to_owned(), secret);
                true
            }
            None => false,
        }
    }
}
