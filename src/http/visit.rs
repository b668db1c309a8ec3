//! What one request has come to at admission: its place, and how it stands with the rates, told in every answer (IETF draft
//! "RateLimit header fields for HTTP", draft-ietf-httpapi-ratelimit-headers-10).

use super::State;
use crate::accounts::Caller;
use crate::admission::{Place, Standing};
use crate::domain::Refusal;
use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use std::cell::RefCell;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// One request, from when its body was read until it is answered.
#[derive(Default)]
pub(super) struct Visit {
    place: RefCell<Option<Place>>,
    standings: RefCell<Vec<Standing>>,
}

impl Visit {
    /// Takes a place, and counts one more request from that address.
    pub(super) fn enter(&self, state: &State, from: impl FnOnce() -> Option<IpAddr>) -> Result<(), Refusal> {
        if state.admission.counts_addresses()
            && let Some(address) = from()
        {
            self.stands(state.admission.from_address(address))?;
        }
        *self.place.borrow_mut() = state.admission.enter()?;
        Ok(())
    }

    /// It is known who calls: counts one more request of theirs, and their place as their tenant's.
    pub(super) fn is_of(&self, state: &State, caller: &Caller) -> Result<(), Refusal> {
        let (admission, tenant) = (&state.admission, caller.authority().tenant());
        self.stands(admission.with_key(tenant, caller.who()))?;
        self.stands(admission.of_tenant(tenant))?;
        match &mut *self.place.borrow_mut() {
            Some(place) => admission.share(place, tenant),
            None => Ok(()),
        }
    }

    fn stands(&self, standing: Option<Standing>) -> Result<(), Refusal> {
        let Some(standing) = standing else { return Ok(()) };
        self.standings.borrow_mut().push(standing);
        standing.admits()
    }

    /// Adds what is left of each rate to the answer. Where one refused, `t` is the time that `Retry-After` says.
    pub(super) fn tell(&self, response: &mut HttpResponse) {
        let standings = self.standings.borrow();
        if standings.is_empty() {
            return;
        }
        let (mut policies, mut limits) = (String::new(), String::new());
        for Standing { limit, rate, taken } in standings.iter() {
            let comma = if policies.is_empty() { "" } else { ", " };
            let (count, window) = (rate.count, rate.per.as_secs());
            let (left, until) = (taken.left, seconds(taken.wait.unwrap_or(taken.full_in)));
            // Writing into a string does not fail.
            let _ = write!(policies, "{comma}\"{limit}\";q={count};w={window}");
            let _ = write!(limits, "{comma}\"{limit}\";r={left};t={until}");
        }
        for (name, value) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
