//! The fleet of a case: workers that start, die and are asked, and what their answers must be.

use super::base::catalog;
use super::plan::{Act, Plan, WORKERS};
use super::provider::{Manner, Provider};
use super::world::{Base, Dice, Disk, Life, Lot, ModelClock, WayToDisk, WayToProvider, WayToStore, vault};
use crate::support::maps::MapStore;
use grantkeep::adapters::watched::{StoreClock, Watched};
use grantkeep::broker::{AheadSettings, Broker, BrokerPorts, BrokerSettings, Handout, HostSettings, Wish};
use grantkeep::domain::{HandoutRecords, Id, InstanceId, ReauthorizationReason, Refusal, Timestamp};
use grantkeep::ports::{Clock, Outages, Tasks};
use grantkeep::vault::{AuditOptions, Vault};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A process that has started.
#[derive(Clone)]
pub struct Running {
    pub broker: Arc<Broker>,
    pub vault: Arc<Vault>,
    tasks: Tasks,
    life: Life,
}

#[derive(Default)]
struct Worker {
    disk: (Disk, Disk),
    lot: Arc<Lot>,
    clock: Option<Arc<ModelClock>>,
    /// Its process, from when it begins to start.
    life: Mutex<Option<Life>>,
    running: Mutex<Option<Running>>,
}

/// Everything that a case plays with.
pub struct Fleet {
    base: &'static Base,
    manner: Manner,
    careless: bool,
    seed: u64,
    pub clock: Arc<ModelClock>,
    pub store: Arc<MapStore>,
    pub provider: Arc<Provider>,
    workers: Vec<Worker>,
    /// Questions that were asked of a process that lived on, and those of them that were answered.
    pub asked: AtomicUsize,
    pub answered: AtomicUsize,
    /// Somebody has begun to replace the grant; and the number of the newest one of which that was said to be done.
    replacing: AtomicBool,
    replaced: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Fleet {
    /// Nothing runs yet.
    pub fn new(base: &'static Base, manner: Manner, plan: &Plan, careless: bool) -> Arc<Self> {
        let clock = ModelClock::new();
        let store = Arc::new(MapStore::new(base.maps.clone(), clock.clone()));
        let provider = Arc::new(Provider::new(manner, Arc::clone(&clock)));
        let worker = |number: usize| {
            let mut lot = Lot::default();
            lot.steps.extend(plan.steps.iter().filter(|s| s.0 == number).map(|(_, n, fate)| (*n, *fate)));
            lot.errands
                .extend(plan.errands.iter().filter(|e| e.0 == number).map(|(_, n, errand)| (*n, *errand)));
            let clock = Some(ModelClock::ahead(plan.clocks[number]));
            Worker { lot: Arc::new(lot), clock, ..Worker::default() }
        };
        let workers = (0..WORKERS).map(worker).collect();
        let (asked, answered, replacing, replaced, wrong) = Default::default();
        Arc::new(Self {
            base,
            manner,
            careless,
            seed: plan.seed,
            clock,
            store,
            provider,
            workers,
            asked,
            answered,
            replacing,
            replaced,
            wrong,
        })
    }

    /// From now on things befall the workers, or no longer.
    pub fn stormy(&self, yes: bool) {
        self.workers.iter().for_each(|worker| worker.lot.stormy.store(yes, Ordering::SeqCst));
    }

    fn running(&self, number: usize) -> Option<Running> {
        let running = self.workers[number].running.lock().unwrap().clone();
        running.filter(|running| !running.life.dead.is_cancelled())
    }

    /// Starts a worker where it is not there; it runs when it has looked at what its last process left.
    pub fn start(self: &Arc<Self>, number: usize) {
        let worker = &self.workers[number];
        let mut life = worker.life.lock().unwrap();
        if life.as_ref().is_some_and(|life| !life.dead.is_cancelled()) {
            return;
        }
        let new = Life { lot: Arc::clone(&worker.lot), dead: CancellationToken::new() };
        *life = Some(new.clone());
        let fleet = Arc::clone(self);
        tokio::spawn(async move {
            let running = fleet.process(number, new);
            // A store that does not answer keeps it from starting; whoever looks after it tries again.
            while running.vault.ping().await.is_err() {}
            running.broker.watch_epoch().await;
            running.broker.take_up_spilled().await;
            *fleet.workers[number].running.lock().unwrap() = Some(running.clone());
            looks_by_itself(running).await;
        });
    }

    fn process(&self, number: usize, life: Life) -> Running {
        let worker = &self.workers[number];
        let own: Arc<dyn Clock> = worker.clock.clone().unwrap();
        let outages = Arc::new(Outages::new(Arc::clone(&own)));
        let heard = Arc::new(StoreClock::new(own));
        let way = WayToStore { store: Arc::clone(&self.store), life: life.clone(), careless: self.careless };
        let store = Watched::new(Arc::new(way), Arc::clone(&outages), Some(Arc::clone(&heard)));
        let vault = Arc::new(vault(Arc::new(store), heard.clone()));
        let tasks = Tasks::new(Handle::current());
        let instance = InstanceId::parse(&format!("{number:0>width$}", width = InstanceId::LENGTH)).unwrap();
        vault.write_audit(AuditOptions { instance: instance.clone(), retention: None }, &tasks);
        let way = WayToProvider {
            provider: Arc::clone(&self.provider),
            clock: Arc::clone(&self.clock),
            life: life.clone(),
        };
        let disk = |disk: &Disk| Arc::new(WayToDisk { disk: disk.clone(), life: life.clone() });
        let ports = BrokerPorts {
            clock: heard,
            chance: Dice::new(self.seed ^ u64::try_from(number).unwrap()),
            upstream: Arc::new(way),
            outages,
            spill: disk(&worker.disk.0),
            memory: disk(&worker.disk.1),
            tasks: tasks.clone(),
        };
        let broker = Broker::new(Arc::clone(&vault), catalog(self.manner), ports, settings(instance));
        Running { broker: Arc::new(broker), vault, tasks, life }
    }

    /// Does something with a worker, and does not wait for what comes of it.
    pub fn act(self: &Arc<Self>, number: usize, act: Act) {
        if matches!(act, Act::Start) {
            return self.start(number);
        }
        if matches!(act, Act::Kill) {
            // Also one that is only about to run.
            let life = self.workers[number].life.lock().unwrap();
            return life.iter().for_each(|life| life.dead.cancel());
        }
        let Some(running) = self.running(number) else { return };
        let fleet = Arc::clone(self);
        tokio::spawn(async move {
            match act {
                Act::Ask => fleet.ask(&running, false).await,
                Act::Force => fleet.ask(&running, true).await,
                Act::Round => running.broker.refresh_what_is_due(Duration::from_secs(10)).await,
                Act::Replace => fleet.replace(&running).await,
                Act::Stop => {
                    running.tasks.drain(Duration::from_secs(20)).await;
                    running.life.dead.cancel();
                }
                Act::Kill | Act::Start => {}
            }
        });
    }

    /// Puts a new grant in the place of the one that is there. Where the worker dies in the middle there may be none.
    async fn replace(&self, running: &Running) {
        self.replacing.store(true, Ordering::SeqCst);
        let connections = running.vault.connections(&self.base.by);
        if let Ok(Some(found)) = connections.find(&Base::slot()).await
            && running.broker.delete_connection(&self.base.by, &found.id).await.is_err()
        {
            return;
        }
        let (grant, access, refresh) = self.provider.connect();
        if self.base.import(&running.broker, access, refresh).await.is_ok() {
            self.replaced.fetch_max(grant, Ordering::SeqCst);
        }
    }

    async fn ask(&self, running: &Running, force: bool) {
        let (asked_at, at_least) = (self.clock.now(), self.replaced.load(Ordering::SeqCst));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let wish = Wish { force_refresh: force, ..Wish::default() };
        let slot = Base::slot();
        let answer = running.broker.access_token(&self.base.by, &slot, wish, None);
        let answer = tokio::select! {
            answer = answer => Some(answer),
            () = running.life.dead.cancelled() => None,
        };
        self.answered.fetch_add(1, Ordering::SeqCst);
        if let Some(fault) = answer.and_then(|answer| self.fault(answer, asked_at, at_least)) {
            self.wrong.lock().unwrap().push(format!("at {:?}: {fault}", self.clock.monotonic()));
        }
    }

    /// What is wrong with an answer.
    fn fault(
        &self,
        answer: Result<Handout, Refusal>,
        asked_at: Timestamp,
        at_least: usize,
    ) -> Option<String> {
        match answer {
            Ok(handout) => match self.provider.knows(handout.access_token.expose()) {
                None => Some("a token that was never given".to_owned()),
                Some((end, _)) if end <= asked_at => {
                    Some(format!("a token that ended at {end}, asked at {asked_at}"))
                }
                Some((_, grant)) if grant < at_least => {
                    Some(format!("a token of grant {grant}, not {at_least}"))
                }
                Some(_) => None,
            },
            Err(Refusal::ConnectionNotFound) if self.replacing.load(Ordering::SeqCst) => None,
            Err(
                Refusal::ProviderUnavailable { .. }
                | Refusal::StoreUnavailable { .. }
                | Refusal::RefreshHeld { .. },
            ) => None,
            Err(Refusal::ReauthorizationRequired {
                reason: ReauthorizationReason::RefreshOutcomeUnknown,
                ..
            }) if self.manner.spends() => None,
            Err(refusal) => Some(format!("{refusal:?}")),
        }
    }

    /// True where the connection may be gone.
    pub fn was_replaced(&self) -> bool {
        self.replacing.load(Ordering::SeqCst)
    }

    /// A worker that runs; to be asked when nothing befalls any more.
    pub fn any(&self) -> Running {
        (0..WORKERS).find_map(|number| self.running(number)).expect("a worker that runs")
    }

    /// Outcomes that lie on disks.
    pub fn spilled(&self) -> usize {
        self.workers.iter().map(|worker| worker.disk.0.len()).sum()
    }

    /// What should not have happened.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = self.provider.wrong();
        wrong.extend(self.wrong.lock().unwrap().iter().cloned());
        wrong
    }
}

/// What a server looks after all the time.
async fn looks_by_itself(running: Running) {
    let mut ended = 0;
    while !running.life.dead.is_cancelled() {
        tokio::time::sleep(Duration::from_secs(10)).await;
        running.broker.watch_epoch().await;
        let now = running.broker.outages_ended();
        if std::mem::replace(&mut ended, now) != now {
            running.broker.look_for_what_went_back().await;
        }
    }
}

fn settings(instance: InstanceId) -> BrokerSettings {
    BrokerSettings {
        handouts: HandoutRecords::Before,
        public_url: "https://grantkeep.test".parse().unwrap(),
        upstream_timeout: TIMEOUT,
        attempt_slack: Duration::from_secs(5),
        wait: Duration::from_secs(5),
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(30),
        rest: Duration::from_secs(3),
        hosts: HostSettings { at_once: 4, opens_after: 3, pause: Duration::from_secs(2) },
        ahead: AheadSettings {
            background: true,
            used_within: Duration::from_hours(24),
            notice: Duration::from_hours(24),
        },
        ahead_at_once: 4,
        hold: false,
        epoch: Duration::from_secs(10),
        instance,
    }
}
