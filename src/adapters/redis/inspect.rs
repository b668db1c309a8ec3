//! Whether the servers are set up for what they are to keep: what must hold refuses a start, what should be otherwise is
//! told with what to do.
//!
//! INFO and CONFIG GET need rights of their own, which the work does without: what cannot be seen is said to be unseen.

use super::connection::Use;
use super::greeting::{Greeting, OLDEST};
use super::slots::SLOTS;
use super::topology::{Route, Topology};
use super::{RedisStore, fault};
use crate::ports::store::StoreError;
use redis::{Cmd, Value};
use std::collections::BTreeMap;

/// A field of a record may be so long before its hash becomes several times as large: `hash-max-listpack-value` below it
/// is worth a word. Sealed tokens of most providers stay below.
const COMPACT: u64 = 1024;

/// Settings that are looked at.
const LOOKED_AT: &[&str] = &[
    "maxmemory-policy",
    "appendfsync",
    "hash-max-listpack-value",
    "min-replicas-to-write",
    "cluster-allow-reads-when-down",
];

/// What was seen of servers that can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Each says what is so, what may come of it, and what to do, with the servers that it is true of.
    pub warnings: Vec<String>,
}

/// Why servers that answer cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RedisUnfit {
    /// They could not be asked.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What must hold does not.
    #[error("{0}")]
    Unfit(String),
}

/// What one server says about itself; empty where it may not say.
#[derive(Default)]
struct Said {
    info: Option<BTreeMap<String, String>>,
    config: Option<BTreeMap<String, String>>,
}

impl RedisStore {
    /// Asks every server that writes how it is set up.
    pub async fn inspect(&self) -> Result<Inspection, RedisUnfit> {
        let topology = &*self.asker.topology;
        let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut probes = 0_usize;
        for probe in topology.probes().await? {
            let route = topology.route(&probe).await?;
            let link = route.door.link(Use::Asking).await?;
            let mut connection = link.connection().await?;
            let place = link.place();
            let mut ask = async |command: &Cmd| {
                let told = connection.send_packed_command(command).await;
                told.map_err(|error| fault::of_read(&error)).and_then(fault::value)
            };
            let greeting = Greeting::read(ask(&redis::cmd("HELLO")).await?)?;
            fit(&greeting, matches!(topology, Topology::Cluster(_)), &place)?;
            let said = Said {
                info: allowed(ask(&redis::cmd("INFO")).await).map(lines),
                config: allowed(ask(redis::cmd("CONFIG").arg("GET").arg(LOOKED_AT)).await).map(pairs),
            };
            for warning in warnings(&said, self.form(&route), self.replicas) {
                seen.entry(warning).or_default().push(place.clone());
            }
            probes += 1;
        }
        if let Topology::Cluster(cluster) = topology {
            let covered = cluster.covered();
            if covered < usize::from(SLOTS) {
                return Err(RedisUnfit::Unfit(format!(
                    "the cluster serves {covered} of {SLOTS} slots, by {probes} nodes: give the others to a node \
                     (redis-cli --cluster fix)"
                )));
            }
        }
        let warnings = seen.into_iter().map(|(warning, at)| format!("Redis at {}: {warning}", at.join(", ")));
        Ok(Inspection { warnings: warnings.collect() })
    }

    fn form(&self, route: &Route) -> Form {
        match &*self.asker.topology {
            Topology::Cluster(_) => Form::Cluster,
            Topology::One(_) if route.door.address().is_none() => Form::Sentinel,
            Topology::One(_) => Form::One,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    One,
    Sentinel,
    Cluster,
}

fn fit(greeting: &Greeting, cluster: bool, place: &str) -> Result<(), RedisUnfit> {
    let unfit = |why: &str| Err(RedisUnfit::Unfit(format!("the server at {place} {why}")));
    match greeting.major() {
        Some(major) if major < OLDEST => {
            return unfit(&format!(
                "is Redis {}, and {OLDEST}.0 is the oldest that will do: update it",
                greeting.version
            ));
        }
        _ => {}
    }
    match (cluster, greeting.mode == "cluster") {
        (false, true) => unfit("is a node of a cluster: use redis-cluster:// (or rediss-cluster://)"),
        (true, false) => unfit("is no node of a cluster: use redis:// (or rediss://)"),
        _ => Ok(()),
    }
}

/// The answer, where the user may ask; a refusal for any other reason is one that shows elsewhere too.
fn allowed(answer: Result<Value, StoreError>) -> Option<Value> {
    answer.ok()
}

/// `name:value` on each line.
fn lines(info: Value) -> BTreeMap<String, String> {
    let text: String = redis::from_redis_value(info).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn pairs(config: Value) -> BTreeMap<String, String> {
    redis::from_redis_value(config).unwrap_or_default()
}

impl Said {
    fn info(&self, name: &str) -> Option<&str> {
        self.info.as_ref()?.get(name).map(String::as_str)
    }

    fn config(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.get(name).map(String::as_str)
    }
}

/// What should be otherwise. Texts name no server, so that those of several can be told together.
fn warnings(said: &Said, form: Form, wanted: u32) -> Vec<String> {
    let mut warnings = Vec::new();
    if said.info.is_none() {
        warnings.push(
            "persistence, memory limit and replicas could not be looked at: the user lacks +info".to_owned(),
        );
    }
    if said.config.is_none() {
        warnings.push(
            "appendfsync and hash-max-listpack-value could not be looked at: the user lacks +config|get, or the server \
             has no CONFIG"
                .to_owned(),
        );
    }
    keeping(said, &mut warnings);
    taking_over(said, form, wanted, &mut warnings);
    warnings
}

/// Whether the server keeps what it is given, and in how much room.
fn keeping(said: &Said, warnings: &mut Vec<String>) {
    let policy = said.info("maxmemory_policy").or_else(|| said.config("maxmemory-policy"));
    let policy = policy.unwrap_or("noeviction");
    if policy != "noeviction" && said.info("maxmemory") != Some("0") {
        warnings.push(format!(
            "maxmemory-policy is {policy}: short of memory, Redis throws grants away; set maxmemory-policy noeviction"
        ));
    }
    if said.info("aof_enabled") == Some("0") {
        warnings.push(
            "appendonly is no: what was written since the last snapshot is lost when Redis ends, refresh tokens among \
             it, and those end users must connect again; set appendonly yes"
                .to_owned(),
        );
    }
    if said.config("appendfsync") == Some("no") {
        warnings.push(
            "appendfsync is no: half a minute of writes is lost with the machine; set appendfsync everysec or always"
                .to_owned(),
        );
    }
    let longest = said.config("hash-max-listpack-value").and_then(|value| value.parse::<u64>().ok());
    if longest.is_some_and(|longest| longest < COMPACT) {
        warnings.push(format!(
            "hash-max-listpack-value is below {COMPACT}: connections take about three quarters more memory than they need; \
             set hash-max-listpack-value {COMPACT} (a record that is there changes when it is written)"
        ));
    }
}

/// Whether somebody takes over when the server is lost, and nobody believes the server then.
fn taking_over(said: &Said, form: Form, wanted: u32, warnings: &mut Vec<String>) {
    let replicas = said.info("connected_slaves").and_then(|count| count.parse::<u32>().ok());
    if form != Form::One && replicas == Some(0) {
        warnings.push(
            "it has no replica: when it is lost nobody takes over, and what it keeps is away; give it one"
                .to_owned(),
        );
    }
    if replicas.is_some_and(|count| count < wanted) {
        warnings.push(format!(
            "store.replicas is {wanted}, and so many replicas are not there: writes will be answered 503; give it more, \
             or set store.replicas lower"
        ));
    }
    if form == Form::Sentinel && said.config("min-replicas-to-write") == Some("0") {
        warnings.push(
            "min-replicas-to-write is 0: a master that is cut off goes on taking writes, which are thrown away when it \
             comes back as a replica; set min-replicas-to-write 1"
                .to_owned(),
        );
    }
    if form == Form::Cluster && said.config("cluster-allow-reads-when-down") == Some("yes") {
        warnings.push(
            "cluster-allow-reads-when-down is yes: a node that is cut off answers with old records; set \
             cluster-allow-reads-when-down no"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(version: &str, mode: &str) -> Greeting {
        Greeting { version: version.to_owned(), mode: mode.to_owned(), master: true }
    }

    #[test]
    fn an_old_server_is_refused_and_a_newer_one_is_not() {
        for good in ["7.0.0", "7.0.15", "8.0.1", "9.1.0", "255.255.255", "unstable"] {
            assert_eq!(fit(&greeting(good, "standalone"), false, "h:1"), Ok(()), "{good}");
        }
        for old in ["6.2.14", "5.0.7"] {
            let refused = fit(&greeting(old, "standalone"), false, "h:1").unwrap_err().to_string();
            assert!(refused.contains(old) && refused.contains("7.0") && refused.contains("h:1"), "{refused}");
        }
    }
}
