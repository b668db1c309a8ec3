//! The store on Redis 7 or newer, or Valkey: a record is a hash, an index a sorted set, a stream a stream, a batch one script.
//!
//! A read is one pipeline on a connection of the calling thread. A write is sent once: when its answer is lost, the caller
//! is told so and settles it. Times are the server's.
//!
//! An ACL user needs `~gk:* +@connection +evalsha +script|load +hgetall +hget +hset +hdel +exists +del +pexpire +zadd
//! +zrem +zcard +zrangebylex +xadd +xlen +xtrim +xrange +xrevrange +time`; [`RedisStore::ping`] uses every one of them, so
//! that a missing one shows at the start.

mod connection;
mod fault;
mod script;
mod streams;

use crate::ports::store::{
    Batch, EntryId, Guard, Key, Outcome, Record, Store, StoreError, Value, Walk, Write,
};
use async_trait::async_trait;
use connection::Door;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion, ScriptInvocation};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long Redis may take.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// For opening a connection: look-up, TCP, TLS and greeting together.
    pub connect_timeout: Duration,
    /// For the answer to one request.
    pub response_timeout: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(3), response_timeout: Duration::from_secs(5) }
    }
}

/// Why a URL cannot be used. Never repeats the URL: there may be a password in it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RedisUrlError {
    /// Another way to reach Redis than this version knows.
    #[error("`{0}://` is not supported by this version: use redis:// or rediss:// (TLS)")]
    Scheme(String),
    /// No URL of that scheme.
    #[error(
        "must be redis://[user:password@]host[:port][/database] or rediss://…, its parts percent-encoded, {0}"
    )]
    Malformed(&'static str),
}

/// The store port on Redis.
pub struct RedisStore {
    door: Arc<Door>,
}

impl RedisStore {
    /// Checks the URL; connections are opened when they are needed. For `rediss://` the process must have installed a
    /// default rustls crypto provider before the first request; certificates are checked against the machine's own roots.
    pub fn connect(url: &str, options: RedisOptions) -> Result<Self, RedisUrlError> {
        let parsed = Url::parse(url).map_err(|_| RedisUrlError::Malformed("and this is no URL"))?;
        if !["redis", "rediss"].contains(&parsed.scheme()) {
            return Err(RedisUrlError::Scheme(parsed.scheme().to_owned()));
        }
        // The library would turn certificate checks off for a fragment, and change the protocol for a query.
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(RedisUrlError::Malformed("with nothing after `?` or `#`"));
        }
        let info = url.into_connection_info();
        let info = info.map_err(|_| RedisUrlError::Malformed("with a host and a number as the database"))?;
        debug_assert!(matches!(
            info.addr(),
            ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { insecure: false, .. }
        ));
        // RESP3, because only there a connection tells at once that it broke.
        let greeting = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let greeting = greeting.set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let info =
            info.set_redis_settings(greeting).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client =
            Client::open(info).map_err(|_| RedisUrlError::Malformed("with a host that can be reached"))?;
        Ok(Self { door: Door::new(client, options) })
    }

    /// Asks; where the connection broke, once more on a new one.
    async fn read(&self, questions: &Pipeline) -> Result<Vec<redis::Value>, StoreError> {
        let mut again = true;
        loop {
            let link = self.door.link()?;
            let mut connection = link.connection().await?;
            let error = match connection.send_packed_commands(questions, 0, questions.len()).await {
                Ok(answers) if answers.len() == questions.len() => return Ok(answers),
                Ok(_) => return Err(fault::shape("a pipeline")),
                Err(error) => error,
            };
            link.note(&error);
            if !(error.is_connection_dropped() && std::mem::take(&mut again)) {
                return Err(fault::of_read(&error));
            }
        }
    }

    /// Sends once. A script that the server forgot is loaded first: it had not run.
    async fn write<T: redis::FromRedisValue>(
        &self,
        invocation: ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let link = self.door.link()?;
        let mut connection = link.connection().await?;
        invocation.invoke_async(&mut connection).await.map_err(|error| {
            link.note(&error);
            fault::of_write(&error)
        })
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Record>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut questions = Pipeline::with_capacity(keys.len());
        for key in keys {
            questions.cmd("HGETALL").arg(key.name());
        }
        let answers = self.read(&questions).await?;
        answers.into_iter().map(|answer| record(fault::value(answer)?)).collect()
    }

    async fn take(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let mut invocation = script::TAKE.prepare_invoke();
        invocation.key(key.name());
        record(self.write(invocation).await?)
    }

    async fn scan(
        &self,
        index: &Key,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let from = match after {
            Some(after) if after >= prefix => bound(b'(', after.as_bytes()),
            _ => bound(b'[', prefix.as_bytes()),
        };
        let mut questions = Pipeline::with_capacity(1);
        let question = questions.cmd("ZRANGEBYLEX").arg(index.name()).arg(from).arg(end_of(prefix));
        question.arg("LIMIT").arg(0).arg(i64::try_from(limit).unwrap_or(i64::MAX));
        let answer = self.read(&questions).await?.pop().ok_or_else(|| fault::shape("ZRANGEBYLEX"))?;
        redis::from_redis_value(fault::value(answer)?).map_err(|_| fault::shape("ZRANGEBYLEX"))
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
        let mut questions = Pipeline::with_capacity(1);
        streams::ask(&mut questions, stream, walk, limit);
        let answer = self.read(&questions).await?.pop().ok_or_else(|| fault::shape("XRANGE"))?;
        streams::entries(fault::value(answer)?)
    }

    async fn apply(&self, batch: Batch) -> Result<Outcome, StoreError> {
        batch.check()?;
        self.write(script::invocation(&batch)).await.map(script::outcome)
    }

    /// Goes through every command that the store ever uses, on names of its own.
    async fn ping(&self) -> Result<(), StoreError> {
        let (key, index) = (Key::alone("ping", "ping"), Key::alone("ping-index", "ping"));
        let stream = Key::alone("ping-stream", "ping");
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
            .then(Write::Delete { key: stream.clone() });
        self.get(&key).await?;
        self.scan(&index, "", None, 1).await?;
        self.entries(&stream, Walk::Up(None), 1).await?;
        self.entries(&stream, Walk::Down(None), 1).await?;
        self.take(&key).await?;
        match self.apply(batch).await? {
            Outcome::Applied(_) => Ok(()),
            Outcome::Refused(..) => {
                Err(StoreError::Broken("a record that is never kept was there".to_owned()))
            }
        }
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
    let fields = pairs.into_iter().map(|pair| match pair {
        (redis::Value::BulkString(name), redis::Value::BulkString(value)) => {
            Ok((String::from_utf8(name).map_err(|_| fault::shape("HGETALL"))?, value))
        }
        _ => Err(fault::shape("HGETALL")),
    });
    let fields: Vec<_> = fields.collect::<Result<_, StoreError>>()?;
    Ok((!fields.is_empty()).then(|| Record::new(fields)))
}

fn bound(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut bound = vec![kind];
    bound.extend_from_slice(bytes);
    bound
}

/// Just past everything that begins with `prefix`: its last byte is raised, which UTF-8 always allows (no byte is 0xff).
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = bound(b'(', prefix.as_bytes());
    match end.last_mut() {
        Some(last) if !prefix.is_empty() => *last = last.saturating_add(1),
        _ => end = b"+".to_vec(),
    }
    end
}
