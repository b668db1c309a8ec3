//! Admission: how often somebody may come, and how many are answered at once.
//!
//! Rates of network addresses, of keys (or members) and of tenants, each server for itself; and the places in which requests
//! are answered, shared so that one tenant leaves room for the others. Nothing here knows of HTTP or of the store.

mod limiter;
mod places;

pub use limiter::{Limiter, Taken, take_one};
pub use places::{Place, Places};

use crate::domain::{Rate, Refusal, TenantId, Who};
use crate::ports::Clock;
use crate::telemetry::metrics;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// What an operator may set.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmissionSettings {
    /// Requests from one network address (of IPv6, one /64).
    pub per_address: Option<Rate>,
    /// Requests with one API key, or with one member's password.
    pub per_key: Option<Rate>,
    /// Requests of one tenant.
    pub per_tenant: Option<Rate>,
    /// Requests that are answered at once; zero is any number.
    pub at_once: usize,
}

/// How somebody stands with one of the rates.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Which: `address`, `key` or `tenant`.
    pub limit: &'static str,
    /// What it allows.
    pub rate: Rate,
    /// What is left of it.
    pub taken: Taken,
}

impl Standing {
    /// A refusal where nothing was left.
    pub fn admits(&self) -> Result<(), Refusal> {
        self.taken.or_wait().map_err(|retry_after| {
            metrics::not_admitted(self.limit);
            Refusal::RateLimited { retry_after }
        })
    }
}

/// One rate, for each of many.
struct Meter {
    limit: &'static str,
    limiter: Limiter<u64>,
}

impl Meter {
    fn new(limit: &'static str, rate: Option<Rate>) -> Option<Self> {
        rate.map(|rate| Self { limit, limiter: Limiter::new(rate) })
    }

    fn take(&self, who: u64, now: Duration) -> Standing {
        let taken = self.limiter.take(&who, now);
        Standing { limit: self.limit, rate: self.limiter.rate(), taken }
    }
}

/// Lets requests in, or not.
pub struct Admission {
    addresses: Option<Meter>,
    keys: Option<Meter>,
    tenants: Option<Meter>,
    places: Option<Arc<Places>>,
    /// Names are kept as hashes under a key of this process: nothing that came rests in memory, and nobody can choose two that
    /// fall together.
    hashes: RandomState,
    clock: Arc<dyn Clock>,
}

impl Admission {
    /// Nobody has come yet.
    pub fn new(settings: &AdmissionSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            addresses: Meter::new("address", settings.per_address),
            keys: Meter::new("key", settings.per_key),
            tenants: Meter::new("tenant", settings.per_tenant),
            places: (settings.at_once > 0).then(|| Arc::new(Places::new(settings.at_once))),
            hashes: RandomState::new(),
            clock,
        }
    }

    /// True where requests are counted by address: else nobody need find it out.
    pub fn counts_addresses(&self) -> bool {
        self.addresses.is_some()
    }

    /// Takes a place; none where there is no end of them. Refuses with [`Refusal::Overloaded`] where all are taken.
    pub fn enter(&self) -> Result<Option<Place>, Refusal> {
        self.places.as_ref().map(Places::enter).transpose().map_err(|_| overloaded("places"))
    }

    /// Counts a place as a tenant's. Refuses with [`Refusal::Overloaded`] where the tenant holds its share already.
    pub fn share(&self, place: &mut Place, tenant: &TenantId) -> Result<(), Refusal> {
        place.count_for(self.hashes.hash_one(tenant)).map_err(|_| overloaded("share"))
    }

    /// One more request from an address; none where addresses are not counted.
    pub fn from_address(&self, address: IpAddr) -> Option<Standing> {
        self.take(self.addresses.as_ref(), network(address))
    }

    /// One more request with a credential that was found good.
    pub fn with_key(&self, tenant: &TenantId, who: &Who) -> Option<Standing> {
        self.take(self.keys.as_ref(), (tenant, who))
    }

    /// One more request of a tenant.
    pub fn of_tenant(&self, tenant: &TenantId) -> Option<Standing> {
        self.take(self.tenants.as_ref(), tenant)
    }

    fn take(&self, meter: Option<&Meter>, who: impl Hash) -> Option<Standing> {
        meter.map(|meter| meter.take(self.hashes.hash_one(who), self.clock.monotonic()))
    }
}

fn overloaded(limit: &'static str) -> Refusal {
    metrics::not_admitted(limit);
    Refusal::Overloaded { retry_after: Duration::from_secs(1) }
}

/// The network of an address: of IPv6 the /64 it lies in, since whoever has one address there has all of them.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => (v6 & Ipv6Addr::from_bits(!u128::from(u64::MAX))).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}
