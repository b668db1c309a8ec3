//! Redis in each of its forms: with TLS under an authority of the test's own, with a user of few rights, under a sentinel,
//! and as a cluster. All of real servers.

use super::process::{Leashed, free_port};
use super::redis::{RedisServer, program};
use base64::prelude::{BASE64_STANDARD, Engine};
use grantkeep::adapters::http::install_tls;
use grantkeep::adapters::redis::{RedisOptions, RedisStore};
use grantkeep::domain::Secret;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;

/// How a form is reached: as settings of a server, and as options of the adapter.
#[derive(Clone)]
pub struct Reached {
    pub url: String,
    pub options: RedisOptions,
    /// The file with the authority, where there is one.
    pub ca_file: Option<String>,
    _kept: Arc<dyn std::any::Any + Send + Sync>,
}

impl Reached {
    pub fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url, self.options.clone()).expect("a good URL")
    }

    /// As settings, by dotted key.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("store.url", self.url.clone())];
        settings.extend(self.ca_file.clone().map(|file| ("store.ca_file", file)));
        if self.options.sentinel_login.is_some() {
            settings.push(("store.sentinel_password", SENTINELS_WORD.to_owned()));
        }
        settings
    }
}

/// What a user needs, as docs/operations.md says it; in a cluster [`IN_A_CLUSTER`] too.
pub const RIGHTS: &str = "on >s3cret-word resetkeys ~gk:* -@all +@connection +evalsha +script|load +hgetall +hget +hset +hdel \
    +exists +del +pexpire +zadd +zrem +zcard +zrangebylex +zrevrangebylex +xadd +xlen +xtrim +xrange +xrevrange +time \
    +publish resetchannels &gk:*";
/// What it needs besides to be told what others do.
pub const TO_LISTEN: &str = "+subscribe";
pub const IN_A_CLUSTER: &str = "+cluster|slots";
const LOGIN: &str = "grantkeep:s3cret%2Dword@";
const SENTINELS_WORD: &str = "watch word";

/// Gives a server the user of [`RIGHTS`], who listens too.
pub fn admit(server: &RedisServer, further: &[&str]) {
    let rights: Vec<&str> =
        RIGHTS.split_whitespace().chain([TO_LISTEN]).chain(further.iter().copied()).collect();
    server.say::<()>(&[&["ACL", "SETUSER", "grantkeep"], rights.as_slice()].concat());
}

/// The forms that cases share: keep to tenants of your own. They end with the tests.
pub fn shared(form: &str) -> Reached {
    static TLS: LazyLock<Reached> = LazyLock::new(with_tls);
    static ACL: LazyLock<Reached> = LazyLock::new(with_a_user);
    static SENTINEL: LazyLock<Reached> = LazyLock::new(|| Reached::from(Watched::start(&[])));
    static CLUSTER: LazyLock<Reached> = LazyLock::new(|| Reached::from(Nodes::start(3, 0, &[])));
    match form {
        "tls" => TLS.clone(),
        "acl" => ACL.clone(),
        "sentinel" => SENTINEL.clone(),
        "cluster" => CLUSTER.clone(),
        _ => panic!("no such form"),
    }
}

fn with_tls() -> Reached {
    install_tls();
    let papers = Papers::new();
    let at = free_port();
    let server = RedisServer::start(&papers.settings(at));
    Reached {
        url: format!("rediss://127.0.0.1:{at}/"),
        options: papers.options(),
        ca_file: Some(papers.path("ca.pem")),
        _kept: Arc::new((server, papers)),
    }
}

fn with_a_user() -> Reached {
    let server = RedisServer::start(&[]);
    admit(&server, &[]);
    let url = format!("redis://{LOGIN}127.0.0.1:{}/3", server.port());
    Reached { url, options: RedisOptions::default(), ca_file: None, _kept: Arc::new(server) }
}

/// An authority, and a certificate of it for 127.0.0.1.
pub struct Papers {
    folder: TempDir,
    strings: Vec<String>,
}

impl Papers {
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let ca_key = rcgen::KeyPair::generate().expect("a key");
        let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name.push(rcgen::DnType::CommonName, "Grantkeep's tests");
        let authority = ca.self_signed(&ca_key).expect("a certificate");
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let own = rcgen::CertificateParams::new(names).and_then(|own| own.signed_by(&key, &issuer));
        let own = own.expect("a certificate");
        write_pem(&folder.path().join("ca.pem"), "CERTIFICATE", authority.der());
        write_pem(&folder.path().join("own.pem"), "CERTIFICATE", own.der());
        write_pem(&folder.path().join("key.pem"), "PRIVATE KEY", &key.serialize_der());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let strings = vec![path("own.pem"), path("key.pem"), path("ca.pem")];
        Self { folder, strings }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.path("ca.pem")).expect("it was written")
    }

    fn options(&self) -> RedisOptions {
        RedisOptions { authority: Some(self.authority()), ..RedisOptions::default() }
    }

    /// What a server needs to speak TLS on that port, beside its plain one.
    pub fn settings(&self, port: u16) -> [&str; 10] {
        // A test's few bytes, until it ends.
        let number: &'static str = Box::leak(port.to_string().into_boxed_str());
        let [own, key, ca] = [0, 1, 2].map(|place: usize| self.strings[place].as_str());
        [
            "--tls-port",
            number,
            "--tls-cert-file",
            own,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            ca,
            "--tls-auth-clients",
            "no",
        ]
    }
}

fn write_pem(path: &Path, kind: &str, der: &[u8]) {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    let pem = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"));
    std::fs::write(path, pem).expect("a file");
}

/// A master with a replica, and a sentinel that watches over them and asks for a password.
pub struct Watched {
    /// The master first, as they were started.
    pub servers: [RedisServer; 2],
    pub sentinel: Leashed,
    sentinel_port: u16,
    _folder: TempDir,
}

impl Watched {
    /// The settings go to both servers.
    pub fn start(settings: &[&str]) -> Self {
        let master = RedisServer::start(settings);
        let of = master.port();
        let number = of.to_string();
        let replica = RedisServer::start(&[settings, &["--replicaof", "127.0.0.1", &number]].concat());
        Self::watch([master, replica], of, "")
    }

    /// Everybody speaks TLS to everybody.
    pub fn start_tls(papers: &Papers) -> Self {
        let server = |further: &[&str]| {
            let port = free_port();
            let all = [papers.settings(port).as_slice(), &["--tls-replication", "yes"], further].concat();
            (RedisServer::start(&all), port)
        };
        let (master, of) = server(&[]);
        let number = of.to_string();
        let (replica, _) = server(&["--replicaof", "127.0.0.1", &number]);
        let file = |name: &str| papers.path(name);
        let lines = format!(
            "tls-replication yes\ntls-auth-clients no\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n",
            file("own.pem"),
            file("key.pem"),
            file("ca.pem")
        );
        Self::watch([master, replica], of, &lines)
    }

    /// With lines for TLS the sentinel listens for that alone.
    fn watch([master, replica]: [RedisServer; 2], of: u16, tls: &str) -> Self {
        until("the replica follows", || (followers(&master) == 1).then_some(()));
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let file = folder.path().join("sentinel.conf");
        let (sentinel, sentinel_port) = Leashed::on_a_free_port(|port| {
            let listens = if tls.is_empty() { "" } else { "port 0\ntls-" };
            let lines = format!(
                "{listens}port {port}\n{tls}bind 127.0.0.1\nrequirepass \"{SENTINELS_WORD}\"\nsentinel monitor main 127.0.0.1 {of} 1\n\
                 sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n"
            );
            std::fs::write(&file, lines).expect("a file");
            let arguments = [file.display().to_string(), "--sentinel".to_owned()];
            Leashed::start(&program(), &arguments, |sentinel| {
                // It has heard of the replica: before that it could make nobody the master.
                sentinel.log().contains("+slave slave").then_some(port)
            })
        });
        Self { servers: [master, replica], sentinel, sentinel_port, _folder: folder }
    }

    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}/main", self.sentinel_port)
    }

    pub fn options() -> RedisOptions {
        let login = Some((String::new(), Secret::new(SENTINELS_WORD)));
        RedisOptions { sentinel_login: login, ..RedisOptions::default() }
    }

    /// Lets master and replica change places, as for maintenance.
    pub fn fail_over(&self) {
        let mut connection = self.connection();
        let mut order = redis::cmd("SENTINEL");
        order.arg("FAILOVER").arg("main");
        // It must have heard of the replica's state first.
        until("the sentinel has somebody to promote", || order.exec(&mut connection).ok());
    }

    fn connection(&self) -> redis::Connection {
        let url =
            format!("redis://:{}@127.0.0.1:{}/", SENTINELS_WORD.replace(' ', "%20"), self.sentinel_port);
        redis::Client::open(url).and_then(|client| client.get_connection()).expect("it answers")
    }

    /// As settings, by dotted key.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        [("store.url", self.url()), ("store.sentinel_password", SENTINELS_WORD.to_owned())]
    }

    /// The port of whom the sentinel calls the master.
    pub fn master(&self) -> u16 {
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg("main");
        let (_, port): (String, u16) = question.query(&mut self.connection()).expect("it answers");
        port
    }
}

impl From<Watched> for Reached {
    fn from(watched: Watched) -> Self {
        Self { url: watched.url(), options: Watched::options(), ca_file: None, _kept: Arc::new(watched) }
    }
}

/// A cluster: so many masters with an equal share of the slots, and so many replicas of each.
pub struct Nodes {
    /// The masters, then the replicas in the same order, once around for each.
    pub servers: Vec<RedisServer>,
    pub masters: usize,
}

impl Nodes {
    pub fn start(masters: usize, replicas: usize, settings: &[&str]) -> Self {
        Self::start_each(masters, replicas, |_| settings.to_vec())
    }

    /// With settings that name a further free port of each node's own.
    pub fn start_each<'a>(masters: usize, replicas: usize, settings: impl Fn(u16) -> Vec<&'a str>) -> Self {
        let servers: Vec<RedisServer> =
            (0..masters * (1 + replicas)).map(|_| start_node(&settings(free_port()))).collect();
        let nodes = Self { servers, masters };
        for (place, server) in nodes.servers.iter().enumerate() {
            server.say::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]);
        }
        for (place, server) in nodes.servers.iter().take(masters).enumerate() {
            let edge = |place: usize| place * 16384 / masters;
            let (first, last) = (edge(place), edge(place + 1) - 1);
            server.say::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
        let first = &nodes.servers[0];
        for server in &nodes.servers[1..] {
            let (port, bus) = (server.port().to_string(), bus_of(server).to_string());
            first.say::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        nodes.agree(format!("cluster_known_nodes:{}", nodes.servers.len()).as_str());
        for (place, server) in nodes.servers.iter().enumerate().skip(masters) {
            let id: String = nodes.servers[place % masters].say(&["CLUSTER", "MYID"]);
            server.say::<()>(&["CLUSTER", "REPLICATE", &id]);
        }
        nodes.agree("cluster_state:ok");
        for server in nodes.servers.iter().take(masters) {
            until("the replicas follow", || (followers(server) == replicas).then_some(()));
        }
        nodes
    }

    /// Waits until every node says this of the cluster.
    pub fn agree(&self, word: &str) {
        for server in &self.servers {
            let said = || server.say::<String>(&["CLUSTER", "INFO"]).contains(word).then_some(());
            until(word, said);
        }
    }

    /// The place of the master that has a key, as the node at place `asked` knows it.
    pub fn owner(&self, asked: usize, key: &str) -> usize {
        let slot: u64 = self.servers[asked].say(&["CLUSTER", "KEYSLOT", key]);
        let ranges: Vec<Vec<redis::Value>> = self.servers[asked].say(&["CLUSTER", "SLOTS"]);
        let number = |value: &redis::Value| redis::from_redis_value::<u64>(value.clone()).expect("a number");
        let range = ranges.iter().find(|range| (number(&range[0])..=number(&range[1])).contains(&slot));
        let redis::Value::Array(node) = &range.expect("somebody has it")[2] else { panic!("no node") };
        let port = number(&node[1]);
        self.servers.iter().position(|server| u64::from(server.port()) == port).expect("one of them")
    }

    /// The URL names two of the nodes.
    pub fn url(&self) -> String {
        let ports: Vec<u16> = self.servers.iter().take(2).map(RedisServer::port).collect();
        format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1])
    }
}

impl From<Nodes> for Reached {
    fn from(nodes: Nodes) -> Self {
        for server in &nodes.servers {
            admit(server, &[IN_A_CLUSTER]);
        }
        let url = nodes.url().replace("://", &format!("://{LOGIN}"));
        Self { url, options: RedisOptions::default(), ca_file: None, _kept: Arc::new(nodes) }
    }
}

/// Replicas that have said how far they are; before that WAIT does not count them.
pub fn followers(master: &RedisServer) -> usize {
    let said: String = master.say(&["INFO", "replication"]);
    let followers = said.lines().filter(|line| line.starts_with("slave") && line.contains("state=online"));
    followers.filter(|line| !line.contains("offset=0,")).count()
}

fn start_node(settings: &[&str]) -> RedisServer {
    // Its bus would be at its port plus 10,000, which may be more than there are.
    Leashed::on_a_free_port(|port| {
        let bus = free_port().to_string();
        let own = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
        RedisServer::start_on(port, &[&own, settings].concat())
    })
}

fn bus_of(server: &RedisServer) -> u16 {
    let settings: Vec<String> = server.say(&["CONFIG", "GET", "cluster-port"]);
    settings[1].parse().expect("a number")
}

/// Asks again and again, for half a minute at most.
pub fn until<T>(what: &str, mut said: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(said) = said() {
            return said;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came to this: {what}")
}
