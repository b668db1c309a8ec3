//! Sign-up: the same answer and the same work for every address, owned or not. Whether a mail goes out is seen in the
//! mailbox only.

use super::{Accounts, mail, password as rules};
use crate::crypto::password;
use crate::domain::{Action, Deed, EmailAddress, Origin, Password, Refusal, Ticket, Who};
use crate::ports::ChanceExt;
use crate::telemetry::metrics;
use crate::vault::{Activation, Authority, PendingSignUp};
use std::net::IpAddr;
use std::time::Duration;
use unicode_normalization::UnicodeNormalization;

const LONGEST_PRODUCT: usize = 80;
/// How long a sign-up is kept whose link nobody was sent: written all the same, so that it takes as long.
const UNSENT_LIFE: Duration = Duration::from_mins(1);

/// What somebody signs up with.
#[derive(Clone)]
pub struct SignUp {
    /// The address to be verified.
    pub email: EmailAddress,
    /// The password of this sign-up alone: its link activates no other.
    pub password: Password,
    /// The name shown to end users. Where absent it is kept empty, and whoever shows it finds words of its own: a name that
    /// nobody chose (the address's domain is often a mail provider's) would tell end users something untrue.
    pub product: Option<String>,
}

impl Accounts {
    /// Keeps a sign-up and sends its link, in the background. `from` is the caller's network address where it is known.
    ///
    /// Refuses wrong fields, by rules that know nothing of who has an account, and too many from one network. Too many for
    /// one address are answered like any other and send nothing.
    pub async fn sign_up(&self, request: SignUp, from: Option<IpAddr>) -> Result<(), Refusal> {
        let product = checked_product(request.product.as_deref().unwrap_or_default())?;
        let password = rules::checked(&request.password, &request.email, &product)?;
        if let Some(from) = from {
            let taken = self.sign_ups.take(&self.veil.network(from), self.clock.monotonic());
            taken.map_err(|retry_after| {
                metrics::sign_up("limited");
                Refusal::RateLimited { retry_after }
            })?;
        }
        let salt = self.chance.bytes();
        let hashed = self.hashing.turn().await?.run(move || password::hash(&password, &salt)).await?;
        let password_hash = hashed.map_err(|error| {
            tracing::error!(%error, "a sign-up was not kept");
            Refusal::Internal
        })?;
        let mailbox = self.veil.email(request.email.as_str());
        let send = self.mails.take(&mailbox, self.clock.monotonic()).is_ok();
        let lives = if send { self.settings.sign_up_life } else { UNSENT_LIFE };
        let created_at = self.clock.now();
        let sign_up = PendingSignUp { email: request.email, password_hash, product, created_at };
        let token = self.chance.ticket();
        self.vault.sign_ups().keep(&token, &sign_up, lives).await?;
        metrics::sign_up(if send { "kept" } else { "unsent" });
        if send {
            let link = mail::link(&self.settings.public_url, &token);
            let until = created_at.plus(lives);
            self.postman.send(mail::verification(sign_up.email, &sign_up.product, &link, created_at, until));
        }
        Ok(())
    }

    /// The sign-up of a link, which stays good: for the page that shows what is to be confirmed.
    pub async fn pending(&self, token: &Ticket) -> Result<Option<PendingSignUp>, Refusal> {
        Ok(self.vault.sign_ups().find(token).await?)
    }

    /// Confirms the address of a link and consumes the link.
    pub async fn verify(&self, token: &Ticket, origin: &Origin) -> Result<Activation, Refusal> {
        let activation = self.vault.sign_ups().activate(token).await?;
        if let Activation::Activated(tenant) = &activation {
            let by = Authority::proven(tenant.clone(), Who::Link.at(None)).by(origin);
            self.vault.audit(&by).record(Deed::done(Action::TenantCreated)).await?;
        }
        Ok(activation)
    }
}

/// One line of 80 characters at most, trimmed, in NFC; nothing that turns the direction of the text around it, since it stands
/// on pages that end users trust.
fn checked_product(name: &str) -> Result<String, Refusal> {
    let name: String = name.trim().nfc().collect();
    let turns =
        |c: char| matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if name.chars().count() > LONGEST_PRODUCT || name.contains(|c| turns(c) || breaks(c)) {
        return Err(Refusal::field(
            "product",
            "must be 80 characters at most, on one line, without control characters",
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_one_plain_line() {
        assert_eq!(checked_product(" Acme Café "), Ok("Acme Café".to_owned()));
        assert_eq!(checked_product("Cafe\u{301}"), Ok("Café".to_owned()));
        assert_eq!(checked_product(""), Ok(String::new()));
        assert!(checked_product(&"é".repeat(80)).is_ok());
        for bad in ["a\nb", "a\0b", "Acme\u{202E}moc", "a\u{2028}b", &"é".repeat(81)] {
            assert!(checked_product(bad).is_err(), "{bad:?}");
        }
    }
}
