//! Authentication: the one place in this room where authority is made.
//!
//! Whatever is wrong with a credential, the answer is the same. With a password the time is the same too: an address that
//! nobody owns, and one that is none, cost the same hash and the same number of reads as a wrong password.

use super::api_key::ApiKeyText;
use super::caller::{Authenticated, Caller, Presented};
use super::memo::{Look, Seen};
use super::{Accounts, budgets::Counted, password as rules};
use crate::crypto::{hash::same, password};
use crate::domain::{EmailAddress, Password, Refusal, Secret, Who};
use crate::ports::ChanceExt;
use crate::telemetry::metrics;
use crate::vault::{Along, Authority, Member};
use std::net::IpAddr;
use std::sync::Arc;

impl Accounts {
    /// Proves who calls. `from` is the caller's network address where it is known; the slot of `along` is
    /// read in the same round trip, where there is one.
    ///
    /// Refuses with [`Refusal::Unauthenticated`] whatever was wrong, [`Refusal::OutsideKeyLimits`] a good key from a wrong
    /// network, [`Refusal::RateLimited`] after too many wrong passwords or while too many wait to have theirs checked.
    pub async fn authenticate(
        &self,
        presented: &Presented,
        from: Option<IpAddr>,
        along: Option<Along<'_>>,
    ) -> Result<Authenticated, Refusal> {
        match presented {
            Presented::Key(key) => {
                let outcome = self.by_key(key, from, along).await;
                // A good key is counted with its request: this is the hot path.
                if let Err(refusal) = &outcome {
                    metrics::login("key", refusal.code());
                }
                outcome
            }
            Presented::Password { email, password } => {
                let outcome = self.by_password(email, &rules::normalized(password), from).await;
                metrics::login("password", outcome.as_ref().map_or_else(Refusal::code, |_| "ok"));
                Ok(Authenticated { caller: outcome?, slot: None })
            }
        }
    }

    async fn by_key(
        &self,
        key: &Secret,
        from: Option<IpAddr>,
        along: Option<Along<'_>>,
    ) -> Result<Authenticated, Refusal> {
        let text = ApiKeyText::parse(key).ok_or(Refusal::Unauthenticated)?;
        let (record, slot) = self.vault.key_and_slot(&text.tenant, &text.id, along).await?;
        let record = record
            .filter(|record| same(record.secret_hash.as_bytes(), text.secret_hash().as_bytes()))
            .ok_or(Refusal::Unauthenticated)?;
        if record.limits.expires_at.is_some_and(|end| end <= self.clock.now()) {
            tracing::debug!(tenant = %text.tenant, key = %text.id, "an expired API key was refused");
            return Err(Refusal::Unauthenticated);
        }
        let authority = Authority::proven(text.tenant, Who::Key(text.id).at(from));
        let caller = Caller::key(authority, record.limits.clone());
        caller.may_call_from(from)?;
        let slot = slot.and_then(|read| read.proven_by(caller.authority()));
        Ok(Authenticated { caller, slot })
    }

    async fn by_password(
        &self,
        email: &str,
        password: &Password,
        from: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        let address = EmailAddress::parse(email).ok();
        let name = address.as_ref().map_or(email, EmailAddress::as_str);
        let login = self.veil.login(name, password.expose());
        if let Some(seen) = self.memo.seen(&login, self.clock.monotonic()) {
            let member = self.vault.members().read(&seen.tenant, &seen.member).await?;
            if let Some(member) = member.filter(|member| seen.still(member, name)) {
                return Ok(proven(member, from));
            }
            self.memo.forget(&login, &seen);
        }
        let mut tried = vec![self.counted_email(name)];
        tried.extend(from.map(|from| self.counted_network(from)));
        self.failed_logins.check(&tried).await?;
        // Read before the wait for others with this password: a store that hangs holds up nobody twice.
        let member = self.member_of(address.as_ref()).await?;
        loop {
            match self.memo.look(&login, self.clock.monotonic()).await {
                Look::Seen(seen) => match &member {
                    Some(member) if seen.still(member, name) => return Ok(proven(member.clone(), from)),
                    _ => self.memo.forget(&login, &seen),
                },
                Look::First(first) => {
                    let member = self.check(member, password, tried).await?;
                    first.remember(Seen::new(&member, self.clock.monotonic()));
                    return Ok(proven(member, from));
                }
            }
        }
    }

    /// Hashes the password and compares; a wrong one counts against those that `tried`.
    async fn check(
        &self,
        member: Option<Member>,
        password: &Password,
        mut tried: Vec<Counted>,
    ) -> Result<Member, Refusal> {
        let turn = self.hashing.turn().await?;
        // Others may have failed while this one waited.
        self.failed_logins.check(&tried).await?;
        let phc = member.as_ref().map(|member| member.password_hash.clone());
        let (password, salt) = (password.clone(), self.chance.bytes());
        let (failed, counting) = (Arc::clone(&self.failed_logins), Arc::clone(&self.failed_logins));
        // To its end: a caller who does not stay for the answer is counted too.
        let work = self.tasks.finish(async move {
            let right = turn.run(move || {
                // Where nobody is, a hash that is of no use: as dear as a comparison.
                let nobody = || password::hash(&password, &salt).is_ok_and(|_| false);
                let right = phc.map_or_else(nobody, |phc| password::verify(&password, &phc));
                if !right {
                    // Before the turn ends: who comes next finds it counted. Where nothing is left there is nothing to take.
                    tried.retain(|who| counting.take_here(who).is_none());
                }
                (right, tried)
            });
            let (right, tried) = right.await?;
            if !right {
                for who in &tried {
                    failed.take_in_store(who).await?;
                }
            }
            Ok::<_, Refusal>(right)
        });
        let right = work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a password was not compared to the end");
            Err(Refusal::Internal)
        });
        if right? {
            return member.ok_or(Refusal::Unauthenticated);
        }
        tracing::debug!("a wrong password was refused");
        Err(Refusal::Unauthenticated)
    }

    /// The member of an address; where there is none, after as many reads.
    async fn member_of(&self, address: Option<&EmailAddress>) -> Result<Option<Member>, Refusal> {
        let members = self.vault.members();
        let found = match address {
            Some(address) => members.find(address).await?,
            None => None,
        };
        if found.is_none() {
            members.read(&self.chance.id(), &self.chance.id()).await?;
        }
        Ok(found)
    }
}

/// To be called with a member whose password was just found right.
fn proven(member: Member, from: Option<IpAddr>) -> Caller {
    Caller::member(Authority::proven(member.tenant, Who::Member(member.id).at(from)))
}
