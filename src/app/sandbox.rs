//! The sandbox provider on its own: `grantkeep sandbox`.

use super::error::StartError;
use crate::adapters::system::{SystemChance, SystemClock};
use crate::sandbox::{Behaviour, Rotation, Sandbox, SandboxOptions};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How a sandbox is started from the command line.
#[derive(Clone, Debug)]
pub struct SandboxCall {
    /// Where it listens.
    pub host: IpAddr,
    /// 0 takes a free port.
    pub port: u16,
    /// Of an access token.
    pub access_lifetime: Duration,
    /// `none`, `grace` or `strict`.
    pub rotation: String,
    /// Opens `/control`.
    pub control: bool,
}

/// Starts a sandbox; it runs until it is dropped.
pub async fn sandbox(call: SandboxCall) -> Result<Sandbox, StartError> {
    let rotation = match call.rotation.as_str() {
        "none" => Rotation::None,
        "grace" => Rotation::Grace,
        _ => Rotation::Strict,
    };
    let behaviour = Behaviour { access_lifetime: call.access_lifetime, rotation, ..Behaviour::default() };
    let options = SandboxOptions {
        host: call.host,
        port: call.port,
        control: call.control,
        behaviour,
        ..SandboxOptions::default()
    };
    Sandbox::start(options, Arc::new(SystemClock::new()), Arc::new(SystemChance))
        .await
        .map_err(StartError::io(format!("the sandbox on {}:{}", call.host, call.port)))
}
