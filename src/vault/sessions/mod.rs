//! Pending authorizations: the session, the states of its openings, the completion of its return.
//!
//! They lie in partitions of their own, so nothing is atomic over them. Only the session is compared-and-set: of many returns
//! or completions at once, one wins there. State and completion are pointers; a state is taken once.

mod record;

pub use record::{NewSession, Session, SessionState};

use super::fields::{Draft, Fields};
use super::tenants::still_active;
use super::{Authority, Vault, VaultError, keys};
use crate::crypto::hash::sha256_hex;
use crate::domain::{AuthorizationCode, CodeVerifier, SessionId, Ticket, Timestamp, Who};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Value, Write};
use record::{fields, read};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a session's record stays after its end, so that a late caller hears what became of it.
const KEPT_AFTER: Duration = Duration::from_hours(1);

/// One opening of a session's link, as it was when the browser went to the provider.
#[derive(Clone, Debug)]
pub struct Opening {
    /// SHA-256 of the cookie the browser was given, hexadecimal.
    pub cookie_hash: String,
    /// The redirect URI sent to the provider.
    pub redirect_uri: String,
    /// The PKCE verifier, where the provider takes one.
    pub verifier: Option<CodeVerifier>,
}

/// What a return leaves in its session.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The code that came back.
    pub code: &'a AuthorizationCode,
    /// Parameters of the callback that belong to the connection.
    pub captured: &'a BTreeMap<String, String>,
    /// Until when the session may be completed from now on.
    pub good_until: Timestamp,
}

/// What the exchange of a code needs.
#[derive(Clone, Debug)]
pub struct ExchangeInputs {
    /// The code that came back.
    pub code: AuthorizationCode,
    /// The redirect URI that was sent to the provider.
    pub redirect_uri: String,
    /// The PKCE verifier of the opening that came back, where the provider takes one.
    pub verifier: Option<CodeVerifier>,
    /// Parameters of the callback that belong to the connection.
    pub captured: BTreeMap<String, String>,
}

/// Pending authorizations.
pub struct Sessions<'a> {
    vault: &'a Vault,
}

impl<'a> Sessions<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Keeps a new session; its ticket is the link's secret. Refuses with [`VaultError::TenantGone`] where the tenant is
    /// gone or going.
    pub async fn create(&self, by: &Authority, made: NewSession) -> Result<(Session, Ticket), VaultError> {
        let ticket = self.vault.chance.ticket();
        let hash = hash_of(&ticket);
        let id: SessionId = self.vault.chance.id();
        let lives = Some(self.record_life(&made));
        // The pointer first: where it leads nowhere there is no session, and a session that was told of is found.
        let pointer = Draft::record().put("session", &hash).done();
        let place = keys::session_id(by.tenant(), &id);
        let batch = Batch::new().when(still_active(by.tenant()));
        let batch = batch.then(Write::Put { key: place, fields: pointer, lives });
        if !self.vault.store.apply(batch).await?.applied() {
            return Err(VaultError::TenantGone(by.tenant().to_string()));
        }
        let key = keys::session(&hash);
        let fields = fields(&id, by.tenant(), &made);
        let batch = Batch::new().when(Guard::Absent(key.clone())).then(Write::Put { key, fields, lives });
        self.vault.store.apply(batch).await?;
        let session = Session {
            id,
            tenant: by.tenant().clone(),
            made,
            state: SessionState::Pending,
            hash,
            rev: 1,
            completion_hash: None,
            redirect_uri: None,
            captured: BTreeMap::new(),
            code: None,
            pkce_verifier: None,
        };
        Ok((session, ticket))
    }

    /// The session of a link, and the proof that the link gives.
    pub async fn by_ticket(&self, ticket: &Ticket) -> Result<Option<(Session, Authority)>, VaultError> {
        self.by_hash(&hash_of(ticket)).await
    }

    /// The session of a public id.
    pub async fn by_id(&self, id: &SessionId, by: &Authority) -> Result<Option<Session>, VaultError> {
        let place = keys::session_id(by.tenant(), id);
        let Some(record) = self.vault.store.get(&place).await? else { return Ok(None) };
        let found = self.by_hash(Fields::of(&place, &record)?.text("session")?).await?;
        let session = found.map(|(session, _)| session);
        Ok(session.filter(|session| session.tenant == *by.tenant() && session.id == *id))
    }

    /// Remembers an opening under a new state, which is returned.
    pub async fn open(&self, session: &Session, opening: &Opening) -> Result<Ticket, VaultError> {
        let state = self.vault.chance.ticket();
        let hash = hash_of(&state);
        let key = keys::state(&hash);
        let mut draft = Draft::record()
            .put("session", &session.hash)
            .put("tenant", &session.tenant)
            .put("cookie_hash", &opening.cookie_hash)
            .put("redirect_uri", &opening.redirect_uri);
        if let Some(verifier) = &opening.verifier {
            let sealer = self.vault.sealer(&session.tenant, &key, ("state", &hash), None).await?;
            draft = draft.sealed(sealer.seal("pkce_verifier", verifier.expose())?);
        }
        let lives = Some(session.made.expires_at.since(self.vault.clock.now()));
        self.vault.store.apply(Batch::new().then(Write::Put { key, fields: draft.done(), lives })).await?;
        Ok(state)
    }

    /// Takes a state, once, with its session and the proof that it gives.
    pub async fn take_state(
        &self,
        state: &Ticket,
    ) -> Result<Option<(Opening, Session, Authority)>, VaultError> {
        let hash = hash_of(state);
        let key = keys::state(&hash);
        let Some(record) = self.vault.store.take(&key).await? else { return Ok(None) };
        let fields = Fields::of(&key, &record)?;
        let Some((session, authority)) = self.by_hash(fields.text("session")?).await? else {
            return Ok(None);
        };
        if fields.text("tenant")? != session.tenant.as_str() {
            return Err(fields.fault("tenant", "is not the session's"));
        }
        let verifier = match fields.bytes("pkce_verifier") {
            None => None,
            Some(sealed) => {
                let sealer = self.vault.sealer(&session.tenant, &key, ("state", &hash), Some(sealed)).await?;
                Some(CodeVerifier::new(sealer.open("pkce_verifier", sealed)?.as_str()))
            }
        };
        let opening = Opening {
            cookie_hash: fields.text("cookie_hash")?.to_owned(),
            redirect_uri: fields.text("redirect_uri")?.to_owned(),
            verifier,
        };
        Ok(Some((opening, session, authority)))
    }

    /// Keeps the code that came back until the tenant's backend completes. The first valid return consumes the session:
    /// none when another was first. What is returned is the completion.
    pub async fn returned(
        &self,
        session: &Session,
        opening: &Opening,
        kept: Kept<'_>,
    ) -> Result<Option<Ticket>, VaultError> {
        let completion = self.vault.chance.ticket();
        let hash = hash_of(&completion);
        // The pointer first: one that leads to a session which names another completion leads nowhere.
        let pointer = Draft::record().put("session", &session.hash).put("tenant", &session.tenant).done();
        let lives = Some(self.record_life(&session.made));
        let write = Write::Put { key: keys::completion(&hash), fields: pointer, lives };
        self.vault.store.apply(Batch::new().then(write)).await?;
        let key = keys::session(&session.hash);
        let sealer = self.vault.sealer(&session.tenant, &key, ("session", &session.hash), None).await?;
        let mut draft = Draft::some()
            .put("state", SessionState::Returned.word())
            .put("completion_hash", hash)
            .put("redirect_uri", &opening.redirect_uri)
            .map("captured", kept.captured)
            .time("expires_at", kept.good_until)
            .sealed(sealer.seal("code", kept.code.expose())?);
        if let Some(verifier) = &opening.verifier {
            draft = draft.sealed(sealer.seal("pkce_verifier", verifier.expose())?);
        }
        let won = self.compare_and_set(session, draft.done()).await?;
        Ok(won.then_some(completion))
    }

    /// The session of a completion, where it still is the session's own. None too where the pointer outlived its session.
    pub async fn by_completion(&self, completion: &Ticket, by: &Authority) -> Result<Completing, VaultError> {
        let hash = hash_of(completion);
        let key = keys::completion(&hash);
        let Some(record) = self.vault.store.get(&key).await? else { return Ok(Completing::Unknown) };
        let fields = Fields::of(&key, &record)?;
        if fields.text("tenant")? != by.tenant().as_str() {
            return Ok(Completing::Unknown);
        }
        let found = self.by_hash(fields.text("session")?).await?;
        let session = found.map(|(session, _)| session).filter(|session| {
            session.tenant == *by.tenant() && session.completion_hash.as_deref() == Some(&hash)
        });
        Ok(session.map_or(Completing::Ended, |session| Completing::Session(Box::new(session))))
    }

    /// Lets one caller exchange the code that came back: the first gets the session to go on with.
    pub async fn begin_exchange(&self, session: &Session) -> Result<Option<Session>, VaultError> {
        self.step(session, SessionState::Exchanging).await
    }

    /// Undoes [`Self::begin_exchange`] where the code was not sent: the completion may be tried again.
    pub async fn return_again(&self, session: &Session) -> Result<Option<Session>, VaultError> {
        self.step(session, SessionState::Returned).await
    }

    async fn step(&self, session: &Session, state: SessionState) -> Result<Option<Session>, VaultError> {
        let draft = Draft::some().put("state", state.word());
        let moved = self.compare_and_set(session, draft.done()).await?;
        Ok(moved.then(|| Session { state, rev: session.rev + 1, ..session.clone() }))
    }

    /// Ends a session in a state that nothing leads out of, and forgets its secrets. False when somebody else moved it on.
    pub async fn end(&self, session: &Session, state: &SessionState) -> Result<bool, VaultError> {
        let key = keys::session(&session.hash);
        let draft = Draft::some().put("state", state.word());
        let draft = match state {
            SessionState::Completed(connection) => draft.put("connection", connection),
            SessionState::Failed(code) => draft.put("problem", code),
            _ => draft,
        };
        let secrets = ["code", "pkce_verifier"].map(str::to_owned).to_vec();
        let batch = Batch::new()
            .when(Guard::Rev(key.clone(), session.rev))
            .then(Write::Set { key: key.clone(), fields: draft.done() })
            .then(Write::Unset { key, fields: secrets });
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// The code that came back and what its exchange needs; none where no code came back.
    pub async fn exchange_inputs(&self, session: &Session) -> Result<Option<ExchangeInputs>, VaultError> {
        let (Some(code), Some(redirect_uri)) = (&session.code, &session.redirect_uri) else {
            return Ok(None);
        };
        let key = keys::session(&session.hash);
        let place = ("session", session.hash.as_str());
        let sealer = self.vault.sealer(&session.tenant, &key, place, Some(code)).await?;
        let verifier = match &session.pkce_verifier {
            Some(sealed) => Some(CodeVerifier::new(sealer.open("pkce_verifier", sealed)?.as_str())),
            None => None,
        };
        Ok(Some(ExchangeInputs {
            code: AuthorizationCode::new(sealer.open("code", code)?.as_str()),
            redirect_uri: redirect_uri.clone(),
            verifier,
            captured: session.captured.clone(),
        }))
    }

    async fn by_hash(&self, hash: &str) -> Result<Option<(Session, Authority)>, VaultError> {
        let key = keys::session(hash);
        let Some(record) = self.vault.store.get(&key).await? else { return Ok(None) };
        let session = read(&key, hash, &record)?;
        let authority = Authority::proven(session.tenant.clone(), Who::Browser(session.id.clone()).at(None));
        Ok(Some((session, authority)))
    }

    async fn compare_and_set(
        &self,
        session: &Session,
        fields: Vec<(String, Value)>,
    ) -> Result<bool, VaultError> {
        let key = keys::session(&session.hash);
        let batch = Batch::new().when(Guard::Rev(key.clone(), session.rev)).then(Write::Set { key, fields });
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    fn record_life(&self, made: &NewSession) -> Duration {
        made.expires_at.since(self.vault.clock.now()) + KEPT_AFTER
    }
}

/// What a completion leads to.
#[derive(Debug)]
pub enum Completing {
    /// Nothing of this tenant's.
    Unknown,
    /// A session that is gone, or that was completed by another return.
    Ended,
    /// This session.
    Session(Box<Session>),
}

fn hash_of(ticket: &Ticket) -> String {
    sha256_hex(ticket.expose().as_bytes())
}
