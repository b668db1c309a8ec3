//! The other side of the sandbox: faults, behaviour and counts, switched while it runs.

use super::authorize::Visits;
use super::clients::Clients;
use super::counts::Counts;
use super::fault::{Endpoint, Grant, Rule, Rules, Strike};
use super::grants::{Grants, Moment};
use super::server::Site;
use super::{Behaviour, Client};
use crate::ports::{Chance, Clock};
use actix_web::{HttpResponse, web};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Switches faults, changes behaviour, reads counts.
///
/// Over HTTP, where the options open it: `POST /control` adds a [`Rule`], `PUT /control` sets the [`Behaviour`],
/// `GET /control` gives the [`Counts`], `DELETE /control` is [`Self::reset`]; bodies are JSON.
pub struct Control {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

/// All that changes while the sandbox runs.
pub(super) struct State {
    behaviour: Behaviour,
    rules: Rules,
    pub(super) clients: Clients,
    pub(super) grants: Grants,
    pub(super) visits: Visits,
}

impl Control {
    pub(super) fn new(
        behaviour: Behaviour,
        clients: Clients,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Self {
        let (rules, grants, visits) = (Rules::default(), Grants::default(), Visits::default());
        Self { state: Mutex::new(State { behaviour, rules, clients, grants, visits }), clock, chance }
    }

    /// Adds a fault. False, and no fault, when a thousand wait already.
    pub fn fault(&self, rule: Rule) -> bool {
        self.lock().rules.add(rule)
    }

    /// Treats tokens in this way from now on; those that exist keep their expiry.
    pub fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// How tokens are treated now.
    pub fn behaviour(&self) -> Behaviour {
        self.lock().behaviour
    }

    /// Makes a client known, or gives a known one another secret: the old one is refused from then on.
    pub fn register(&self, client: &Client) {
        self.lock().clients.register(client);
    }

    /// What was asked and done so far.
    pub fn counts(&self) -> Counts {
        self.lock().grants.counts()
    }

    /// Clears all faults and counts from zero; grants and behaviour stay.
    pub fn reset(&self) {
        let mut state = self.lock();
        state.rules = Rules::default();
        state.grants.reset_counts();
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State, &Moment) -> T) -> T {
        let mut state = self.lock();
        let moment =
            Moment { now: self.clock.now(), behaviour: state.behaviour, chance: self.chance.as_ref() };
        work(&mut state, &moment)
    }

    pub(super) fn strike(&self, endpoint: Endpoint, grant: Option<Grant>) -> Strike {
        self.lock().rules.strike(endpoint, grant)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything in it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where `/control` leads.
pub(super) fn routes() -> actix_web::Resource {
    web::resource("/control")
        .route(web::get().to(async |site: web::Data<Site>| HttpResponse::Ok().json(site.control.counts())))
        .route(web::post().to(add))
        .route(web::put().to(async |site: web::Data<Site>, wanted: web::Json<Behaviour>| {
            site.control.behave(wanted.into_inner());
            HttpResponse::NoContent().finish()
        }))
        .route(web::delete().to(async |site: web::Data<Site>| {
            site.control.reset();
            HttpResponse::NoContent().finish()
        }))
}

async fn add(site: web::Data<Site>, rule: web::Json<Rule>) -> HttpResponse {
    if site.control.fault(rule.into_inner()) {
        return HttpResponse::NoContent().finish();
    }
    HttpResponse::TooManyRequests().body("too many faults wait already: DELETE /control clears them\n")
}
