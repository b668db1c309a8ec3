//! Accounts: who signs up, who calls, and what a caller may do.
//!
//! A credential comes in here and a [`Caller`] goes out; it holds the authority through which the vault names records. This
//! room knows nothing of HTTP, of providers or of what a caller is after. Passwords follow NIST SP 800-63B-4 section 3.1.1,
//! sign-up and login the OWASP cheat sheets on authentication: nothing here tells whether an address has an account.

mod api_key;
mod authenticate;
mod budgets;
mod caller;
mod guessable;
mod hashing;
mod keys;
mod letters;
mod memo;
mod password;
mod postman;
mod reset;
mod sign_up;
mod tenant;
#[cfg(test)]
mod tests;
mod veil;

pub use caller::{Authenticated, Caller, Presented};
pub use keys::NewApiKey;
pub use sign_up::SignUp;

use crate::domain::Rate;
use crate::ports::{Chance, ChanceExt, Clock, Mailer, Tasks};
use crate::vault::Vault;
use budgets::FleetLimit;
use hashing::Hashing;
use memo::Memo;
use postman::Postman;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use veil::Veil;

/// What an operator may set about accounts.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// What browsers see; the only source of the host in a mail's link.
    pub public_url: Url,
    /// Passwords hashed at once, each on a core of its own for some 20 ms and with 19 MiB.
    pub hashes_at_once: usize,
    /// Callers that may wait for their turn to have a password hashed; further ones are refused.
    pub hashes_waiting: usize,
    /// How long the link of a sign-up is good, from the moment it is sent.
    pub sign_up_life: Duration,
    /// How long a link to set a new password is good, from the moment it is sent.
    pub reset_life: Duration,
    /// How mails are sent.
    pub mail: MailSettings,
    /// Sign-ups and forgotten passwords from one network address (of IPv6, one /64) in an hour.
    pub sign_ups_per_hour: u32,
    /// Mails asked for to one e-mail address in an hour; what goes beyond it is answered alike and sends nothing.
    pub mails_per_hour: u32,
    /// Wrong passwords in a minute, for one e-mail address and from one network address.
    pub failed_logins_per_minute: u32,
}

/// How mails are sent, and sent again.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// How long one try may take.
    pub timeout: Duration,
    /// The pause after the first try that failed.
    pub backoff_min: Duration,
    /// The longest pause; not shorter than the first.
    pub backoff_max: Duration,
    /// How long a mail is tried.
    pub keep_trying: Duration,
}

/// Tenants' members and API keys.
pub struct Accounts {
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    settings: AccountSettings,
    hashing: Hashing,
    postman: Arc<Postman>,
    tasks: Tasks,
    memo: Memo,
    veil: Veil,
    sign_ups: FleetLimit,
    mails: FleetLimit,
    failed_logins: Arc<FleetLimit>,
}

impl Accounts {
    /// Accounts over `vault`. Passwords are hashed and mails are sent on `tasks`.
    pub fn new(
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        mailer: Arc<dyn Mailer>,
        tasks: Tasks,
        settings: AccountSettings,
    ) -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        const HOUR: Duration = Duration::from_hours(1);
        let limit = |kind, count, per| FleetLimit::new(kind, Rate { count, per }, &vault, &clock);
        Self {
            hashing: Hashing::new(tasks.clone(), settings.hashes_at_once, settings.hashes_waiting),
            postman: Arc::new(Postman {
                vault: Arc::clone(&vault),
                clock: Arc::clone(&clock),
                chance: Arc::clone(&chance),
                mailer,
                tasks: tasks.clone(),
                public_url: settings.public_url.clone(),
                settings: settings.mail.clone(),
                sign_up_life: settings.sign_up_life,
                reset_life: settings.reset_life,
                under_way: Postman::places(),
            }),
            tasks,
            memo: Memo::new(),
            veil: Veil::new(chance.bytes()),
            sign_ups: limit("sign-ups", settings.sign_ups_per_hour, HOUR),
            mails: limit("mails", settings.mails_per_hour, HOUR),
            failed_logins: Arc::new(limit("failed-logins", settings.failed_logins_per_minute, MINUTE)),
            vault,
            clock,
            chance,
            settings,
        }
    }

    /// Sends the mails that have come due: what failed earlier, and what another server left behind. To be asked again and
    /// again.
    pub async fn send_due_mails(&self) {
        self.postman.send_due().await;
    }
}
