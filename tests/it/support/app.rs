//! A server of ours under test: in this process for most cases, as processes of the real binary where several are needed,
//! or one is to be stopped or killed.

use super::process::Leashed;
use super::redis::RedisServer;
use grantkeep::adapters::system::SystemClock;
use grantkeep::app::{Running, new_master_key, start_by};
use grantkeep::config::Settings;
use grantkeep::ports::Clock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Which store a server stands on.
#[derive(Clone)]
pub enum Stores {
    /// A folder of its own.
    Embedded,
    /// This Redis.
    Redis(Arc<RedisServer>),
    /// What this URL names; somebody else keeps it alive.
    At(String),
}

impl Stores {
    /// The Redis that cases share.
    pub fn redis() -> Self {
        Self::Redis(RedisServer::shared())
    }

    fn url(&self, folder: &Path) -> String {
        match self {
            Self::Embedded => format!("embedded:{}", folder.join("data").display()),
            Self::Redis(redis) => redis.url(),
            Self::At(url) => url.clone(),
        }
    }
}

/// Runs one case on each store: `on_both_stores!(name, |stores| async move { … })`.
#[macro_export]
macro_rules! on_both_stores {
    ($name:ident, $case:expr) => {
        mod $name {
            use super::*;
            #[tokio::test]
            async fn embedded() {
                let case = $case;
                case($crate::support::app::Stores::Embedded).await;
            }
            #[tokio::test]
            async fn redis() {
                let case = $case;
                case($crate::support::app::Stores::redis()).await;
            }
        }
    };
}

/// Where a server is to be found, and where its mails land.
pub struct App {
    pub url: String,
    /// Where it listens, whatever its public URL says. Of a process of its own: the public URL.
    pub direct: String,
    pub admin: String,
    pub outbox: PathBuf,
    _stores: Stores,
    folder: TempDir,
    runs: Runs,
}

enum Runs {
    Here(Box<Option<Running>>),
    Beside(Leashed),
}

/// What every server under test is set to.
fn settings(stores: &Stores, folder: &Path, further: &[(&str, &str)]) -> Vec<(String, String)> {
    let outbox = folder.join("outbox").display().to_string();
    let mut all = vec![
        ("server.port".to_owned(), "0".to_owned()),
        ("server.workers".to_owned(), "2".to_owned()),
        ("admin.port".to_owned(), "0".to_owned()),
        ("store.url".to_owned(), stores.url(folder)),
        ("server.data_folder".to_owned(), folder.join("data").display().to_string()),
        ("vault.master_keys".to_owned(), new_master_key(Some("test"))),
        ("mail.url".to_owned(), format!("outbox:{outbox}")),
        ("upstream.allow_insecure".to_owned(), "true".to_owned()),
        // Every server of a case has just started.
        ("refresh.rest".to_owned(), "100ms".to_owned()),
        // Cases count what is refreshed: nothing is by itself, but where that is what they are about.
        ("refresh.pace".to_owned(), "1h".to_owned()),
        ("log.level".to_owned(), "error".to_owned()),
        ("limits.sign_ups_per_hour".to_owned(), "100000".to_owned()),
        ("limits.failed_logins_per_minute".to_owned(), "100000".to_owned()),
    ];
    for (key, value) in further {
        all.retain(|(known, _)| known != key);
        all.push(((*key).to_owned(), (*value).to_owned()));
    }
    all
}

/// What a server says once it serves, in either format of the log: its public URL, and where its admin port is.
fn said_serving(line: &str) -> Option<(String, String)> {
    if let Ok(said) = serde_json::from_str::<serde_json::Value>(line) {
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        return text("url").zip(text("admin")).filter(|_| said["message"] == "serving");
    }
    let text =
        |name: &str| line.split_whitespace().find_map(|word| Some(word.strip_prefix(name)?.to_owned()));
    text("url=").zip(text("admin=")).filter(|_| line.contains(" serving "))
}

impl App {
    /// A server in this process.
    pub async fn start(stores: Stores) -> Self {
        Self::start_with(stores, &[]).await
    }

    /// The same with further settings, by dotted key.
    pub async fn start_with(stores: Stores, further: &[(&str, &str)]) -> Self {
        Self::start_by(stores, further, Arc::new(SystemClock::new())).await
    }

    /// The same by a clock of the case's own.
    pub async fn start_by(stores: Stores, further: &[(&str, &str)], clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let all = settings(&stores, folder.path(), further);
        let overrides: Vec<(&str, String)> =
            all.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let settings = Settings::load(None, std::iter::empty(), &overrides).unwrap_or_else(|f| panic!("{f}"));
        let running = start_by(settings, clock).await.unwrap_or_else(|fault| panic!("{fault}"));
        Self {
            url: running.public_url().as_str().trim_end_matches('/').to_owned(),
            direct: format!("http://{}", running.public_at()),
            admin: format!("http://{}", running.admin_at()),
            outbox: folder.path().join("outbox"),
            _stores: stores,
            folder,
            runs: Runs::Here(Box::new(Some(running))),
        }
    }

    /// A server in a process of its own. Servers that are to share a store share a master key too: give it as
    /// `vault.master_keys`.
    pub fn spawn(stores: Stores, further: &[(&str, &str)]) -> Self {
        Self::spawn_by(&[], stores, further)
    }

    /// The same, where the words of `by` are a command that does something first and then becomes the command behind them.
    pub fn spawn_by(by: &[&str], stores: Stores, further: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let logs: Vec<(&str, &str)> = [("log.level", "info"), ("log.format", "json")]
            .into_iter()
            .filter(|(key, _)| !further.iter().any(|(known, _)| known == key))
            .collect();
        let all = settings(&stores, folder.path(), &[&logs, further].concat());
        // A name without a dot is no setting of ours, and a variable as it is.
        let variables = all.iter().map(|(key, value)| {
            if key.contains('.') {
                format!("GRANTKEEP_{}={value}", key.to_uppercase().replace('.', "__"))
            } else {
                format!("{key}={value}")
            }
        });
        let program = PathBuf::from(env!("CARGO_BIN_EXE_grantkeep"));
        let by = by.iter().map(|word| (*word).to_owned());
        let arguments: Vec<String> =
            variables.chain(by).chain([program.display().to_string(), "serve".to_owned()]).collect();
        let serving = |server: &Leashed| server.log().lines().find_map(said_serving);
        let (server, (url, admin)) =
            Leashed::start(Path::new("/usr/bin/env"), arguments, serving).expect("it starts");
        Self {
            url: url.trim_end_matches('/').to_owned(),
            direct: url.trim_end_matches('/').to_owned(),
            admin: format!("http://{admin}"),
            outbox: folder.path().join("outbox"),
            _stores: stores,
            folder,
            runs: Runs::Beside(server),
        }
    }

    /// A server that somebody else started, seen through the address that it is reached by.
    pub fn reached(url: &str, admin: &str, outbox: &Path, server: Leashed) -> Self {
        Self {
            url: url.to_owned(),
            direct: url.to_owned(),
            admin: admin.to_owned(),
            outbox: outbox.to_owned(),
            _stores: Stores::At(String::new()),
            folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"),
            runs: Runs::Beside(server),
        }
    }

    /// Everything a server in a process of its own has logged so far.
    pub fn log(&self) -> String {
        match &self.runs {
            Runs::Here(_) => panic!("only a server in a process of its own has a log of its own"),
            Runs::Beside(server) => server.log(),
        }
    }

    /// The process of a server in a process of its own.
    pub fn process(&self) -> &Leashed {
        match &self.runs {
            Runs::Here(_) => panic!("this server runs in the process of the tests"),
            Runs::Beside(server) => server,
        }
    }

    /// Waits until a server in a process of its own has ended; its exit code.
    pub async fn ended(&mut self) -> i32 {
        let Runs::Beside(server) = &mut self.runs else {
            panic!("this server runs in the process of the tests")
        };
        for _ in 0..3000 {
            if let Some(code) = server.ended() {
                return code;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("it does not end:\n{}", server.log())
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> String {
        let answer = super::browser::http().get(format!("{}/metrics", self.admin)).send().await;
        answer.expect("it answers").text().await.expect("a text")
    }

    /// One number of `/metrics`, by its name with all its labels; none where it is not there.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.metrics().await;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// The folder with the embedded store (`data`) and the outbox.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops a server in this process as SIGTERM would; true when all work was done.
    pub async fn stop(mut self) -> bool {
        match &mut self.runs {
            Runs::Here(running) => running.take().expect("it runs").stop().await,
            Runs::Beside(_) => panic!("send it a signal"),
        }
    }

    /// The link in the newest mail to an address that has one; mails are written in the background.
    pub async fn mailed_link(&self, to: &str) -> String {
        self.mailed(to, &self.url).await
    }

    /// The token in the newest mail to an address whose link leads to `path`.
    pub async fn mailed_token(&self, path: &str, to: &str) -> String {
        let link = self.mailed(to, &format!("{}{path}?token=", self.url)).await;
        link.split_once("token=").expect("a token").1.to_owned()
    }

    async fn mailed(&self, to: &str, start: &str) -> String {
        for _ in 0..1000 {
            let mails = self.mails(to);
            let link = mails.iter().rev().find_map(|mail| {
                mail.split_whitespace().find(|word| word.starts_with(start)).map(str::to_owned)
            });
            if let Some(link) = link {
                return link;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no mail came for {to}")
    }

    /// The mails to an address in the outbox, oldest first, as they are.
    pub fn mails(&self, to: &str) -> Vec<String> {
        let entries = std::fs::read_dir(&self.outbox).into_iter().flatten();
        let mut mails: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        mails.retain(|path| path.extension().is_some_and(|end| end == "eml"));
        mails.sort();
        let texts = mails.iter().map(|path| std::fs::read_to_string(path).expect("a text"));
        texts.filter(|mail| mail.contains(&format!("To: {to}"))).collect()
    }
}
