//! Mails of this room, and their sending behind the caller's back: how long the mail server takes, and whether it accepts an
//! address, must not be seen in an answer.

use crate::domain::{EmailAddress, Ticket, Timestamp};
use crate::ports::{Mail, MailError, Mailer, Tasks};
use crate::telemetry::metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// Mails on their way at once; further ones are dropped, and the log says so.
const UNDER_WAY: usize = 256;
/// The pauses before further tries. Short, since a stop waits for them; who gets no mail asks for another.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Sends mails in the background.
pub(super) struct Postman {
    mailer: Arc<dyn Mailer>,
    tasks: Tasks,
    under_way: Arc<Semaphore>,
}

impl Postman {
    pub fn new(mailer: Arc<dyn Mailer>, tasks: Tasks) -> Self {
        Self { mailer, tasks, under_way: Arc::new(Semaphore::new(UNDER_WAY)) }
    }

    /// Starts a mail on its way and does not wait.
    pub fn send(&self, mail: Mail) {
        let Ok(place) = Arc::clone(&self.under_way).try_acquire_owned() else {
            tracing::error!("a mail was dropped: {UNDER_WAY} are waiting for the mail server already");
            return;
        };
        let mailer = Arc::clone(&self.mailer);
        self.tasks.start(async move {
            deliver(&*mailer, &mail, &PAUSES).await;
            drop(place);
        });
    }
}

async fn deliver(mailer: &dyn Mailer, mail: &Mail, pauses: &[Duration]) {
    let mut pauses = pauses.iter();
    loop {
        match (mailer.send(mail).await, pauses.next()) {
            (Ok(()), _) => return metrics::mail("sent"),
            (Err(error @ MailError::Temporary(_)), Some(pause)) => {
                tracing::warn!(%error, "a mail will be tried again");
                metrics::mail("temporary");
                tokio::time::sleep(*pause).await;
            }
            (Err(error), _) => {
                tracing::error!(%error, "a mail did not go out");
                return metrics::mail("permanent");
            }
        }
    }
}

/// The mail that verifies an address: `link` was asked for at `asked` and is good until `until`.
pub(super) fn verification(
    to: EmailAddress,
    product: &str,
    link: &Url,
    asked: Timestamp,
    until: Timestamp,
) -> Mail {
    let product =
        if may_be_repeated(product) { format!(", for the product \"{product}\"") } else { String::new() };
    let (asked, until) = (minute(asked), minute(until));
    let text = format!(
        "Hello,\n\
         \n\
         somebody, we hope you, signed up at Grantkeep with this address\n\
         on {asked}{product}.\n\
         \n\
         To go on, open this page and press its button:\n\
         \n\
         {link}\n\
         \n\
         The link is good until {until}. If this address has an account\n\
         already, it changes nothing.\n\
         \n\
         You did not sign up? Then please do not follow the link: whoever\n\
         did has chosen a password, and must not get an account in your name.\n\
         Leave it, and nothing happens.\n"
    );
    Mail { to, subject: "Please confirm your address for Grantkeep".to_owned(), text }
}

/// Anybody may have a mail sent to anybody, and the product's name is theirs to choose. A name that a mail program could make
/// a link of is left out, so that nobody's bait travels in our mail.
fn may_be_repeated(product: &str) -> bool {
    let mut inner_dots = product.split('.').skip(1).map(|after| after.starts_with(char::is_alphanumeric));
    !product.is_empty()
        && !product.contains(['/', '@', ':', '\\', '"', '<', '>'])
        && !inner_dots.any(|dot| dot)
}

/// Such as `2026-11-22 01:00 UTC`.
fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..16).map_or_else(|| text.clone(), |text| format!("{} UTC", text.replace('T', " ")))
}

/// The page that a verification mail links to.
pub(super) fn link(public_url: &Url, token: &Ticket) -> Url {
    let mut link = public_url.clone();
    link.set_path("/verify-email");
    link.query_pairs_mut().clear().append_pair("token", token.expose());
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn the_mail_says_who_when_and_what_to_do() {
        let link = link(&Url::parse("https://vault.example.com").unwrap(), &Ticket::new("a_b-c"));
        let asked = Timestamp::parse("2026-11-22T01:00:59.5Z").unwrap();
        let until = asked.plus(Duration::from_hours(24));
        let to = EmailAddress::parse("ada@example.com").unwrap();
        let mail = verification(to, "Acme", &link, asked, until);
        assert!(
            mail.text.contains("\nhttps://vault.example.com/verify-email?token=a_b-c\n"),
            "{}",
            mail.text
        );
        assert!(mail.text.contains("on 2026-11-22 01:00 UTC, for the product \"Acme\".\n"), "{}", mail.text);
        assert!(mail.text.contains("good until 2026-11-23 01:00 UTC."), "{}", mail.text);
        assert!(mail.text.contains("do not follow the link"));
        assert!(!format!("{mail:?}").contains("a_b-c"));
    }

    #[test]
    fn no_bait_travels_in_the_mail() {
        for harmless in ["Acme", "Dr. Oetker", "Ärzte & Co.", "A-B 2.", "Yahoo!"] {
            assert!(may_be_repeated(harmless), "{harmless}");
        }
        for bait in ["", "evil.example", "go to https://evil", "x@evil", "evil。example/x", "\"quoted\""] {
            assert!(!may_be_repeated(bait), "{bait}");
        }
    }

    /// A mail server that answers as it was told.
    struct Scripted(Mutex<Vec<Result<(), MailError>>>);

    #[async_trait::async_trait]
    impl Mailer for Scripted {
        async fn send(&self, _: &Mail) -> Result<(), MailError> {
            self.0.lock().unwrap().remove(0)
        }
    }

    async fn answers_left(script: Vec<Result<(), MailError>>) -> usize {
        let mailer = Scripted(Mutex::new(script));
        let mail = Mail {
            to: EmailAddress::parse("ada@example.com").unwrap(),
            subject: String::new(),
            text: String::new(),
        };
        deliver(&mailer, &mail, &[Duration::ZERO; 2]).await;
        mailer.0.into_inner().unwrap().len()
    }

    #[tokio::test]
    async fn tries_again_while_there_is_hope() {
        let busy = || Err(MailError::Temporary("busy".to_owned()));
        let refused = || Err(MailError::Permanent("no such person".to_owned()));
        assert_eq!(answers_left(vec![Ok(()), Ok(())]).await, 1);
        assert_eq!(answers_left(vec![busy(), Ok(()), Ok(())]).await, 1);
        assert_eq!(answers_left(vec![busy(), busy(), busy(), Ok(())]).await, 1);
        assert_eq!(answers_left(vec![refused(), Ok(())]).await, 1);
    }
}
