//! Whether the store is as far as it was. Refresh tokens in a store that was put back from a backup may have been used since,
//! and a provider that rotates takes the second use for theft: they are not sent until an operator says so.
//!
//! A server remembers on its own disk only what it saw a while ago, so that the last moments that a Redis may lose in a crash or
//! a failover are no backup. That much is told, and what this process had stored in it is written again (`refresh::pending`).

use super::Broker;
use crate::domain::LineId;
use crate::ports::Locked;
use crate::telemetry::metrics;
use crate::vault::{Epoch, Judgement, Reached, VaultError, judge};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What was seen so many looks ago is certain.
const CERTAIN_AFTER: u32 = 6;
/// The page that says how far the store was.
const PAGE: &str = "reached";

/// What this process knows of the store's epoch.
#[derive(Default)]
pub(super) struct Watch {
    /// It was compared, and may be believed.
    compared: AtomicBool,
    held: AtomicBool,
    seen: Locked<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Read from the disk, or written there last.
    certain: Option<Reached>,
    read: bool,
    /// What was seen since, and when in monotonic time.
    lately: VecDeque<(Duration, Reached)>,
}

impl Seen {
    /// What was found a look ago.
    fn last(&self) -> Option<&Reached> {
        self.lately.back().map(|(_, reached)| reached)
    }
}

impl Broker {
    /// True while no refresh that spends a refresh token may be sent: the settings say so, or the store was put back, or nobody
    /// has looked yet.
    pub(super) fn on_hold(&self) -> bool {
        let watch = &self.epoch;
        self.settings.hold || !watch.compared.load(Ordering::Acquire) || watch.held.load(Ordering::Acquire)
    }

    /// One look: compares, and counts on where nobody else did. A store that does not answer changes nothing.
    pub async fn watch_epoch(&self) {
        if let Err(error) = self.look_at_epoch().await {
            tracing::warn!(%error, "whether the store is as far as it was could not be looked at");
        }
        metrics::refresh_held(self.on_hold());
    }

    async fn look_at_epoch(&self) -> Result<(), VaultError> {
        self.recall().await;
        let epochs = self.vault.epoch();
        let mut found = epochs.read().await?;
        let has_tenants = found.is_some() || epochs.has_tenants().await?;
        let certain = self.epoch.seen.with(|seen| seen.certain.clone());
        let judgement = judge(certain.as_ref(), found.as_ref(), has_tenants);
        if found.is_none() {
            epochs.begin().await?;
            found = epochs.read().await?;
        }
        let Some(mut epoch) = found else { return Ok(()) };
        if let Some(because) = because(judgement, certain.as_ref(), &epoch)
            && epoch.held.is_none()
        {
            epochs.hold(&epoch, &because, &self.settings.instance).await?;
            // Whoever was first: it is held, or was resumed in this moment, which the next look will see.
            epoch = epochs.read().await?.unwrap_or(epoch);
        }
        self.obey(&epoch);
        let reached = Reached { line: epoch.line.clone(), count: epoch.count };
        let last = self.epoch.seen.with(|seen| seen.last().cloned());
        let lost = |last: &Reached| last.line == reached.line && reached.count < last.count;
        if judgement == Judgement::GoesOn && last.as_ref().is_some_and(lost) {
            // What was in those moments must not become certain.
            self.epoch.seen.with(|seen| seen.lately.clear());
            tracing::error!(
                seen = last.map(|last| last.count),
                found = reached.count,
                "the store lost its last moments, as a crash or a failover may cost them; what this server had written in them \
                 it writes again"
            );
            metrics::alarm(metrics::Alarm::StoreWentBack);
        } else if last.as_ref().is_none_or(|last| *last == reached) {
            epochs.tick(&epoch).await?;
        }
        if matches!(judgement, Judgement::GoesOn | Judgement::New | Judgement::Resumed) {
            // What was on another line before counts no more.
            self.remember(reached, judgement != Judgement::GoesOn).await;
        }
        self.epoch.compared.store(true, Ordering::Release);
        Ok(())
    }

    /// Holds what is held, and tells where that begins or ends.
    fn obey(&self, epoch: &Epoch) {
        let was = self.epoch.held.swap(epoch.held.is_some(), Ordering::AcqRel);
        match &epoch.held {
            Some(hold) if !was => tracing::error!(
                since = %hold.since,
                because = hold.because,
                by = %hold.by,
                "refreshes at providers that rotate refresh tokens are held. Was a backup put back? See \
                 docs/runbooks/backup-and-restore.md; `grantkeep tenants resume` ends it"
            ),
            None if was => tracing::warn!("refreshes are no longer held: an operator resumed them"),
            _ => {}
        }
    }

    /// Reads what an earlier process of this server was certain of.
    async fn recall(&self) {
        if self.epoch.seen.with(|seen| seen.read) {
            return;
        }
        let pages = match self.ports.memory.pages().await {
            Ok(pages) => pages,
            Err(error) => {
                tracing::error!(%error, "how far the store had been cannot be read");
                return;
            }
        };
        let page = pages.into_iter().find(|(name, _)| name == PAGE).map(|(_, page)| page);
        let certain = page.as_deref().and_then(Reached::read);
        if page.is_some() && certain.is_none() {
            tracing::error!(
                "the page that says how far the store had been cannot be understood, and is written anew"
            );
        }
        self.epoch.seen.with(|seen| (seen.certain, seen.read) = (certain, true));
    }

    /// Remembers what was found; what was found long enough ago goes to the disk, and what an operator resumed at once.
    async fn remember(&self, reached: Reached, at_once: bool) {
        let now = self.ports.clock.monotonic();
        let age = self.settings.epoch * CERTAIN_AFTER;
        let certain = self.epoch.seen.with(|seen| {
            if at_once {
                seen.lately.clear();
                seen.certain = Some(reached.clone());
            }
            seen.lately.push_back((now, reached));
            let mut old = None;
            while seen.lately.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= age) {
                old = seen.lately.pop_front().map(|(_, reached)| reached);
            }
            let newer = old.filter(|old| seen.certain.as_ref() != Some(old));
            if newer.is_some() {
                seen.certain.clone_from(&newer);
            }
            newer.or_else(|| seen.certain.clone().filter(|_| at_once))
        });
        let Some(certain) = certain else { return };
        if let Err(error) = self.ports.memory.keep(PAGE, &certain.page()).await {
            tracing::error!(%error, "how far the store is could not be written down: a backup put back would not be known");
        }
    }
}

/// Why refreshes have to wait, where they have to.
fn because(judgement: Judgement, certain: Option<&Reached>, found: &Epoch) -> Option<String> {
    let (had, line) = certain.map(|certain| (certain.count, certain.line.clone()))?;
    let name = |line: &LineId| line.to_string();
    match judgement {
        Judgement::Older => Some(format!(
            "the store had been at {had} and is at {}: it was put back to an earlier time",
            found.count
        )),
        Judgement::Another => Some(format!(
            "the store is on line {}, and had been on {}: it is another one, or was put back to before refreshes were last resumed",
            name(&found.line),
            name(&line)
        )),
        Judgement::Lineless => Some(format!(
            "the store had been on line {} and was on none: it was put back to before it had one",
            name(&line)
        )),
        Judgement::GoesOn | Judgement::Resumed | Judgement::New => None,
    }
}
