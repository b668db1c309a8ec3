//! What really went between Grantkeep and a provider: a proxy before the sandbox that listens in.

use grantkeep::adapters::system::{SystemChance, SystemClock};
use grantkeep::sandbox::{Behaviour, Rotation, Sandbox, SandboxOptions};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A sandbox that is reached through a wire that is tapped.
pub struct Wiretap {
    pub sandbox: Sandbox,
    pub host: String,
    heard: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Wiretap {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let behaviour = Behaviour {
            access_lifetime: Duration::from_mins(5),
            rotation: Rotation::Grace,
            grace: Duration::from_mins(5),
            ..Behaviour::default()
        };
        let options =
            SandboxOptions { issuer: Some(format!("http://{host}")), behaviour, ..SandboxOptions::default() };
        let sandbox = Sandbox::start(options, Arc::new(SystemClock::new()), Arc::new(SystemChance))
            .await
            .expect("it starts");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let there = sandbox.base_url().trim_start_matches("http://").to_owned();
        let listening = tokio::spawn(pass_on(listener, there, Arc::clone(&heard)));
        Self { sandbox, host, heard, listening }
    }

    /// Every text heard so far that stands after `before` and goes on with letters that tokens are made of.
    pub fn heard(&self, before: &str, keep: bool) -> Vec<String> {
        let heard = String::from_utf8_lossy(&self.heard.lock().expect("nobody panicked")).into_owned();
        let mut all: Vec<String> = heard
            .match_indices(before)
            .map(|(at, _)| {
                let rest = &heard[at + before.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-._~+/=".contains(c));
                let text = &rest[..end.unwrap_or(rest.len())];
                if keep { format!("{before}{text}") } else { text.to_owned() }
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass_on(listener: TcpListener, there: String, heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((here, _)) = listener.accept().await {
        let there = TcpStream::connect(&there).await.expect("the sandbox is there");
        let (from_here, to_here) = here.into_split();
        let (from_there, to_there) = there.into_split();
        tokio::spawn(copy(from_here, to_there, Arc::clone(&heard)));
        tokio::spawn(copy(from_there, to_here, Arc::clone(&heard)));
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    heard: Arc<Mutex<Vec<u8>>>,
) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        heard.lock().expect("nobody panicked").extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}
