//! Codes, families and tokens: what was granted, and how it lives and dies. Tokens are kept as their SHA-256.

use super::answer::OAuthError;
use super::bounded::Bounded;
use super::counts::{Counts, FamilyCounts, Gauge};
use super::{Behaviour, Rotation};
use crate::crypto::hash;
use crate::domain::{AccessToken, AuthorizationCode, RefreshToken, Scopes, Timestamp};
use crate::ports::{Chance, ChanceExt};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::time::Duration;

/// The SHA-256 of a code or a token.
type Hash = [u8; 32];

/// What a change depends on beside what is stored.
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    pub(super) behaviour: Behaviour,
    pub(super) chance: &'a dyn Chance,
}

/// What a person agreed to, waiting for its code to be exchanged.
pub(super) struct Consent {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    /// The S256 code challenge (RFC 7636 section 4.2).
    pub(super) challenge: String,
    pub(super) scopes: Scopes,
    pub(super) user: String,
}

/// What a client shows beside a code.
pub(super) struct Proof<'a> {
    pub(super) client_id: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) verifier: &'a str,
}

/// Fresh tokens.
pub(super) struct Issued {
    pub(super) access: AccessToken,
    pub(super) expires_in: Duration,
    pub(super) refresh: Option<RefreshToken>,
    pub(super) scopes: Scopes,
}

/// Whom a live access token speaks for.
pub(super) struct Bearer {
    pub(super) user: String,
    pub(super) client_id: String,
    pub(super) scopes: Scopes,
}

struct Code {
    consent: Consent,
    expires_at: Timestamp,
    /// Set once it was exchanged.
    family: Option<u64>,
}

struct Family {
    scopes: Scopes,
    /// Access tokens of an earlier epoch are dead.
    epoch: u64,
    counts: FamilyCounts,
    refreshing: Gauge,
}

struct Access {
    family: u64,
    epoch: u64,
    scopes: Scopes,
    expires_at: Timestamp,
}

struct Refresh {
    family: u64,
    expires_at: Option<Timestamp>,
    requests: u64,
    spent: Option<Spent>,
}

struct Spent {
    at: Timestamp,
    successor: RefreshToken,
}

const INVALID_GRANT: &str = "invalid_grant";
const UNKNOWN: OAuthError = OAuthError::new(INVALID_GRANT, "unknown, revoked, or another client's");
const EXPIRED: OAuthError = OAuthError::new(INVALID_GRANT, "expired");
const REUSED: OAuthError =
    OAuthError::new(INVALID_GRANT, "used before; everything that grew out of it is revoked");

#[derive(Default)]
pub(super) struct Grants {
    codes: Bounded<Hash, Code>,
    families: Bounded<u64, Family>,
    access: Bounded<Hash, Access>,
    refresh: Bounded<Hash, Refresh>,
    newest_family: u64,
    refreshing: Gauge,
    /// The sums; the families' are with the families.
    pub(super) totals: Counts,
}

impl Grants {
    /// Mints the code of a consent.
    pub(super) fn agree(&mut self, consent: Consent, moment: &Moment) -> AuthorizationCode {
        let code = mint(moment.chance, "code");
        let expires_at = moment.now.plus(moment.behaviour.code_lifetime);
        self.codes.insert(hash::sha256(code.as_bytes()), Code { consent, expires_at, family: None });
        AuthorizationCode::new(code)
    }

    /// Gives a new family's first tokens for a code, once; the second time ends the family (RFC 6749 section 4.1.2).
    pub(super) fn exchange(
        &mut self,
        code: &str,
        proof: &Proof,
        moment: &Moment,
    ) -> Result<Issued, OAuthError> {
        let found = self.codes.get_mut(&hash::sha256(code.as_bytes())).ok_or(UNKNOWN)?;
        if found.consent.client_id != proof.client_id {
            return Err(UNKNOWN);
        }
        if let Some(family) = found.family {
            self.end_for_reuse(family);
            return Err(REUSED);
        }
        if found.expires_at <= moment.now {
            return Err(EXPIRED);
        }
        if found.consent.redirect_uri != proof.redirect_uri {
            return Err(OAuthError::new(INVALID_GRANT, "redirect_uri is not the one of the authorization"));
        }
        let challenge = URL_SAFE_NO_PAD.encode(hash::sha256(proof.verifier.as_bytes()));
        if !hash::same(challenge.as_bytes(), found.consent.challenge.as_bytes()) {
            return Err(OAuthError::new(INVALID_GRANT, "code_verifier does not fit the code_challenge"));
        }
        self.newest_family += 1;
        let family = self.newest_family;
        found.family = Some(family);
        let scopes = found.consent.scopes.clone();
        let counts = FamilyCounts {
            user: found.consent.user.clone(),
            client_id: found.consent.client_id.clone(),
            alive: true,
            ..FamilyCounts::default()
        };
        let born = Family { scopes: scopes.clone(), epoch: 0, counts, refreshing: Gauge::default() };
        self.families.insert(family, born);
        self.totals.exchanges += 1;
        let refresh = self.mint_refresh(family, moment);
        Ok(self.issue(family, 0, scopes, Some(refresh), moment))
    }

    /// Gives fresh tokens for a refresh token, as the rotation has it. `asked` may only narrow (RFC 6749 section 6).
    pub(super) fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        asked: Option<Scopes>,
        moment: &Moment,
    ) -> Result<Issued, OAuthError> {
        let key = hash::sha256(token.as_bytes());
        let found = self.refresh.get(&key).ok_or(UNKNOWN)?;
        let id = found.family;
        let family = self.families.get_mut(&id).ok_or(UNKNOWN)?;
        if !family.counts.alive || family.counts.client_id != client_id {
            return Err(UNKNOWN);
        }
        if found.expires_at.is_some_and(|end| end <= moment.now) {
            return Err(EXPIRED);
        }
        let Behaviour { rotation, grace, old_access_killed, .. } = moment.behaviour;
        let successor = match (&found.spent, rotation) {
            (None, _) | (Some(_), Rotation::None) => None,
            (Some(spent), Rotation::Grace) if moment.now < spent.at.plus(grace) => {
                Some(spent.successor.clone())
            }
            (Some(_), Rotation::Grace | Rotation::Strict) => {
                self.end_for_reuse(id);
                return Err(REUSED);
            }
        };
        let scopes = asked.unwrap_or_else(|| family.scopes.clone());
        if !scopes.missing_from(&family.scopes).is_empty() {
            return Err(OAuthError::new("invalid_scope", "more than was granted"));
        }
        family.epoch += u64::from(old_access_killed);
        family.counts.refreshes += 1;
        self.totals.refreshes += 1;
        let epoch = family.epoch;
        let refresh = match rotation {
            Rotation::None => None,
            Rotation::Grace | Rotation::Strict => {
                Some(successor.unwrap_or_else(|| self.spend(&key, id, moment)))
            }
        };
        Ok(self.issue(id, epoch, scopes, refresh, moment))
    }

    /// Whom the token speaks for; none when it is unknown or dead.
    pub(super) fn bearer(&self, token: &str, now: Timestamp) -> Option<Bearer> {
        let access = self.access.get(&hash::sha256(token.as_bytes()))?;
        let family = self.families.get(&access.family)?;
        let alive = family.counts.alive && access.epoch == family.epoch && now < access.expires_at;
        let FamilyCounts { user, client_id, .. } = &family.counts;
        alive.then(|| Bearer {
            user: user.clone(),
            client_id: client_id.clone(),
            scopes: access.scopes.clone(),
        })
    }

    /// Ends a token of this client (RFC 7009 section 2): an unknown one is fine, another client's is not.
    pub(super) fn revoke(&mut self, token: &str, client_id: &str) -> Result<(), OAuthError> {
        let key = hash::sha256(token.as_bytes());
        let whole_family = self.refresh.get(&key).map(|refresh| refresh.family);
        let id = whole_family.or_else(|| self.access.get(&key).map(|access| access.family));
        let Some(family) = id.and_then(|id| self.families.get_mut(&id)) else { return Ok(()) };
        if family.counts.client_id != client_id {
            return Err(UNKNOWN);
        }
        let ended = if whole_family.is_some() {
            std::mem::replace(&mut family.counts.alive, false)
        } else {
            self.access.remove(&key).is_some()
        };
        self.totals.revocations += u64::from(ended);
        Ok(())
    }

    /// A refresh request came in. Returns the family it is about, for [`Self::refresh_ends`].
    pub(super) fn refresh_begins(&mut self, token: Option<&str>) -> Option<u64> {
        self.totals.refresh_requests += 1;
        self.refreshing.rise();
        let found = self.refresh.get_mut(&hash::sha256(token?.as_bytes()))?;
        found.requests += 1;
        let family = self.families.get_mut(&found.family)?;
        let counts = &mut family.counts;
        counts.refresh_requests += 1;
        counts.most_requests_of_one_token = counts.most_requests_of_one_token.max(found.requests);
        family.refreshing.rise();
        Some(found.family)
    }

    /// The refresh request was answered, or its client went away.
    pub(super) fn refresh_ends(&mut self, family: Option<u64>) {
        self.refreshing.fall();
        if let Some(family) = family.and_then(|id| self.families.get_mut(&id)) {
            family.refreshing.fall();
        }
    }

    /// The sums, and those of every family.
    pub(super) fn counts(&self) -> Counts {
        let families = self.families.iter().map(|(id, family)| {
            let peak_refreshes = family.refreshing.peak;
            (*id, FamilyCounts { peak_refreshes, ..family.counts.clone() })
        });
        let peak_refreshes = self.refreshing.peak;
        Counts { families: families.collect(), peak_refreshes, ..self.totals.clone() }
    }

    /// Counts from zero; what is granted stays.
    pub(super) fn reset_counts(&mut self) {
        self.totals = Counts::default();
        self.refreshing.reset();
        self.refresh.values_mut().for_each(|refresh| refresh.requests = 0);
        for family in self.families.values_mut() {
            let FamilyCounts { user, client_id, alive, .. } = std::mem::take(&mut family.counts);
            family.counts = FamilyCounts { user, client_id, alive, ..FamilyCounts::default() };
            family.refreshing.reset();
        }
    }

    fn end_for_reuse(&mut self, family: u64) {
        self.totals.reuses += 1;
        if let Some(family) = self.families.get_mut(&family) {
            family.counts.reuses += 1;
            family.counts.alive = false;
        }
    }

    /// Marks the refresh token as used and returns its successor.
    fn spend(&mut self, key: &Hash, family: u64, moment: &Moment) -> RefreshToken {
        let successor = self.mint_refresh(family, moment);
        if let Some(found) = self.refresh.get_mut(key) {
            found.spent = Some(Spent { at: moment.now, successor: successor.clone() });
        }
        successor
    }

    fn mint_refresh(&mut self, family: u64, moment: &Moment) -> RefreshToken {
        let token = mint(moment.chance, "refresh");
        let expires_at = moment.behaviour.refresh_lifetime.map(|lifetime| moment.now.plus(lifetime));
        let refresh = Refresh { family, expires_at, requests: 0, spent: None };
        self.refresh.insert(hash::sha256(token.as_bytes()), refresh);
        RefreshToken::new(token)
    }

    fn issue(
        &mut self,
        family: u64,
        epoch: u64,
        scopes: Scopes,
        refresh: Option<RefreshToken>,
        moment: &Moment,
    ) -> Issued {
        let token = mint(moment.chance, "access");
        let expires_in = moment.behaviour.access_lifetime;
        let expires_at = moment.now.plus(expires_in);
        let access = Access { family, epoch, scopes: scopes.clone(), expires_at };
        self.access.insert(hash::sha256(token.as_bytes()), access);
        Issued { access: AccessToken::new(token), expires_in, refresh, scopes }
    }
}

/// 256 bits behind a word that tells a reader of a log or a dump what leaked.
fn mint(chance: &dyn Chance, kind: &str) -> String {
    format!("sandbox-{kind}-{}", chance.ticket().expose())
}
