//! A real redis-server for the tests, ended when the last test that uses it is done, however the test process ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub struct RedisServer {
    guard: Child,
    port: u16,
}

/// Runs the server and ends it when the pipe on standard input closes: also when the tests are killed.
const GUARD: &str = r#""$@" & server=$!; read _; kill -9 $server; wait $server 2>/dev/null"#;

impl RedisServer {
    /// The server that cases share; each has a partition of its own in it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(&[]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A server for one case alone.
    pub fn start(settings: &[&str]) -> Self {
        // Between choosing a port and taking it somebody else may take it.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(server) = Self::start_on(port, settings) {
                return server;
            }
        }
        panic!("redis-server does not start")
    }

    /// None when it ends before it is ready.
    pub fn start_on(port: u16, settings: &[&str]) -> Option<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).arg(program());
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.args(settings).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = command.spawn().unwrap();
        let mut log = BufReader::new(guard.stdout.take().unwrap()).lines();
        let ready = log.by_ref().map_while(Result::ok).any(|line| {
            assert!(!line.contains("not found"), "{line}");
            line.contains("Ready to accept connections")
        });
        drain(log);
        let server = Self { guard, port };
        ready.then_some(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// A connection of the test's own, for what the store never says.
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Says one thing to the server.
    pub fn say<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.connection()).unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Reads on, or the server would stop at a full pipe.
fn drain(log: std::io::Lines<BufReader<ChildStdout>>) {
    std::thread::spawn(move || log.for_each(drop));
}

fn program() -> PathBuf {
    let named = std::env::var_os("GRANTKEEP_TEST_REDIS_SERVER").map(PathBuf::from);
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).map(|folder| folder.join("redis-server"));
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/redis-server");
    let mut candidates = named.into_iter().chain(on_path).chain([built]);
    candidates.find(|path| path.is_file()).expect(
        "no redis-server: install it, or name one in GRANTKEEP_TEST_REDIS_SERVER; these tests are not skipped",
    )
}
