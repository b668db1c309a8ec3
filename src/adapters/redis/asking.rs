//! Asking, whatever form Redis has: reads may be repeated, a write is sent once.
//!
//! A refusal says that a command was not run, so a write that was refused may go elsewhere. A write whose answer was lost
//! may have been done: its caller is told, and settles it by reading.

use super::connection::{Link, Use};
use super::eval::{Invocation, Sending};
use super::topology::{Route, Topology};
use super::{RedisOptions, fault};
use crate::ports::store::{Key, StoreError};
use futures_util::future::join_all;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind, Value};
use std::sync::Arc;
use std::time::Duration;

/// Servers that one call goes to at most, one after the other: more only where slots move while it looks for them.
const ROUNDS: usize = 6;

/// The longest that a write waits for replicas.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A command that reads, and the key that says where.
pub(super) struct Question<'a> {
    key: &'a Key,
    command: Cmd,
}

impl<'a> Question<'a> {
    /// The command on that key; further words follow by [`Question::arg`].
    pub(super) fn new(command: &str, key: &'a Key) -> Self {
        let mut question = redis::cmd(command);
        question.arg(key.name());
        Self { key, command: question }
    }

    pub(super) fn arg(&mut self, word: impl redis::ToRedisArgs) -> &mut Self {
        self.command.arg(word);
        self
    }
}

/// Questions that go to one server together, by their places.
struct Group {
    route: Route,
    places: Vec<usize>,
}

/// Why a group got no answers, and whether to ask again.
struct Failed {
    error: StoreError,
    again: bool,
}

/// Asks servers.
pub(super) struct Asker {
    pub(super) topology: Arc<Topology>,
    wait: Option<(u32, u64)>,
}

impl Asker {
    pub(super) fn new(topology: Topology, options: &RedisOptions) -> Self {
        // The connection's own patience must end later, or nobody would hear how many replicas there were.
        let patience = LONGEST_WAIT.min(options.response_timeout / 2).as_millis();
        let wait = (options.replicas, u64::try_from(patience).unwrap_or(u64::MAX));
        Self { topology: Arc::new(topology), wait: Some(wait).filter(|(replicas, _)| *replicas > 0) }
    }

    /// The answers in the order of the questions; each may be a refusal, but no redirection.
    pub(super) async fn read(&self, questions: &[Question<'_>]) -> Result<Vec<Value>, StoreError> {
        let mut answers: Vec<Option<Value>> = questions.iter().map(|_| None).collect();
        let mut open: Vec<(usize, Option<Route>)> = (0..questions.len()).map(|place| (place, None)).collect();
        let mut again = true;
        for _ in 0..ROUNDS {
            let groups = self.groups(questions, std::mem::take(&mut open)).await?;
            // Nearly always one server: joined, what is asked of it would be moved to an allocation of its own.
            let told = match groups.as_slice() {
                [one] => vec![self.ask(one, questions).await],
                many => join_all(many.iter().map(|group| self.ask(group, questions))).await,
            };
            let mut failed = false;
            for (group, told) in groups.iter().zip(told) {
                match told {
                    Ok(values) => {
                        for (place, value) in group.places.iter().zip(values) {
                            if let Some(route) = self.redirected(&group.route, &value) {
                                open.push((*place, Some(route)));
                            } else if let Some(answer) = answers.get_mut(*place) {
                                *answer = Some(value);
                            }
                        }
                    }
                    Err(failure) if failure.again && again => {
                        failed = true;
                        open.extend(group.places.iter().map(|place| (*place, None)));
                    }
                    Err(failure) => return Err(failure.error),
                }
            }
            again &= !failed;
            if open.is_empty() {
                return answers.into_iter().collect::<Option<_>>().ok_or_else(|| fault::shape("a pipeline"));
            }
        }
        Err(restless())
    }

    async fn groups(
        &self,
        questions: &[Question<'_>],
        open: Vec<(usize, Option<Route>)>,
    ) -> Result<Vec<Group>, StoreError> {
        let mut groups: Vec<Group> = Vec::with_capacity(1);
        for (place, route) in open {
            let Some(question) = questions.get(place) else { continue };
            let route = match route {
                Some(route) => route,
                None => self.topology.route(question.key.partition()).await?,
            };
            let same = |group: &&mut Group| {
                group.route.asking == route.asking && Arc::ptr_eq(&group.route.door, &route.door)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.places.push(place),
                None => groups.push(Group { route, places: vec![place] }),
            }
        }
        Ok(groups)
    }

    /// One pipeline. Where it is time, the server says in the same breath whether it is still the master: what a replica
    /// says is old.
    async fn ask(&self, group: &Group, questions: &[Question<'_>]) -> Result<Vec<Value>, Failed> {
        let lost = |error| Failed { error, again: self.topology.doubt() };
        let link = group.route.door.link(Use::Asking).await.map_err(lost)?;
        let mut connection = link.connection().await.map_err(lost)?;
        let doubted = link.doubted();
        let mut pipeline = Pipeline::with_capacity(group.places.len() + 1);
        for question in group.places.iter().filter_map(|place| questions.get(*place)) {
            if group.route.asking {
                pipeline.cmd("ASKING").ignore();
            }
            pipeline.add_command(question.command.clone());
        }
        if doubted.is_some() {
            pipeline.cmd("HELLO");
        }
        let told = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await;
        let mut values = told.map_err(|error| {
            link.note(&error);
            let again = self.topology.doubt() && !error.is_timeout() || error.is_connection_dropped();
            Failed { error: fault::of_read(&error), again }
        })?;
        if values.len() != pipeline.len() {
            return Err(Failed { error: fault::shape("a pipeline"), again: false });
        }
        if let Some(age) = doubted {
            link.hear(values.pop().unwrap_or(Value::Nil), age).map_err(|error| {
                link.spoil();
                Failed { error, again: true }
            })?;
        }
        // Each ASKING was answered too.
        let step = 1 + usize::from(group.route.asking);
        Ok(values.into_iter().skip(step - 1).step_by(step).collect())
    }

    fn redirected(&self, route: &Route, value: &Value) -> Option<Route> {
        match value {
            Value::ServerError(refusal) => self.topology.redirected(route, &refusal.clone().into()),
            _ => None,
        }
    }

    /// Sends a script where `partition` is served, and waits for as many replicas as were asked for.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        partition: &str,
        invocation: &Invocation,
    ) -> Result<T, StoreError> {
        self.send(partition, invocation, self.wait).await
    }

    /// The same without waiting for a replica: for what nobody will miss.
    pub(super) async fn try_out<T: FromRedisValue>(
        &self,
        partition: &str,
        invocation: &Invocation,
    ) -> Result<T, StoreError> {
        self.send(partition, invocation, None).await
    }

    /// Sends once. A script that the server forgot goes with the next attempt: it had not run.
    async fn send<T: FromRedisValue>(
        &self,
        partition: &str,
        invocation: &Invocation,
        wait: Option<(u32, u64)>,
    ) -> Result<T, StoreError> {
        let mut sending = Sending { wait, ..Sending::default() };
        let what_for = if wait.is_some() { Use::Waiting } else { Use::Asking };
        let (mut next, mut again) = (None, true);
        for _ in 0..ROUNDS {
            let route: Route = match next.take() {
                Some(route) => route,
                None => self.topology.route(partition).await?,
            };
            let link = route.door.link(what_for).await?;
            let mut connection = match link.connection().await {
                Ok(connection) => connection,
                // Nothing was sent, so another server may be asked.
                Err(_) if self.topology.doubt() && std::mem::take(&mut again) => continue,
                Err(error) => return Err(error),
            };
            sending.asking = route.asking;
            let (pipeline, place) = invocation.pipeline(sending);
            let told = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await;
            let refusal = match told.and_then(|values| settled(values, place)) {
                Ok((value, replicas)) => {
                    enough(wait, replicas)?;
                    return redis::from_redis_value(value).map_err(|_| {
                        StoreError::OutcomeUnknown("the script's answer has another shape".to_owned())
                    });
                }
                Err(error) => error,
            };
            next = Some(self.after(&refusal, &link, &route, &mut sending)?);
        }
        Err(restless())
    }

    /// Where a refused write goes next; an error where it goes nowhere.
    fn after(
        &self,
        refusal: &RedisError,
        link: &Link,
        route: &Route,
        sending: &mut Sending,
    ) -> Result<Route, StoreError> {
        link.note(refusal);
        if let Some(route) = self.topology.redirected(route, refusal) {
            sending.load = false;
            return Ok(route);
        }
        if refusal.kind() == ErrorKind::Server(ServerErrorKind::NoScript) && !sending.load {
            sending.load = true;
            return Ok(route.clone());
        }
        if fault::tells_of_change(refusal) {
            self.topology.doubt();
        }
        Err(fault::of_write(refusal))
    }
}

/// Whether as many replicas have it as were asked for.
fn enough(wait: Option<(u32, u64)>, confirmed: Option<Value>) -> Result<(), StoreError> {
    match (wait, confirmed) {
        (Some((wanted, _)), Some(Value::Int(count))) if count >= i64::from(wanted) => Ok(()),
        (Some((wanted, _)), Some(Value::Int(count))) => Err(StoreError::OutcomeUnknown(format!(
            "the master has it, but {count} of {wanted} replicas said so in time"
        ))),
        (Some(_), _) => Err(StoreError::OutcomeUnknown("no answer to WAIT".to_owned())),
        (None, _) => Ok(()),
    }
}

/// The answer to the call itself, and to the WAIT behind it; a refusal of the call, or of what had to go before it.
fn settled(values: Vec<Value>, place: usize) -> Result<(Value, Option<Value>), RedisError> {
    let mut values = values.into_iter();
    for before in values.by_ref().take(place) {
        let _ = before.extract_error()?;
    }
    let answer = values.next().unwrap_or(Value::Nil).extract_error()?;
    Ok((answer, values.next()))
}

fn restless() -> StoreError {
    StoreError::Unavailable("the cluster redirects from node to node: slots are being moved".to_owned())
}
