//! What an attempt works with: what was read and opened before its claim, and what becomes of it with an answer.

use super::{Ask, Target};
use crate::broker::client::Client;
use crate::catalog::{Provider, RefreshWith, Rotation, Values};
use crate::domain::{Secret, Timestamp};
use crate::vault::{Attempt, Connection, Fresh, HeldKeys, MoreToken, Plan, Tokens};
use crate::wire::TokenSet;
use std::sync::Arc;
use std::time::Duration;

/// What a request needs, read and opened before the claim, so that nothing but the request lies between claim and answer.
pub(super) struct Ready {
    pub provider: Arc<Provider>,
    pub client: Client,
    pub tokens: Tokens,
    /// What will seal the new ones, so that it needs no store.
    pub keys: HeldKeys,
    pub values: Values,
}

/// A claim under which a request may be sent.
pub(super) struct Claimed<'a> {
    pub ask: &'a Ask,
    pub read: Connection,
    pub attempt: Attempt,
    pub ready: Ready,
    /// Monotonic time from before the claim was made.
    pub at: Duration,
}

impl Claimed<'_> {
    /// What is sent.
    pub fn token(&self) -> Option<Secret> {
        let tokens = &self.ready.tokens;
        match (&self.ask.target, self.ready.provider.refresh.send) {
            (Target::Main, RefreshWith::AccessToken) => Some(Secret::new(tokens.access.expose())),
            (Target::Main, RefreshWith::RefreshToken) => {
                tokens.refresh.as_ref().map(|token| Secret::new(token.expose()))
            }
            (Target::More(name), _) => {
                let further = tokens.more.get(name)?;
                further.refresh.as_ref().map(|token| Secret::new(token.expose()))
            }
        }
    }

    /// Now, where somebody asked for it.
    fn used_at(&self) -> Option<Timestamp> {
        (!self.ask.ahead).then_some(self.attempt.started)
    }

    /// The next generation. What is to come is reckoned by whoever stores it.
    pub fn fresh(&self, set: TokenSet, issued_at: Timestamp) -> Fresh {
        let lifetime = set.expires_in.or(self.ready.provider.refresh.assumed_lifetime);
        let expires_at = lifetime.map(|span| issued_at.plus(span));
        let mut tokens = self.ready.tokens.clone();
        if let Target::More(name) = &self.ask.target {
            let kept = tokens.more.remove(name).and_then(|token| token.refresh);
            let refresh = set.refresh_token.or(kept);
            let token = MoreToken { access: set.access_token, refresh, expires_at };
            tokens.more.insert(name.clone(), token);
            return Fresh {
                tokens,
                token_type: self.read.token_type.clone(),
                issued_at: self.read.issued_at,
                expires_at: self.read.expires_at,
                refresh_expires_at: None,
                scopes: None,
                metadata: Values::new(),
                used_at: self.used_at(),
                plan: self.read.plan,
            };
        }
        tokens.access = set.access_token;
        tokens.previous = None;
        if let Some(new) = set.refresh_token {
            let old = tokens.refresh.replace(new);
            if self.ready.provider.refresh.rotation == Rotation::Grace {
                // Counted from when it was first sent: the provider may have rotated at any moment after that.
                let since = self.read.trouble.unknown_since.unwrap_or(self.attempt.started);
                let until = since.plus(self.ready.provider.refresh.grace);
                tokens.previous = old.map(|old| (old, until));
            }
        }
        for (name, further) in set.more {
            let expires_at = further.expires_in.map(|span| issued_at.plus(span));
            let kept = tokens.more.remove(&name).and_then(|token| token.refresh);
            let refresh = further.refresh_token.or(kept);
            tokens.more.insert(name, MoreToken { access: further.access_token, refresh, expires_at });
        }
        Fresh {
            tokens,
            token_type: set.token_type,
            issued_at,
            expires_at,
            refresh_expires_at: set.refresh_expires_in.map(|span| issued_at.plus(span)),
            scopes: set.scopes,
            metadata: set.metadata,
            used_at: self.used_at(),
            plan: Plan::default(),
        }
    }
}
