//! How the secrets of one generation are sealed into a connection's record, and opened.

use super::record::{KIND, MoreToken, Sealed};
use super::{Connection, Connections, Tokens};
use crate::domain::{AccessToken, RefreshToken, Timestamp};
use crate::ports::store::Value;
use crate::vault::{HeldKeys, VaultError};
use std::collections::BTreeMap;

/// How further tokens lie inside their one sealed field.
#[derive(serde::Serialize, serde::Deserialize)]
struct MoreRecord {
    access: String,
    refresh: Option<String>,
    expires_at: Option<i64>,
}

impl Connections<'_> {
    /// What seals, held by whoever will have to seal without a store.
    pub async fn keys(&self) -> Result<HeldKeys, VaultError> {
        self.vault.hold_keys(self.by.tenant()).await
    }

    /// Seals all secrets of a generation for the grant and generation that `connection` has.
    pub(super) async fn seal(
        &self,
        connection: &Connection,
        tokens: &Tokens,
    ) -> Result<Vec<(String, Value)>, VaultError> {
        self.seal_with(&self.keys().await?, connection, tokens)
    }

    /// The same by keys that are held already.
    pub(super) fn seal_with(
        &self,
        keys: &HeldKeys,
        connection: &Connection,
        tokens: &Tokens,
    ) -> Result<Vec<(String, Value)>, VaultError> {
        let key = self.key(&connection.slot);
        let id = connection.sealed_as();
        let sealer = self.vault.sealer_with(keys, &key, (KIND, id.as_str())).at(connection.generation);
        let mut sealed = vec![sealer.seal("access_token", tokens.access.expose())?];
        if let Some(refresh) = &tokens.refresh {
            sealed.push(sealer.seal("refresh_token", refresh.expose())?);
        }
        if let Some((previous, until)) = &tokens.previous {
            sealed.push(sealer.seal("previous_refresh_token", previous.expose())?);
            sealed.push(("previous_until".to_owned(), until.as_millis().to_string().into()));
        }
        if !tokens.more.is_empty() {
            let more: BTreeMap<_, _> =
                tokens.more.iter().map(|(name, token)| (name, token.record())).collect();
            let text = zeroize::Zeroizing::new(serde_json::json!(more).to_string());
            sealed.push(sealer.seal("more_tokens", &text)?);
        }
        Ok(sealed)
    }

    /// Opens all secrets of a connection.
    pub async fn open(&self, connection: &Connection) -> Result<Tokens, VaultError> {
        let key = self.key(&connection.slot);
        let sealed = &connection.sealed;
        let id = connection.sealed_as();
        let place = (KIND, id.as_str());
        let sealer = self.vault.sealer(self.by.tenant(), &key, place, Some(&sealed.access)).await?;
        let sealer = sealer.at(connection.generation);
        let refresh = |field, envelope: &Vec<u8>| {
            sealer.open(field, envelope).map(|text| RefreshToken::new(text.as_str()))
        };
        let more = match &sealed.more {
            None => BTreeMap::new(),
            Some(envelope) => {
                let text = sealer.open("more_tokens", envelope)?;
                let more: BTreeMap<String, MoreRecord> =
                    serde_json::from_str(&text).map_err(|_| VaultError::Corrupt {
                        record: key.name().to_owned(),
                        field: "more_tokens".to_owned(),
                        what: "cannot be read",
                    })?;
                more.into_iter().map(|(name, token)| (name, token.into())).collect()
            }
        };
        Ok(Tokens {
            access: AccessToken::new(sealer.open("access_token", &sealed.access)?.as_str()),
            refresh: sealed.refresh.as_ref().map(|e| refresh("refresh_token", e)).transpose()?,
            previous: match &sealed.previous {
                Some((envelope, until)) => Some((refresh("previous_refresh_token", envelope)?, *until)),
                None => None,
            },
            more,
        })
    }
}

impl Sealed {
    /// Bytes, of all together.
    pub fn size(&self) -> usize {
        let more =
            [self.refresh.as_ref(), self.previous.as_ref().map(|(bytes, _)| bytes), self.more.as_ref()];
        self.access.len() + more.into_iter().flatten().map(Vec::len).sum::<usize>()
    }

    /// As they lie in the record.
    pub fn fields(&self) -> Vec<(String, Value)> {
        let field = |name: &str, bytes: &Vec<u8>| (name.to_owned(), Value::Bytes(bytes.clone()));
        let mut fields = vec![field("access_token", &self.access)];
        fields.extend(self.refresh.as_ref().map(|bytes| field("refresh_token", bytes)));
        if let Some((bytes, until)) = &self.previous {
            fields.push(field("previous_refresh_token", bytes));
            fields.push(("previous_until".to_owned(), until.as_millis().to_string().into()));
        }
        fields.extend(self.more.as_ref().map(|bytes| field("more_tokens", bytes)));
        fields
    }
}

impl MoreToken {
    fn record(&self) -> MoreRecord {
        MoreRecord {
            access: self.access.expose().to_owned(),
            refresh: self.refresh.as_ref().map(|token| token.expose().to_owned()),
            expires_at: self.expires_at.map(Timestamp::as_millis),
        }
    }
}

impl From<MoreRecord> for MoreToken {
    fn from(record: MoreRecord) -> Self {
        Self {
            access: AccessToken::new(record.access),
            refresh: record.refresh.map(RefreshToken::new),
            expires_at: record.expires_at.map(Timestamp::from_millis),
        }
    }
}
