//! `grantkeep demo`: a server on the embedded store in a fresh folder, a sandbox provider, and the journey through both.

use super::error::StartError;
use super::running::Running;
use super::sandbox::{SandboxCall, sandbox};
use super::{new_master_key, start};
use crate::adapters::system::SystemChance;
use crate::config::Settings;
use crate::demo::{self, Stage};
use crate::ports::ChanceExt;
use crate::sandbox::Sandbox;
use std::fs::DirBuilder;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of the sandbox's access tokens: long enough to be used, short enough to be waited for.
const ACCESS_LIFETIME: Duration = Duration::from_secs(4);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How the demo is run.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The port to try first; another one where it is taken.
    pub port: u16,
    /// Show what the server logs.
    pub verbose: bool,
}

/// What the demo leaves running.
pub struct Demo {
    /// The server.
    pub server: Running,
    /// The provider.
    pub sandbox: Sandbox,
    /// What the journey brought.
    pub outcome: Result<demo::Summary, demo::Stumble>,
    folder: PathBuf,
}

impl Demo {
    /// Stops both servers and removes the folder.
    pub async fn end(self) -> Result<(), StartError> {
        self.server.stop().await;
        self.sandbox.stop().await;
        std::fs::remove_dir_all(&self.folder)
            .map_err(StartError::io(format!("removing {}", self.folder.display())))
    }
}

/// Starts everything and makes the journey, telling each step on `out`.
pub async fn demo(options: DemoOptions, out: &mut dyn Write) -> Result<Demo, StartError> {
    let folder = std::env::temp_dir().join(format!("grantkeep-demo-{}", SystemChance.base62(10)));
    DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(StartError::io(format!("making {}", folder.display())))?;
    let key_file = folder.join("master.key");
    let made = std::fs::write(&key_file, new_master_key(Some("demo")));
    made.map_err(StartError::io(format!("writing {}", key_file.display())))?;
    let server = start(settings(&options, &folder, &key_file)?).await?;
    let call = SandboxCall {
        host: LOCAL,
        port: 0,
        access_lifetime: ACCESS_LIFETIME,
        rotation: "strict".to_owned(),
        control: false,
    };
    let sandbox = sandbox(call).await?;
    let stage = Stage {
        server: server.public_url().clone(),
        admin: format!("http://{}", server.admin_at()),
        sandbox: sandbox.base_url().to_owned(),
        outbox: folder.join("outbox"),
        folder: folder.clone(),
        password: SystemChance.base62(24),
    };
    let outcome = demo::journey(&stage, out).await;
    Ok(Demo { server, sandbox, outcome, folder })
}

fn settings(options: &DemoOptions, folder: &Path, key_file: &Path) -> Result<Settings, StartError> {
    let level = if options.verbose { "info" } else { "error" };
    let overrides = [
        ("server.host", LOCAL.to_string()),
        ("server.port", free_or_any(options.port).to_string()),
        ("admin.host", LOCAL.to_string()),
        ("admin.port", "0".to_owned()),
        ("store.url", format!("embedded:{}", folder.join("data").display())),
        ("server.data_folder", folder.join("data").display().to_string()),
        ("vault.master_keys_file", key_file.display().to_string()),
        ("mail.url", format!("outbox:{}", folder.join("outbox").display())),
        ("upstream.allow_insecure", "true".to_owned()),
        ("log.level", level.to_owned()),
    ];
    // The environment stays out of it: the demo is the same everywhere.
    Ok(Settings::load(None, std::iter::empty(), &overrides)?)
}

/// The port where it is free, else 0, which takes any.
fn free_or_any(port: u16) -> u16 {
    if TcpListener::bind((LOCAL, port)).is_ok() { port } else { 0 }
}
