//! How we prove at a provider that we are the client (RFC 6749 section 2.3).

use super::BuildError;
use crate::catalog::ClientAuth;
use crate::domain::{ClientSecret, Secret};
use base64::{Engine, engine::general_purpose::STANDARD};
use form_urlencoded::byte_serialize;

/// A tenant's registration at a provider.
#[derive(Clone, Copy, Debug)]
pub struct ClientCredentials<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// The client secret; public clients have none.
    pub client_secret: Option<&'a ClientSecret>,
}

impl<'a> ClientCredentials<'a> {
    fn secret(&self) -> Result<&'a str, BuildError> {
        self.client_secret.map(ClientSecret::expose).ok_or(BuildError::NoSecret)
    }

    /// The `Authorization` header, where that is the way.
    pub(super) fn header(&self, auth: ClientAuth) -> Result<Option<Secret>, BuildError> {
        let basic = |id: &str, secret: &str| {
            Secret::new(format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
        };
        Ok(match auth {
            ClientAuth::Basic => {
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                Some(basic(&encoded(self.client_id), &encoded(self.secret()?)))
            }
            ClientAuth::BasicRaw => Some(basic(self.client_id, self.secret()?)),
            ClientAuth::Bearer => Some(Secret::new(format!("Bearer {}", self.secret()?))),
            ClientAuth::Post | ClientAuth::None => None,
        })
    }

    /// The parameters that go with it. With a header there are none: RFC 6749 section 2.3 forbids two methods in one request.
    pub(super) fn params(&self, auth: ClientAuth) -> Result<Vec<(&'static str, &'a str)>, BuildError> {
        Ok(match auth {
            ClientAuth::Basic | ClientAuth::BasicRaw | ClientAuth::Bearer => Vec::new(),
            ClientAuth::Post => vec![("client_id", self.client_id), ("client_secret", self.secret()?)],
            ClientAuth::None => vec![("client_id", self.client_id)],
        })
    }
}
