//! The store on Redis 7 or newer, or Valkey: a record is a hash, an index a sorted set, a stream a stream, a batch one script.
//!
//! Redis may be one server, a cluster, or a master under sentinels, with TLS or without: `url.rs` says how each is named,
//! `topology.rs` whom to ask. A read is one pipeline on a connection of the calling thread, in a cluster one to each node
//! that has some of it. A write is sent once: when its answer is lost, the caller is told so and settles it. Times are
//! the server's.
//!
//! An ACL user needs `~gk:* &gk:* +@connection +evalsha +script|load +hgetall +hget +hset +hdel +exists +del +pexpire
//! +zadd +zrem +zcard +zrangebylex +zrevrangebylex +xadd +xlen +xtrim +xrange +xrevrange +time +publish`, in a cluster also
//! `+cluster|slots`; [`RedisStore::ping`] uses every one of them, so that a missing one shows at the start. With
//! `+subscribe` it hears what others tell. With `+info +config|get` [`RedisStore::inspect`] sees how the server is set up.

mod asking;
mod connection;
mod eval;
mod fault;
mod greeting;
mod index;
mod inspect;
mod notices;
mod script;
mod sentinel;
mod slots;
mod streams;
mod topology;
mod url;

pub use inspect::{Inspection, RedisUnfit};
pub use url::RedisUrlError;

use crate::domain::Secret;
use crate::ports::store::{
    Batch, EntryId, Guard, Key, Notice, Outcome, Record, Store, StoreError, Value, Walk, Write,
};
use asking::{Asker, Question};
use async_trait::async_trait;
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;
use topology::Topology;
use url::Target;

/// How Redis is spoken to, beside its URL.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// For opening a connection: finding the master, look-up, TCP, TLS and greeting together.
    pub connect_timeout: Duration,
    /// For the answer to one request.
    pub response_timeout: Duration,
    /// With TLS: certificates (PEM) that the servers' must lead to, in place of the machine's own.
    pub authority: Option<String>,
    /// User (empty: the default one) and password at the sentinels; the URL's are those of the servers.
    pub sentinel_login: Option<(String, Secret)>,
    /// Replicas that must have a write before it is answered.
    pub replicas: u32,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(5),
            authority: None,
            sentinel_login: None,
            replicas: 0,
        }
    }
}

/// The store port on Redis.
pub struct RedisStore {
    asker: Asker,
    replicas: u32,
    notices: notices::Notices,
    patience: Duration,
}

impl RedisStore {
    /// Checks the URL; connections are opened when they are needed. With TLS the process must have installed a default
    /// rustls crypto provider before the first request; certificates are checked against the machine's own roots, or
    /// those of [`RedisOptions::authority`].
    pub fn connect(url: &str, options: RedisOptions) -> Result<Self, RedisUrlError> {
        let target = Target::parse(url)?;
        let options = Arc::new(options);
        let topology = Topology::new(target, &options)?;
        let asker = Asker::new(topology, &options);
        let (replicas, patience) = (options.replicas, options.connect_timeout);
        Ok(Self { asker, replicas, notices: notices::Notices::default(), patience })
    }

    async fn read(&self, questions: &[Question<'_>]) -> Result<Vec<redis::Value>, StoreError> {
        self.asker.read(questions).await
    }

    /// The one answer to a question.
    async fn read_one(&self, question: Question<'_>) -> Result<redis::Value, StoreError> {
        let answer = self.read(&[question]).await?.pop().ok_or_else(|| fault::shape("a pipeline"))?;
        fault::value(answer)
    }

    /// Goes through every command that the store ever uses, on names of its own in that partition. No replica is waited
    /// for: without one nothing can be written, but what is there can be read.
    async fn ping_at(&self, partition: &str) -> Result<(), StoreError> {
        let (key, index) = (Key::alone("ping", partition), Key::alone("ping-index", partition));
        let stream = Key::alone("ping-stream", partition);
        let field = |name: &str| vec![(name.to_owned(), Value::Now(Duration::ZERO))];
        let (put, set) = (field("at"), field("again"));
        let batch = Batch::new()
            .when(Guard::Absent(key.clone()))
            .when(Guard::Missing(key.clone(), "at".to_owned()))
            .then(Write::Put { key: key.clone(), fields: put, lives: Some(Duration::from_mins(1)) })
            .then(Write::Set { key: key.clone(), fields: set })
            .then(Write::Unset { key: key.clone(), fields: vec!["again".to_owned()] })
            .then(Write::IndexAdd { index: index.clone(), member: "ping".to_owned() })
            .then(Write::IndexRemove { index: index.clone(), member: "ping".to_owned() })
            .then(Write::Delete { key: key.clone() })
            .then(Write::Append { stream: stream.clone(), fields: field("at") })
            .then(Write::Trim { stream: stream.clone(), before: EntryId { millis: u64::MAX, number: 0 } })
            .then(Write::Delete { key: stream.clone() })
            .then(Write::Tell { key: key.clone() });
        self.get(&key).await?;
        self.scan(&index, "", None, 1).await?;
        self.entries(&stream, Walk::Up(None), 1).await?;
        self.entries(&stream, Walk::Down(None), 1).await?;
        let mut take = script::TAKE.prepare_invoke();
        take.key(key.name());
        record(self.asker.try_out(partition, &take).await?)?;
        match script::outcome(self.asker.try_out(partition, &script::invocation(&batch)).await?) {
            Outcome::Applied(_) => Ok(()),
            Outcome::Refused(..) => {
                Err(StoreError::Broken("a record that is never kept was there".to_owned()))
            }
        }
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let questions: Vec<_> = keys.iter().map(|key| Question::new("HGETALL", key)).collect();
        let answers = self.read(&questions).await?;
        answers.into_iter().map(|answer| record(fault::value(answer)?)).collect()
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let mut invocation = script::TAKE.prepare_invoke();
        invocation.key(key.name());
        record(self.asker.write(key.partition(), &invocation).await?)
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        index::scan(self, index, prefix, after, limit).await
    }

    async fn entries(
        &self,
        stream: &Key,
        walk: Walk,
        limit: usize,
    ) -> Result<Vec<(EntryId, Record)>, StoreError> {
        if limit == 0 {
            // Redis has another answer to this than an empty list.
            return Ok(Vec::new());
        }
        streams::entries(self.read_one(streams::question(stream, walk, limit)).await?)
    }

    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError> {
        batch.check()?;
        // An empty batch may go anywhere.
        let partition = batch.keys().next().map_or("", Key::partition);
        self.asker.write(partition, &script::invocation(&batch)).await.map(script::outcome)
    }

    fn listen(&self, runtime: &Handle) -> Option<Receiver<Notice>> {
        Some(self.notices.listen(&self.asker.topology, self.patience, runtime))
    }

    fn hearing(&self) -> Option<u64> {
        self.notices.hearing()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let probes = self.asker.topology.probes().await?;
        try_join_all(probes.iter().map(|probe| self.ping_at(probe))).await.map(drop)
    }
}

/// The hash that HGETALL gives; an empty one is no record.
fn record(answer: redis::Value) -> Result<Option<Record>, StoreError> {
    let pairs: Vec<(redis::Value, redis::Value)> = match answer {
        redis::Value::Map(pairs) => pairs,
        // What a script returns has no maps: names and values take turns.
        redis::Value::Array(flat) => {
            let mut flat = flat.into_iter();
            std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect()
        }
        _ => return Err(fault::shape("HGETALL")),
    };
    let mut fields = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let (redis::Value::BulkString(name), redis::Value::BulkString(value)) = pair else {
            return Err(fault::shape("HGETALL"));
        };
        fields.push((String::from_utf8(name).map_err(|_| fault::shape("HGETALL"))?, value));
    }
    Ok((!fields.is_empty()).then(|| Record::new(fields)))
}
