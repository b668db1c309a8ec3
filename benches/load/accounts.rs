//! The accounts on a vault, without a server: enough to prove a key.

use grantkeep::accounts::{AccountSettings, Accounts, MailSettings};
use grantkeep::adapters::outbox::OutboxMailer;
use grantkeep::adapters::system::{SystemChance, SystemClock};
use grantkeep::config::Settings;
use grantkeep::ports::Tasks;
use grantkeep::vault::Vault;
use std::sync::Arc;
use std::time::Duration;

/// Nothing is mailed by them.
pub fn accounts(vault: &Arc<Vault>, settings: &Settings, tasks: Tasks) -> Accounts {
    let (clock, chance) = (Arc::new(SystemClock::new()), Arc::new(SystemChance));
    let mailer = OutboxMailer::new(std::env::temp_dir(), "nobody@example.com", clock.clone(), chance.clone());
    let mailer = mailer.expect("a sender");
    let hour = Duration::from_hours(1);
    let mail = MailSettings { timeout: hour, backoff_min: hour, backoff_max: hour, keep_trying: hour };
    let settings = AccountSettings {
        public_url: settings.server.public_url.clone(),
        hashes_at_once: 2,
        hashes_waiting: 64,
        sign_up_life: hour,
        reset_life: hour,
        mail,
        sign_ups_per_hour: 1,
        mails_per_hour: 1,
        failed_logins_per_minute: 1,
    };
    Accounts::new(Arc::clone(vault), clock, chance, Arc::new(mailer), tasks, settings)
}
