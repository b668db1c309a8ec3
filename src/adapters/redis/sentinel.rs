//! Finding the master that sentinels watch over, by the "Guidelines for Redis clients with support for Redis Sentinel".
//!
//! A sentinel demotes a master that it can reach, and closes its connections. One that it cannot reach goes on believing
//! that it is the master; therefore the sentinels are asked every second whether it still is, while there is anything
//! to do. Where none answers, the master that is there is kept: without sentinels there is no failover either.

use super::connection::Speech;
use super::url::Address;
use super::{RedisOptions, RedisUrlError, fault};
use crate::ports::store::StoreError;
use futures_util::FutureExt;
use futures_util::future::select_ok;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, RedisConnectionInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For so long the sentinels' last answer is believed; then they are asked again, beside what goes on.
const BELIEVED: Duration = Duration::from_secs(1);
/// After so long it is not: what comes waits for their answer.
const STALE: Duration = Duration::from_secs(3);

/// The sentinels of one master.
pub(super) struct Sentinels(Arc<Watch>);

struct Watch {
    sentinels: Vec<(Address, Client)>,
    /// How the master is spoken to.
    speech: Speech,
    name: String,
    options: Arc<RedisOptions>,
    born: Instant,
    /// Milliseconds from `born` to when they were last asked.
    asked: AtomicU64,
    master: Mutex<Option<Address>>,
}

impl Sentinels {
    #[expect(
        clippy::disallowed_methods,
        reason = "the age of an answer, which no test moves: it is Redis that tells the time"
    )]
    pub(super) fn new(
        addresses: &[Address],
        speech: Speech,
        name: String,
        options: Arc<RedisOptions>,
    ) -> Result<Self, RedisUrlError> {
        let login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        let login = match &options.sentinel_login {
            Some((user, password)) if user.is_empty() => login.set_password(password.expose()),
            Some((user, password)) => login.set_username(user).set_password(password.expose()),
            None => login,
        };
        let to_sentinels = Speech { login, tls: speech.tls.clone() };
        let client = |address: &Address| Ok((address.clone(), to_sentinels.client(address)?));
        let sentinels = addresses.iter().map(client).collect::<Result<_, RedisUrlError>>()?;
        let (born, asked, master) = (Instant::now(), AtomicU64::new(0), Mutex::new(None));
        Ok(Self(Arc::new(Watch { sentinels, speech, name, options, born, asked, master })))
    }

    /// Asks who the master is now.
    pub(super) async fn master(&self) -> Result<(Address, Client), StoreError> {
        self.0.note_asking();
        let address = self.0.ask().await?;
        let client = self.0.speech.client(&address);
        let client = client.map_err(|error| StoreError::Broken(format!("the master's address {error}")))?;
        Ok((address, client))
    }

    /// True when the sentinels now name another master than this one.
    pub(super) async fn master_left(&self, address: &Address) -> bool {
        let watch = &self.0;
        let age =
            watch.born.elapsed().saturating_sub(Duration::from_millis(watch.asked.load(Ordering::Acquire)));
        if age > BELIEVED {
            watch.note_asking();
            let asking = Arc::clone(watch);
            // On its own, so that the answer is heard also where whoever caused it goes away.
            let asked = tokio::spawn(async move {
                if let Err(error) = asking.ask().await {
                    tracing::warn!(%error, "no sentinel says who the master is; the one that is there is kept");
                }
            });
            if age > STALE {
                let _ = asked.await;
            }
        }
        watch.known().is_some_and(|known| known != *address)
    }
}

impl Watch {
    fn note_asking(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.asked.fetch_max(millis, Ordering::AcqRel);
    }

    fn known(&self) -> Option<Address> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks all of them at once and takes the first answer: one that hangs must not hold up the others.
    async fn ask(&self) -> Result<Address, StoreError> {
        let asking = self.sentinels.iter().map(|(address, client)| self.ask_one(address, client).boxed());
        let (master, _) = select_ok(asking).await?;
        let before = self.master.lock().unwrap_or_else(PoisonError::into_inner).replace(master.clone());
        if let Some(before) = before.filter(|before| *before != master) {
            tracing::warn!(%before, now = %master, "the sentinels name another Redis as the master");
        }
        Ok(master)
    }

    async fn ask_one(&self, sentinel: &Address, client: &Client) -> Result<Address, StoreError> {
        let patience = self.options.connect_timeout;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let asked = async {
            let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut question = redis::cmd("SENTINEL");
            question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
            question.query_async::<Option<(String, u16)>>(&mut connection).await
        };
        match asked.await {
            Ok(Some((host, port))) => Ok(Address { host, port }),
            Ok(None) => Err(StoreError::Unavailable(format!(
                "the sentinel at {sentinel} knows no master `{}`: is that its name in the sentinel's configuration?",
                self.name
            ))),
            Err(error) => Err(fault::of_sentinel(sentinel, &error)),
        }
    }
}
