//! A real redis-server.

use super::process::Leashed;
use super::tool;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The binary, which is a sentinel too.
pub fn program() -> std::path::PathBuf {
    tool("GRANTKEEP_TEST_REDIS_SERVER", "bin/redis-server")
}

pub struct RedisServer {
    server: Leashed,
    port: u16,
}

impl RedisServer {
    /// The server that cases share: keep to tenants of your own, and count nothing on it. It ends with its last user.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(&[]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A server for one case alone, with further settings: `["--appendonly", "yes"]`. Without them it keeps nothing on
    /// disk.
    pub fn start(settings: &[&str]) -> Self {
        Leashed::on_a_free_port(|port| Self::start_on(port, settings))
    }

    /// The same on a port of the case's choosing. When it ended before it was ready: what it said.
    pub fn start_on(port: u16, settings: &[&str]) -> Result<Self, String> {
        let number = port.to_string();
        let mut arguments =
            vec!["--port", &number, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        // A master waits five seconds for further replicas otherwise, and says nothing to them for ten.
        arguments.extend(["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]);
        arguments.extend(settings);
        let program = program();
        let (server, ()) = Leashed::start(&program, &arguments, |server| {
            server.log().contains("Ready to accept connections").then_some(())
        })?;
        Ok(Self { server, port })
    }

    /// Sends the server a signal by name: `STOP` lets it hang, `CONT` lets it go on.
    pub fn signal(&self, name: &str) {
        self.server.signal(name);
    }

    /// The folder it runs in, with what it keeps on disk.
    pub fn home(&self) -> &std::path::Path {
        self.server.home()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// A connection of the test's own.
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).and_then(|client| client.get_connection()).expect("it answers")
    }

    /// Says one thing to the server.
    pub fn say<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words).query(&mut self.connection()).expect("it answers")
    }

    /// The same of a server that may close the connection meanwhile, as one does whose role changes.
    pub fn try_say<T: redis::FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        let client = redis::Client::open(self.url()).ok()?;
        let mut command = redis::Cmd::new();
        command.arg(words).query(&mut client.get_connection().ok()?).ok()
    }

    /// How often each command was called since the last `CONFIG RESETSTAT`, by its name in small letters.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let said: String = self.say(&["INFO", "commandstats"]);
        said.lines().filter_map(calls_of_line).collect()
    }
}

/// `cmdstat_get:calls=21,usec=175,…`
fn calls_of_line(line: &str) -> Option<(String, u64)> {
    let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(':')?;
    let calls = numbers.split(',').find_map(|number| number.strip_prefix("calls="))?;
    Some((name.to_owned(), calls.parse().ok()?))
}
