//! `deploy/compose.yaml` as an operator's machine would read it: variables filled in, and then addresses, ports and paths
//! put where a test may have them. Nothing else of it is changed.

use super::{text, variables, yaml};
use crate::support::process::Leashed;
use crate::support::tool;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

/// The file with its variables filled in.
pub struct Compose(Value);

impl Compose {
    /// With the values of an operator's `.env`, which must be those that `.env.example` asks for and no others.
    pub fn read(env: &[(&str, &str)]) -> Self {
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let example = variables(&text("deploy/.env.example"));
        assert_eq!(
            env.keys().collect::<Vec<_>>(),
            example.keys().collect::<Vec<_>>(),
            ".env.example names them all"
        );
        let mut compose = yaml("deploy/compose.yaml").remove(0);
        fill(&mut compose, &env);
        Self(compose)
    }

    pub fn service(&self, name: &str) -> &Value {
        &self.0["services"][name]
    }

    /// What it is started under.
    pub fn environment(&self, service: &str) -> BTreeMap<String, String> {
        let environment = self.service(service)["environment"].as_object().expect("variables");
        environment
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
            .collect()
    }
}

/// `${NAME}`, `${NAME:?why}` and `${NAME:-default}`, and `$$` for a dollar.
fn fill(value: &mut Value, env: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => *text = filled(text, env),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, env)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, env)),
        _ => {}
    }
}

fn filled(text: &str, env: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let inner = after.strip_prefix('{').expect("a variable in braces");
        let (inner, after) = inner.split_once('}').expect("it ends");
        let name = inner.split(':').next().expect("a name");
        out.push_str(env.get(name).unwrap_or_else(|| panic!("{name} is not in .env.example")));
        rest = after;
    }
    out + rest
}

/// Replaces something that must be there.
pub fn put(text: &str, there: &str, here: &str) -> String {
    assert!(text.contains(there), "no `{there}` in:\n{text}");
    text.replace(there, here)
}

/// A port that was free a moment ago.
pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a port is free").port()
}

/// Redis by the command and the file of compose, on a port and in a folder of the test's. What it said where it did not
/// start.
pub fn redis(compose: &Compose, port: u16, folder: &Path) -> Result<Leashed, String> {
    let conf = text("deploy/redis.conf");
    let conf = put(&conf, "\nbind * -::*\n", "\nbind 127.0.0.1\n");
    let conf = put(&conf, "\nport 6379\n", &format!("\nport {port}\n"));
    let conf = put(&conf, "\ndir /data\n", &format!("\ndir {}\n", folder.display()));
    let file = folder.join("redis.conf");
    std::fs::write(&file, conf).expect("a file");
    let service = compose.service("redis");
    let command: Vec<&str> = service["command"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|word| word.as_str().expect("a text"))
        .collect();
    let [shell @ .., script] = &command[..] else { panic!("{command:?}") };
    assert_eq!(shell, ["sh", "-c"]);
    let script = put(script, "/etc/redis.conf", &file.display().to_string());
    let server = tool("GRANTKEEP_TEST_REDIS_SERVER", "bin/redis-server");
    let script = put(&script, "redis-server", &server.display().to_string());
    let environment = compose.environment("redis").into_iter().map(|(name, value)| format!("{name}={value}"));
    let arguments: Vec<String> = environment.chain(["sh".to_owned(), "-c".to_owned(), script]).collect();
    let ready = |server: &Leashed| server.log().contains("Ready to accept connections").then_some(());
    Ok(Leashed::start(Path::new("/usr/bin/env"), arguments, ready)?.0)
}

/// nginx by the file of compose. What it said where it did not start.
pub fn nginx(plain: u16, tls: u16, behind: [u16; 2], papers: &Path) -> Result<Leashed, String> {
    let conf = text("deploy/nginx.conf");
    let folder = papers.display().to_string();
    let conf = put(&conf, "/tmp/", &format!("{folder}/"));
    let conf = put(&conf, "listen 8080;", &format!("listen 127.0.0.1:{plain};"));
    let conf = put(&conf, "listen 8443 ssl;", &format!("listen 127.0.0.1:{tls} ssl;"));
    let conf = put(&conf, "server grantkeep-1:8080 ", &format!("server 127.0.0.1:{} ", behind[0]));
    let conf = put(&conf, "server grantkeep-2:8080 ", &format!("server 127.0.0.1:{} ", behind[1]));
    let conf = put(&conf, "/etc/nginx/tls/", &format!("{folder}/"));
    // The leash keeps standard error and output together.
    let conf = put(&conf, "/dev/stdout", &format!("{folder}/access.log"));
    let file = papers.join("nginx.conf");
    std::fs::write(&file, conf).expect("a file");
    let arguments = [
        "-c".to_owned(),
        file.display().to_string(),
        "-e".to_owned(),
        "stderr".to_owned(),
        "-g".to_owned(),
        // One process: workers would outlive a master that the leash kills.
        "daemon off; master_process off;".to_owned(),
    ];
    let program = tool("GRANTKEEP_TEST_NGINX", "bin/nginx");
    let up = |_: &Leashed| std::net::TcpStream::connect(("127.0.0.1", tls)).ok().map(drop);
    Ok(Leashed::start(&program, arguments, up)?.0)
}
