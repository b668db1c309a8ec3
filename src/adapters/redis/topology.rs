//! Which server to ask for a key, and who serves it when that one does not any more.
//!
//! Redirections are followed here and not by the library's own cluster client: that one sends a command again when its
//! answer was lost, also a write (docs/adr/0021). A node that redirects has done nothing, so following is always safe.

use super::connection::{Door, Speech, Tls, Use, Way};
use super::slots::{SlotMap, redirection, slot};
use super::url::{Address, Form, Target};
use super::{RedisOptions, RedisUrlError, fault};
use crate::ports::store::StoreError;
use futures_util::FutureExt;
use futures_util::future::select_ok;
use redis::{Client, ErrorKind, RedisError, ServerErrorKind, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a server says that it is no node of a cluster.
const DISABLED: &str = "cluster support disabled";

/// One server, or a cluster of them.
pub(super) enum Topology {
    One(Arc<Door>),
    Cluster(Box<Cluster>),
}

/// A way to one server, and whether it must be told that it is asked for a slot that is just being given to it.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) door: Arc<Door>,
    pub(super) asking: bool,
}

/// The nodes of a cluster, and what is known of who serves what.
pub(super) struct Cluster {
    seeds: Vec<Address>,
    speech: Speech,
    options: Arc<RedisOptions>,
    doors: Mutex<HashMap<Address, Arc<Door>>>,
    known: Mutex<Known>,
    /// Something failed since the map was read: whoever comes next reads it anew.
    suspect: AtomicBool,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    /// Grows each time the map was read.
    read: u64,
    map: Arc<SlotMap>,
}

impl Topology {
    pub(super) fn new(target: Target, options: &Arc<RedisOptions>) -> Result<Self, RedisUrlError> {
        // Without a certificate in it every server would be refused, one by one.
        if options.authority.as_ref().is_some_and(|text| !text.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(RedisUrlError::Authority);
        }
        let options = Arc::clone(options);
        let tls = match (target.tls, &options.authority) {
            (false, _) => Tls::Off,
            (true, None) => Tls::Known,
            (true, Some(authority)) => Tls::Only(authority.clone()),
        };
        let speech = Speech { login: target.login, tls };
        let way = match target.form {
            Form::One(address) => Way::Alone(address.clone(), speech.client(&address)?),
            Form::Sentinel(sentinels, name) => Way::Sentinels(super::sentinel::Sentinels::new(
                &sentinels,
                speech,
                name,
                Arc::clone(&options),
            )?),
            Form::Cluster(seeds) => {
                return Cluster::new(seeds, speech, options).map(|cluster| Self::Cluster(Box::new(cluster)));
            }
        };
        Ok(Self::One(Door::new(way, options)))
    }

    /// A server to listen to, another one at each turn where there are several.
    pub(super) async fn listened_to(&self, turn: usize) -> Result<Client, StoreError> {
        let cluster = match self {
            Self::One(door) => return door.leads_to().await,
            Self::Cluster(cluster) => cluster,
        };
        let mut nodes: Vec<Address> = cluster.seeds.clone();
        nodes.extend(cluster.doors.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned());
        let node = nodes.get(turn % nodes.len().max(1));
        let node =
            node.ok_or_else(|| StoreError::Unavailable("no node of the cluster is known".to_owned()))?;
        cluster.speech.client(node).map_err(|error| StoreError::Broken(error.to_string()))
    }

    /// Whom to ask for a partition.
    pub(super) async fn route(&self, partition: &str) -> Result<Route, StoreError> {
        match self {
            Self::One(door) => Ok(Route { door: Arc::clone(door), asking: false }),
            Self::Cluster(cluster) => cluster.route(partition).await,
        }
    }

    /// Whom to ask in place of a server that said this; none where it was no redirection.
    pub(super) fn redirected(&self, route: &Route, error: &RedisError) -> Option<Route> {
        match self {
            Self::One(_) => None,
            Self::Cluster(cluster) => cluster.redirected(route, error),
        }
    }

    /// Hears that a server could not be asked. True where another one may know who serves in its place.
    pub(super) fn doubt(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Cluster(cluster) => {
                cluster.suspect.store(true, Ordering::Release);
                true
            }
        }
    }

    /// Partitions that together lead to every server that writes.
    pub(super) async fn probes(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::One(_) => Ok(vec!["ping".to_owned()]),
            Self::Cluster(cluster) => cluster.probes().await,
        }
    }
}

impl Cluster {
    fn new(seeds: Vec<Address>, speech: Speech, options: Arc<RedisOptions>) -> Result<Self, RedisUrlError> {
        let cluster = Self {
            seeds,
            speech,
            options,
            doors: Mutex::default(),
            known: Mutex::default(),
            suspect: AtomicBool::new(false),
            reading: tokio::sync::Mutex::default(),
        };
        for seed in &cluster.seeds {
            cluster.door(seed)?;
        }
        Ok(cluster)
    }

    async fn route(&self, partition: &str) -> Result<Route, StoreError> {
        let slot = slot(partition);
        let mut known = self.known();
        if known.map.is_empty() || self.suspect.load(Ordering::Acquire) {
            known = self.read_anew(known.read).await?;
        }
        let node = known.map.node(slot).ok_or_else(|| {
            StoreError::Unavailable(format!(
                "no node of the cluster serves slot {slot}: look at CLUSTER INFO"
            ))
        })?;
        Ok(Route { door: self.door(node).map_err(|error| unusable(&error))?, asking: false })
    }

    fn redirected(&self, route: &Route, error: &RedisError) -> Option<Route> {
        let ErrorKind::Server(kind) = error.kind() else { return None };
        let asking = kind == ServerErrorKind::Ask;
        if !asking && kind != ServerErrorKind::Moved {
            return None;
        }
        let node = redirection(error.detail()?, route.door.address()?)?;
        if !asking && let Some((_, slot)) = error.redirect_node() {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.map = Arc::new(known.map.with_moved(slot, &node));
            // Where one slot has moved others may have.
            self.suspect.store(true, Ordering::Release);
        }
        Some(Route { door: self.door(&node).ok()?, asking })
    }

    /// A partition's name for each node: names are tried until every node has one.
    async fn probes(&self) -> Result<Vec<String>, StoreError> {
        let known = self.read_anew(self.known().read).await?;
        let mut missing = known.map.nodes();
        let mut probes = Vec::with_capacity(missing.len());
        // A node with a thousandth of the slots is missed once in e^20 times, and then is only not probed.
        for number in 0..20_000 {
            if missing.is_empty() {
                break;
            }
            let probe = format!("ping-{number}");
            if let Some(place) =
                known.map.node(slot(&probe)).and_then(|node| missing.iter().position(|other| other == node))
            {
                missing.swap_remove(place);
                probes.push(probe);
            }
        }
        Ok(probes)
    }

    /// How many slots somebody serves, as far as is known.
    pub(super) fn covered(&self) -> usize {
        self.known().map.covered()
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn door(&self, address: &Address) -> Result<Arc<Door>, RedisUrlError> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(address) {
            return Ok(Arc::clone(door));
        }
        let way = Way::Node(address.clone(), self.speech.client(address)?);
        let door = Door::new(way, Arc::clone(&self.options));
        doors.insert(address.clone(), Arc::clone(&door));
        Ok(door)
    }

    /// Reads the map, unless somebody did after `seen`. All nodes are asked at once, and the first answer counts: one that
    /// hangs must not hold up the others. Where it was an old one, its node redirects.
    async fn read_anew(&self, seen: u64) -> Result<Known, StoreError> {
        let _reading = self.reading.lock().await;
        let known = self.known();
        if known.read > seen {
            return Ok(known);
        }
        self.suspect.store(false, Ordering::Release);
        let mut nodes = known.map.nodes();
        nodes.extend(self.seeds.iter().filter(|seed| !nodes.contains(seed)).cloned().collect::<Vec<_>>());
        let asking = nodes.iter().map(|node| self.read_from(node).boxed());
        let map = match select_ok(asking).await {
            Ok((map, _)) => Arc::new(map),
            Err(error) => {
                self.suspect.store(true, Ordering::Release);
                return Err(error);
            }
        };
        let nodes = map.nodes();
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|address, _| nodes.contains(address) || self.seeds.contains(address));
        drop(doors);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Known { read: known.read + 1, map };
        Ok(known.clone())
    }

    async fn read_from(&self, node: &Address) -> Result<SlotMap, StoreError> {
        let link = self.door(node).map_err(|error| unusable(&error))?.link(Use::Asking).await?;
        let mut connection = link.connection().await?;
        let mut question = redis::cmd("CLUSTER");
        let answer = connection.send_packed_command(question.arg("SLOTS")).await.map_err(|error| {
            link.note(&error);
            fault::of_read(&error)
        })?;
        if matches!(&answer, Value::ServerError(refusal) if refusal.details().is_some_and(|why| why.contains(DISABLED)))
        {
            let why = format!("the server at {node} is no node of a cluster: use redis:// (or rediss://)");
            return Err(StoreError::Broken(why));
        }
        let map = SlotMap::read(answer, node)?;
        if map.is_empty() {
            return Err(StoreError::Unavailable(format!("the node at {node} knows of no slots yet")));
        }
        Ok(map)
    }
}

fn unusable(error: &RedisUrlError) -> StoreError {
    StoreError::Broken(format!("a node's address {error}"))
}
