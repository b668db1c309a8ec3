//! Sends mails behind the caller's back, and until they are gone: how long the mail server takes, and whether it accepts an
//! address, must not be seen in an answer, and a mail server that is down must not lose a sign-up.
//!
//! A mail is in the queue of the vault before the caller is answered, is sent at once, and comes due again where that failed.
//! The ticket of a link is made right before its mail is sent and kept only as a hash, so no secret rests in the queue
//! (docs/adr/0016). A mail that may have arrived keeps its link: of two mails both links are good.

use super::MailSettings;
use super::letters::{self, Link};
use crate::domain::{Ticket, Timestamp};
use crate::ports::{Chance, ChanceExt, Clock, Mail, MailError, Mailer, Tasks};
use crate::telemetry::metrics;
use crate::vault::{Letter, MailDraft, QueuedMail, Vault, VaultError, WaitingMail};
use futures_util::{FutureExt, StreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// Mails on their way at once, straight from a request. Further ones wait in the queue until they come due.
const UNDER_WAY: usize = 256;
/// Mails on their way at once that came due: a mail server that was down must not be met by all of them together.
const DUE_AT_ONCE: usize = 8;
/// An attempt belongs to its server for so many times as long as it may take.
const LEASES: u32 = 2;

/// Sends mails.
pub(super) struct Postman {
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) mailer: Arc<dyn Mailer>,
    pub(super) tasks: Tasks,
    pub(super) public_url: Url,
    pub(super) settings: MailSettings,
    pub(super) sign_up_life: Duration,
    pub(super) reset_life: Duration,
    pub(super) under_way: Arc<Semaphore>,
}

/// A mail, put together.
struct Ready {
    mail: Mail,
    /// What was kept for its link.
    minted: Option<Minted>,
}

/// A ticket whose record is in the store.
enum Minted {
    SignUp(Ticket),
    Reset(Ticket),
}

/// What became of a try.
enum Tried {
    /// The next mail may be tried.
    GoOn,
    /// Nothing goes out before the operator has mended something.
    Blocked,
}

impl Postman {
    /// Places for mails straight from a request.
    pub fn places() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(UNDER_WAY))
    }

    /// Keeps a mail, starts it on its way, and does not wait for that.
    pub async fn post(self: &Arc<Self>, draft: MailDraft) -> Result<(), VaultError> {
        let queued = self.vault.mails().put(draft, self.lease()).await?;
        let Ok(place) = Arc::clone(&self.under_way).try_acquire_owned() else {
            tracing::warn!("{UNDER_WAY} mails are on their way: further ones wait in the queue");
            return Ok(());
        };
        let postman = Arc::clone(self);
        self.tasks.start(async move {
            postman.try_once(queued).await;
            drop(place);
        });
        Ok(())
    }

    /// The same work before the answer as [`Self::post`], for a mail that nobody is to get.
    pub async fn pretend(&self, draft: MailDraft) -> Result<(), VaultError> {
        self.vault.mails().pretend(draft, self.lease()).await
    }

    /// Sends what has come due, oldest first; to be asked again and again.
    pub async fn send_due(&self) {
        let due = match self.due().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the queue of mails could not be read");
                return;
            }
        };
        let blocked = AtomicBool::new(false);
        stream::iter(due).for_each_concurrent(DUE_AT_ONCE, |waiting| self.take_up(waiting, &blocked)).await;
    }

    async fn take_up(&self, waiting: WaitingMail, blocked: &AtomicBool) {
        if self.tasks.stopping().now_or_never().is_some() || blocked.load(Ordering::Relaxed) {
            return;
        }
        match self.vault.mails().claim(&waiting, self.lease()).await {
            Ok(Some(mail)) => {
                if let Tried::Blocked = self.try_once(mail).await {
                    blocked.store(true, Ordering::Relaxed);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a mail in the queue could not be taken"),
        }
    }

    /// What is due, and how much waits in all, for the metrics.
    async fn due(&self) -> Result<Vec<WaitingMail>, VaultError> {
        let (mails, now) = (self.vault.mails(), self.clock.now());
        let mut waiting = Vec::new();
        for shard in mails.shards() {
            waiting.extend(mails.waiting(shard).await?);
        }
        let oldest = waiting.iter().map(|mail| now.since(mail.asked)).max();
        metrics::mails_waiting(waiting.len(), oldest.unwrap_or_default());
        waiting.retain(|mail| mail.due <= now);
        waiting.sort_by_key(|mail| mail.due);
        Ok(waiting)
    }

    fn lease(&self) -> Duration {
        self.settings.timeout * LEASES
    }

    /// One try with a mail that is ours for now. Whatever ends it in the middle, the mail comes due again.
    async fn try_once(&self, mail: QueuedMail) -> Tried {
        if self.clock.now() >= mail.give_up_at {
            tracing::error!(tries = mail.tries, "a mail was given up: it could not be handed over in time");
            metrics::mail("given_up");
            self.out(&mail).await;
            return Tried::GoOn;
        }
        let ready = match self.prepare(&mail).await {
            Ok(Some(ready)) => ready,
            Ok(None) => {
                self.out(&mail).await;
                return Tried::GoOn;
            }
            Err(error) => {
                tracing::warn!(%error, "a mail could not be put together and will be tried again");
                return Tried::GoOn;
            }
        };
        // Sent only where the try ends before the lease does: another server may have the mail by then.
        let spent = self.clock.monotonic().saturating_sub(mail.leased_at);
        if spent + self.settings.timeout > self.lease() {
            tracing::warn!("a mail came too late to its turn and will be tried again");
            return Tried::GoOn;
        }
        match self.mailer.send(&ready.mail).await {
            Ok(()) => {
                metrics::mail("sent");
                self.out(&mail).await;
                Tried::GoOn
            }
            Err(error) => self.failed(mail, &ready, error).await,
        }
    }

    async fn failed(&self, mail: QueuedMail, ready: &Ready, error: MailError) -> Tried {
        if !matches!(error, MailError::Unknown(_)) {
            self.forget(ready.minted.as_ref()).await;
        }
        let outcome = match &error {
            MailError::Permanent(_) => {
                tracing::error!(%error, "a mail did not go out");
                metrics::mail("permanent");
                self.out(&mail).await;
                return Tried::GoOn;
            }
            MailError::Setup(_) => {
                tracing::error!(%error, "no mail goes out until this is mended; mails wait in the queue");
                "setup"
            }
            MailError::Temporary(_) => "temporary",
            MailError::Unknown(_) => "unknown",
        };
        metrics::mail(outcome);
        let pause = self.pause(mail.tries);
        tracing::warn!(%error, tries = mail.tries + 1, "a mail will be tried again");
        if let Err(error) = self.vault.mails().postpone(mail, pause).await {
            tracing::warn!(%error, "a mail was not postponed; it is tried again when its lease is over");
        }
        if outcome == "setup" { Tried::Blocked } else { Tried::GoOn }
    }

    /// Twice as long with each try that failed, and drawn from between half of it and all of it, so that mails that failed
    /// together do not come back together.
    fn pause(&self, tries: u32) -> Duration {
        let doubled = self.settings.backoff_min.saturating_mul(2_u32.saturating_pow(tries.min(20)));
        let whole = doubled.min(self.settings.backoff_max);
        let dice = u32::from(self.chance.bytes::<1>()[0]);
        whole / 2 + whole / 512 * dice
    }

    async fn out(&self, mail: &QueuedMail) {
        if let Err(error) = self.vault.mails().done(mail).await {
            tracing::warn!(%error, "a mail that is done with stays in the queue and will come up again");
        }
    }

    /// Puts a mail together, with a fresh link whose hash is in the store. None where there is nobody to write to.
    async fn prepare(&self, mail: &QueuedMail) -> Result<Option<Ready>, VaultError> {
        match &mail.letter {
            Letter::Verification(sign_up) => {
                let token = self.chance.ticket();
                self.vault.sign_ups().keep(&token, sign_up, self.sign_up_life).await?;
                let link = self.link("/verify-email", &token, self.sign_up_life);
                let text = letters::verification(&mail.to, &sign_up.product, mail.asked_at, &link);
                Ok(Some(Ready { mail: text, minted: Some(Minted::SignUp(token)) }))
            }
            Letter::PasswordForgotten { from } => {
                let token = self.chance.ticket();
                let found = self.keep_reset(&token, mail, *from).await?;
                let link = self.link("/reset-password", &token, self.reset_life);
                let text = letters::reset(&mail.to, mail.asked_at, &link);
                Ok(found.then_some(Ready { mail: text, minted: Some(Minted::Reset(token)) }))
            }
            Letter::PasswordChanged => {
                Ok(Some(Ready { mail: letters::changed(&mail.to, mail.asked_at), minted: None }))
            }
        }
    }

    fn link(&self, path: &str, token: &Ticket, life: Duration) -> Link {
        let until: Timestamp = self.clock.now().plus(life);
        Link::new(&self.public_url, path, token, until)
    }

    /// A mail that was certainly not accepted leaves no link behind.
    async fn forget(&self, minted: Option<&Minted>) {
        let forgotten = match minted {
            Some(Minted::SignUp(token)) => self.vault.sign_ups().forget(token).await,
            Some(Minted::Reset(token)) => self.vault.password_resets().forget(token).await,
            None => Ok(()),
        };
        if let Err(error) = forgotten {
            tracing::debug!(%error, "a link that nobody was sent stays until it expires");
        }
    }
}
