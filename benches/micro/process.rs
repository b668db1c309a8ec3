//! The server within this process, in the shape that the journey asks for.

use grantkeep::app::Running;
use grantkeep::config::Settings;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub struct Grantkeep {
    running: Option<(Running, Runtime)>,
    settings: Settings,
    folder: TempDir,
    pub public: SocketAddr,
}

impl Grantkeep {
    /// On the embedded store, in a folder of its own.
    pub fn start() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let inside = |name: &str| folder.path().join(name).display().to_string();
        let env = [
            ("GRANTKEEP_SERVER__PORT", "0".to_owned()),
            ("GRANTKEEP_ADMIN__PORT", "0".to_owned()),
            ("GRANTKEEP_SERVER__DATA_FOLDER", inside("data")),
            ("GRANTKEEP_STORE__URL", format!("embedded:{}", inside("store"))),
            ("GRANTKEEP_VAULT__MASTER_KEYS", grantkeep::app::new_master_key(Some("bench"))),
            ("GRANTKEEP_MAIL__URL", format!("outbox:{}", inside("outbox"))),
            ("GRANTKEEP_UPSTREAM__ALLOW_INSECURE", "true".to_owned()),
            ("GRANTKEEP_AUDIT__HANDOUTS", "off".to_owned()),
            ("GRANTKEEP_CACHE__TTL", "5s".to_owned()),
            ("GRANTKEEP_LOG__LEVEL", "warn".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        let settings = Settings::load(None, env.into_iter(), &[]).unwrap_or_else(|faults| panic!("{faults}"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let running = runtime.block_on(grantkeep::app::start(settings.clone()));
        let running = running.unwrap_or_else(|fault| panic!("{fault}"));
        let public = running.public_at();
        Self { running: Some((running, runtime)), settings, folder, public }
    }

    /// Leaves its store to others.
    pub fn stop(&mut self) {
        if let Some((running, runtime)) = self.running.take() {
            assert!(runtime.block_on(running.stop()), "nothing was left undone");
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.public)
    }

    pub fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    /// Where it is.
    pub fn log(&self) -> String {
        format!("{} writes its log to this process's standard error", self.public)
    }
}
