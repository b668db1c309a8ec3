//! The servers, each a process of its own that ends with this one, and what the system tells of them.

use super::Options;
use super::http::{ask, until_answered};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The release binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_grantkeep");

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn free_port() -> u16 {
    TcpListener::bind(local(0)).and_then(|at| at.local_addr()).expect("a port is free").port()
}

/// The bare handler: this program again.
pub struct Bare {
    process: Process,
    pub at: SocketAddr,
    /// Of its answers.
    pub bytes: usize,
}

impl Bare {
    pub fn start(bytes: usize, workers: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--bare", &bytes.to_string(), "--workers", &workers.to_string()]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = Process(spawned.expect("it starts"));
        let mut line = String::new();
        let said = process.0.stdout.take().expect("it is piped");
        BufReader::new(said).read_line(&mut line).expect("it says where");
        let at = line.trim().parse().expect("an address");
        Self { process, at, bytes }
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// The program of a Redis.
pub struct Program(pub PathBuf);

impl Program {
    /// As it says itself: `Redis server v=7.0.15 sha=…`.
    pub fn version(&self) -> String {
        let said = Command::new(&self.0).arg("--version").output().expect("it says its version").stdout;
        let said = String::from_utf8_lossy(&said);
        let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="));
        version.unwrap_or("of some version").to_owned()
    }
}

/// A Redis that keeps nothing on disk.
pub struct Redis {
    process: Process,
    at: SocketAddr,
}

impl Redis {
    pub fn start(program: &Program, folder: &Path) -> Self {
        let at = local(free_port());
        let log = File::create(folder.join("redis.log")).expect("a file");
        let mut command = Command::new(&program.0);
        command.args(["--port", &at.port().to_string(), "--bind", "127.0.0.1", "--save", ""]);
        // As in deploy/redis.conf.
        command.args(["--hash-max-listpack-value", "2048"]);
        let spawned = command.current_dir(folder).stdin(Stdio::null()).stdout(log).spawn();
        let redis = Self { process: Process(spawned.expect("Redis starts")), at };
        while std::net::TcpStream::connect(at).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        redis
    }

    /// Bytes that it uses, all databases together.
    pub fn used(&self) -> usize {
        let client = redis::Client::open(self.url(0)).expect("a URL");
        let mut connection = client.get_connection().expect("it answers");
        let memory: String = redis::cmd("INFO").arg("memory").query(&mut connection).expect("it tells");
        let line = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|bytes| bytes.trim().parse().ok()).expect("a number")
    }

    /// One of its sixteen databases.
    pub fn url(&self, database: usize) -> String {
        format!("redis://{}/{database}", self.at)
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// A Grantkeep with settings of its own, which may be started several times.
pub struct Grantkeep {
    process: Option<Process>,
    settings: Vec<(&'static str, String)>,
    folder: PathBuf,
    pub public: SocketAddr,
    admin: SocketAddr,
}

impl Grantkeep {
    pub fn new(
        folder: &Path,
        store: &str,
        options: &Options,
        further: &[(&'static str, &'static str)],
    ) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let (public, admin) = (local(free_port()), local(free_port()));
        let mut settings = vec![
            ("GRANTKEEP_SERVER__PORT", public.port().to_string()),
            ("GRANTKEEP_SERVER__WORKERS", options.workers.to_string()),
            ("GRANTKEEP_SERVER__DATA_FOLDER", folder.join("data").display().to_string()),
            ("GRANTKEEP_ADMIN__PORT", admin.port().to_string()),
            ("GRANTKEEP_STORE__URL", store.to_owned()),
            ("GRANTKEEP_VAULT__MASTER_KEYS", grantkeep::app::new_master_key(Some("bench"))),
            ("GRANTKEEP_MAIL__URL", format!("outbox:{}", folder.join("outbox").display())),
            ("GRANTKEEP_UPSTREAM__ALLOW_INSECURE", "true".to_owned()),
            // As many as it takes for thousands of refreshes a second at 50 ms each.
            ("GRANTKEEP_UPSTREAM__AT_ONCE", "512".to_owned()),
            ("GRANTKEEP_LOG__LEVEL", options.log_level.clone()),
        ];
        settings.extend(further.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Self { process: None, settings, folder: folder.to_owned(), public, admin }
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        self.spawn();
        self.await_health();
    }

    pub fn spawn(&mut self) {
        let log = File::create(self.folder.join("log")).expect("a file");
        let mut command = Command::new(BINARY);
        command.arg("serve").env_clear().envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(Process(command.spawn().expect("it starts")));
    }

    pub fn await_health(&mut self) {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(until_answered(self.admin, request).status, 200, "{}", self.log());
    }

    /// Asks it to end, and waits until it did.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", process.0.id())]).status();
        assert!(kill.expect("sh runs").success(), "it runs no more: {}", self.log());
        assert!(process.0.wait().expect("it ends").success(), "{}", self.log());
    }

    /// From its next start on it has this file of the provider `sandbox`, and trusts these authorities (PEM).
    pub fn know_provider(&mut self, file: &str, authorities: &str) {
        let (providers, roots) = (self.folder.join("providers"), self.folder.join("roots.pem"));
        fs::create_dir_all(&providers).expect("a folder");
        fs::write(providers.join("sandbox.toml"), file).expect("a file");
        fs::write(&roots, authorities).expect("a file");
        self.settings.push(("GRANTKEEP_PROVIDERS__DIRS", providers.display().to_string()));
        self.settings.push(("SSL_CERT_FILE", roots.display().to_string()));
    }

    /// As variables.
    pub fn settings(&self) -> &[(&'static str, String)] {
        &self.settings
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.0.id())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.public)
    }

    pub fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// How many refreshes it counted.
    pub fn refreshes(&self) -> usize {
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let metrics = ask(self.admin, request).expect("it answers").body;
        assert!(metrics.contains("grantkeep_handouts_total"), "the metrics count handouts: {metrics}");
        metrics.lines().filter(|line| line.starts_with("grantkeep_refreshes_total")).count()
    }
}

/// What all threads of a process have used so far, where the system tells it as Linux does (proc(5)).
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses and may hold anything; user and system time are fields 14 and 15.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    // Linux counts them in hundredths of a second for everybody, whatever the kernel's own clock.
    Some((ticks()? + ticks()?) / 100.0)
}

/// The memory of a process that is in RAM, its share of shared files with it.
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
