//! The whole room on a real store, with a clock that stands still and a mailbox.

mod callers;
mod mails;
mod resets;
mod sign_ups;

use super::*;
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::system::SystemChance;
use crate::domain::{EmailAddress, Origin, Password, Refusal, Secret, Ticket, Timestamp};
use crate::ports::store::{Batch, Key, Store};
use crate::ports::{Interposed, Mail, MailError};
use crate::vault::{Activation, Along, AuditOptions, Keyring, Slot};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "seven tulips in a green vase";

/// Stands still until it is moved.
#[derive(Default)]
struct StoppedClock(Mutex<Duration>);

impl StoppedClock {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-11-22T01:00:00Z").unwrap().plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// The machine's chance, and how often it was asked. Each look at a password draws a salt.
#[derive(Default)]
struct CountedChance(AtomicUsize);

impl Chance for CountedChance {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fetch_add(1, Ordering::Relaxed);
        SystemChance.fill(bytes);
    }
}

/// Puts mails where a test finds them, and answers what the test says; with no test listening it never answers.
struct Mailbox {
    mails: Option<mpsc::UnboundedSender<Mail>>,
    faults: Mutex<VecDeque<MailError>>,
}

#[async_trait::async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let Some(mailbox) = &self.mails else { return std::future::pending().await };
        mailbox.send(mail.clone()).map_err(|_| MailError::Permanent("closed".to_owned()))?;
        self.faults.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}

/// The token of the link in a mail.
fn token(mail: &Mail) -> Ticket {
    let (before, rest) = mail.text.split_once("?token=").unwrap();
    assert!(before.contains("\nhttps://vault.example.com/"), "{before}");
    Ticket::new(rest.lines().next().unwrap())
}

struct House {
    accounts: Accounts,
    clock: Arc<StoppedClock>,
    store: Arc<Interposed>,
    chance: Arc<CountedChance>,
    mailer: Arc<Mailbox>,
    mails: mpsc::UnboundedReceiver<Mail>,
    _folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self::with(|_| {}, true)
    }

    fn with(change: impl FnOnce(&mut AccountSettings), mail_works: bool) -> Self {
        let mut settings = AccountSettings {
            public_url: Url::parse("https://vault.example.com").unwrap(),
            hashes_at_once: 1,
            hashes_waiting: 8,
            sign_up_life: Duration::from_hours(24),
            reset_life: Duration::from_hours(1),
            mail: MailSettings {
                timeout: Duration::from_secs(20),
                backoff_min: Duration::from_secs(5),
                backoff_max: Duration::from_hours(1),
                keep_trying: Duration::from_hours(24),
            },
            sign_ups_per_hour: 20,
            mails_per_hour: 5,
            failed_logins_per_minute: 3,
        };
        change(&mut settings);
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(StoppedClock::default());
        let embedded = EmbeddedStore::open(folder.path(), clock.clone()).unwrap();
        let store = Arc::new(Interposed::counting(Arc::new(embedded)));
        let (mailbox, mails) = mpsc::unbounded_channel();
        let mailer = Arc::new(Mailbox { mails: mail_works.then_some(mailbox), faults: Mutex::default() });
        let keyring = Keyring::new([("k1", &[7; 32])]).unwrap();
        let chance = Arc::new(CountedChance::default());
        let vault = Arc::new(Vault::new(store.clone(), clock.clone(), Arc::new(SystemChance), keyring));
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        // On tasks of its own: it goes on for ever, and the others are waited for.
        let writer = Tasks::new(tokio::runtime::Handle::current());
        vault.write_audit(AuditOptions { instance: SystemChance.id(), retention: None }, &writer);
        let at = mailer.clone();
        let accounts = Accounts::new(vault, clock.clone(), chance.clone(), at, tasks, settings);
        Self { accounts, clock, store, chance, mailer, mails, _folder: folder }
    }

    async fn sign_up(&self, email: &str, password: &str, from: Option<&str>) -> Result<(), Refusal> {
        let request = SignUp {
            email: EmailAddress::parse(email).unwrap(),
            password: Password::new(password),
            product: Some("Acme".to_owned()),
        };
        self.accounts.sign_up(request, from.map(|from| from.parse().unwrap())).await
    }

    /// The token in the next mail.
    async fn token(&mut self) -> Ticket {
        token(&self.mails.recv().await.unwrap())
    }

    /// Lets what goes on behind the answers come to its end.
    async fn settle(&self) {
        while self.accounts.tasks.under_way() > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// A tenant of Ada's.
    async fn ada(&mut self) -> Caller {
        self.sign_up(ADA, PASSWORD, None).await.unwrap();
        let token = self.token().await;
        assert!(matches!(
            self.accounts.verify(&token, &Origin::default()).await,
            Ok(Activation::Activated(_))
        ));
        self.login(ADA, PASSWORD).await.unwrap()
    }

    async fn login(&self, email: &str, password: &str) -> Result<Caller, Refusal> {
        self.login_from(email, password, "192.0.2.1").await
    }

    async fn login_from(&self, email: &str, password: &str, from: &str) -> Result<Caller, Refusal> {
        let presented = Presented::Password { email: email.to_owned(), password: Password::new(password) };
        let from: IpAddr = from.parse().unwrap();
        self.accounts.authenticate(&presented, Some(from), None).await.map(|found| found.caller)
    }

    async fn bearer(&self, key: &str, slot: Option<&Slot>) -> Result<Authenticated, Refusal> {
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        let along = slot.map(|slot| Along { slot, anew: false });
        self.accounts.authenticate(&Presented::Key(Secret::new(key)), Some(from), along).await
    }

    fn writes(&self) -> usize {
        self.store.writes.swap(0, Ordering::Relaxed)
    }

    fn reads(&self) -> usize {
        self.store.reads.swap(0, Ordering::Relaxed)
    }
}
