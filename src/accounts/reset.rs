//! A password that was forgotten, and a new one (OWASP Forgot Password cheat sheet).
//!
//! Who says that they forgot a password hears the same after the same work, whether or not the address has an account: the
//! address is looked up behind the answer, by whoever sends the mail. An address without an account gets none.

use super::postman::Postman;
use super::{Accounts, password as rules};
use crate::crypto::password;
use crate::domain::{Action, Deed, EmailAddress, MemberId, Password, Refusal, TenantId, Ticket, Who};
use crate::ports::ChanceExt;
use crate::telemetry::metrics;
use crate::vault::{Authority, Letter, MailDraft, Member, PasswordReset, QueuedMail, Vault, VaultError};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a link is kept that nobody was sent: written all the same, so that both ways are as much work.
const UNSENT_LIFE: Duration = Duration::from_mins(1);

impl Accounts {
    /// Sends a link to the owner of an address, if it has one, in the background. `from` is the caller's network address
    /// where it is known.
    ///
    /// Refuses too many from one network. Too many for one address are answered like any other and send nothing.
    pub async fn forgot_password(&self, email: EmailAddress, from: Option<IpAddr>) -> Result<(), Refusal> {
        self.one_more_from(from, metrics::password_reset).await?;
        let mailbox = self.counted_email(email.as_str());
        let send = self.mails.take_alike(&mailbox).await?.is_none();
        // Who asked for it longer ago than a link would live has asked again.
        let keep_trying = self.settings.mail.keep_trying.min(self.settings.reset_life);
        let draft = MailDraft { to: email, letter: Letter::PasswordForgotten { from }, keep_trying };
        if send {
            self.postman.post(draft).await?;
        } else {
            self.postman.pretend(draft).await?;
        }
        metrics::password_reset(if send { "asked" } else { "unsent" });
        Ok(())
    }

    /// Whose password a link may set. The link stays good: for the page that asks for the new password.
    pub async fn resettable(&self, token: &Ticket) -> Result<Option<EmailAddress>, Refusal> {
        let found = self.vault.password_resets().find(token).await?;
        Ok(found.map(|reset| reset.member.email))
    }

    /// Sets a new password by a link and consumes the link; every other link of the member ends with it, and every login
    /// that is remembered. API keys stay.
    ///
    /// Refuses with [`Refusal::NotFound`] a link that is unknown, used or too old, and a password that will not do, which
    /// leaves the link as it is.
    pub async fn reset_password(
        &self,
        token: &Ticket,
        new: &Password,
        from: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let reset = self.vault.password_resets().find(token).await?.ok_or_else(unknown_link)?;
        let new = rules::checked(new, &reset.member.email, &reset.product)?;
        let hash = self.hash(new).await?;
        let (vault, postman) = (Arc::clone(&self.vault), Arc::clone(&self.postman));
        let keep_trying = self.settings.mail.keep_trying;
        // To its end, also where the caller does not stay: the owner is to be told of what was done.
        let work = self.tasks.finish(async move {
            let done = set(&vault, &reset, &hash).await;
            let authority = Authority::proven(reset.member.tenant.clone(), Who::Link.at(from));
            let deed = Deed::of(Action::PasswordReset, &done).about("member", &reset.member.id);
            record(&vault, &authority, deed).await;
            metrics::password_reset(done.as_ref().map_or_else(Refusal::code, |()| "done"));
            if done.is_ok() {
                tell(&postman, reset.member.email, keep_trying).await;
            }
            done
        });
        work.await.map_err(|error| {
            tracing::error!(%error, "a password reset was not finished");
            Refusal::Internal
        })?
    }

    /// The hash of a password that was found good enough, when it is its turn.
    pub(super) async fn hash(&self, new: Password) -> Result<String, Refusal> {
        let salt = self.chance.bytes();
        let hashed = self.hashing.turn().await?.run(move || password::hash(&new, &salt)).await?;
        hashed.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            Refusal::Internal
        })
    }
}

impl Postman {
    /// Keeps a link for the owner of the address of `mail`; false where there is none. Either way costs the same reads and
    /// writes, but for the audit record.
    pub(super) async fn keep_reset(
        &self,
        token: &Ticket,
        mail: &QueuedMail,
        from: Option<IpAddr>,
    ) -> Result<bool, VaultError> {
        let (members, resets) = (self.vault.members(), self.vault.password_resets());
        let Some(member) = members.find(&mail.to).await? else {
            let (tenant, id): (TenantId, MemberId) = (self.chance.id(), self.chance.id());
            members.read(&tenant, &id).await?;
            let nobody = Member { tenant, id, email: mail.to.clone(), password_hash: String::new() };
            resets.keep(token, &nobody, UNSENT_LIFE).await?;
            return Ok(false);
        };
        // Once for each time that it was asked, and not for each try.
        if mail.tries == 0 {
            let authority = Authority::proven(member.tenant.clone(), Who::Link.at(from));
            let deed = Deed::done(Action::PasswordForgotten).about("member", &member.id);
            record(&self.vault, &authority, deed).await;
        }
        resets.keep(token, &member, self.reset_life).await?;
        Ok(true)
    }
}

async fn set(vault: &Vault, reset: &PasswordReset, hash: &str) -> Result<(), Refusal> {
    if vault.password_resets().set(reset, hash).await? { Ok(()) } else { Err(unknown_link()) }
}

/// What cannot be recorded is logged: the password is changed by now.
async fn record(vault: &Vault, authority: &Authority, deed: Deed) {
    let action = deed.action.as_str();
    if let Err(error) = vault.audit(authority).record(deed).await {
        tracing::error!(%error, action, tenant = %authority.tenant(), "a deed is missing in the audit trail");
    }
}

async fn tell(postman: &Arc<Postman>, to: EmailAddress, keep_trying: Duration) {
    let draft = MailDraft { to, letter: Letter::PasswordChanged, keep_trying };
    if let Err(error) = postman.post(draft).await {
        tracing::error!(%error, "nobody is told of a password that was changed");
    }
}

fn unknown_link() -> Refusal {
    Refusal::NotFound { what: "a new password that waits for this link".to_owned() }
}
