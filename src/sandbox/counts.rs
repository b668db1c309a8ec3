//! What the sandbox was asked and did. Names no token.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sums since the start or the last reset. A request counts also where a fault kept it from having an effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Codes brought to `/token`.
    pub exchange_requests: u64,
    /// Codes that became tokens.
    pub exchanges: u64,
    /// Refresh tokens brought to `/token`.
    pub refresh_requests: u64,
    /// Refreshes that gave tokens, also where the answer was lost.
    pub refreshes: u64,
    /// Refresh requests under way at once, at most; one is under way until its answer is made, so that only a
    /// [`Fault::Delay`](super::Fault::Delay) makes it long enough to meet another.
    pub peak_refreshes: u64,
    /// Codes and refresh tokens used again that should not have been; each ended a family.
    pub reuses: u64,
    /// Requests to `/revoke`.
    pub revoke_requests: u64,
    /// Tokens and families ended by them.
    pub revocations: u64,
    /// Requests to `/me`.
    pub me_requests: u64,
    /// By family, numbered in order of birth from 1.
    pub families: BTreeMap<u64, FamilyCounts>,
}

/// What happened to one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCounts {
    /// The name the person signed in with.
    pub user: String,
    /// Who it was issued to.
    pub client_id: String,
    /// False once revoked, or ended by a reuse.
    pub alive: bool,
    /// As [`Counts::refresh_requests`].
    pub refresh_requests: u64,
    /// As [`Counts::refreshes`].
    pub refreshes: u64,
    /// The most often one and the same refresh token was brought: above 1 a rotating provider was asked twice.
    pub most_requests_of_one_token: u64,
    /// As [`Counts::peak_refreshes`].
    pub peak_refreshes: u64,
    /// As [`Counts::reuses`].
    pub reuses: u64,
}

/// How many are under way, and how many were at most.
#[derive(Default)]
pub(super) struct Gauge {
    now: u64,
    pub(super) peak: u64,
}

impl Gauge {
    pub(super) fn rise(&mut self) {
        self.now += 1;
        self.peak = self.peak.max(self.now);
    }

    pub(super) fn fall(&mut self) {
        self.now = self.now.saturating_sub(1);
    }

    pub(super) fn reset(&mut self) {
        self.peak = self.now;
    }
}
