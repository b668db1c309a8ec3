//! Sign-up: the same answer and the same work for every address, owned or not. Whether a mail goes out is seen in the
//! mailbox only.

use super::{Accounts, password as rules};
use crate::domain::{Action, Deed, EmailAddress, Origin, Password, Refusal, Ticket, Who};
use crate::telemetry::metrics;
use crate::vault::{Activation, Authority, Letter, MailDraft, PendingSignUp};
use std::net::IpAddr;
use unicode_normalization::UnicodeNormalization;

const LONGEST_PRODUCT: usize = 80;

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
    /// Keeps a sign-up in the queue of mails and sends its link, in the background. `from` is the caller's network address where it is known.
    ///
    /// Refuses wrong fields, by rules that know nothing of who has an account, and too many from one network. Too many for
    /// one address are answered like any other and send nothing.
    pub async fn sign_up(&self, request: SignUp, from: Option<IpAddr>) -> Result<(), Refusal> {
        let product = checked_product(request.product.as_deref().unwrap_or_default())?;
        let password = rules::checked(&request.password, &request.email, &product)?;
        self.one_more_from(from, metrics::sign_up).await?;
        let password_hash = self.hash(password).await?;
        let mailbox = self.counted_email(request.email.as_str());
        let send = self.mails.take_alike(&mailbox).await?.is_none();
        let created_at = self.clock.now();
        let to = request.email.clone();
        let sign_up = PendingSignUp { email: request.email, password_hash, product, created_at };
        let letter = Letter::Verification(Box::new(sign_up));
        let draft = MailDraft { to, letter, keep_trying: self.settings.mail.keep_trying };
        if send {
            self.postman.post(draft).await?;
        } else {
            self.postman.pretend(draft).await?;
        }
        metrics::sign_up(if send { "kept" } else { "unsent" });
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
pub(super) fn checked_product(name: &str) -> Result<String, Refusal> {
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
