//! `grantkeep health`: asks the admin port of the server that runs by the same settings. For where there is no curl, as in
//! a container.

use super::error::StartError;
use crate::config::Settings;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than the server itself waits for its store.
const PATIENCE: Duration = Duration::from_secs(4);
/// A status line is shorter.
const LONGEST: usize = 256;

/// Succeeds where the server is up; where `ready` is set, where it should also get requests.
pub async fn health(settings: &Settings, ready: bool) -> Result<(), StartError> {
    let path = if ready { "/readyz" } else { "/healthz" };
    let at = SocketAddr::new(reachable(settings.admin.host), settings.admin.port);
    let asked = tokio::time::timeout(PATIENCE, ask(at, path)).await;
    let fault = |why: String| StartError::Unhealthy { at: format!("http://{at}{path}"), why };
    let said = asked
        .map_err(|_| fault(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| fault(error.to_string()))?;
    if said.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(fault(format!("answered `{said}`"))) }
}

/// The status line of the answer.
async fn ask(at: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut said = [0; LONGEST];
    let mut length = 0;
    while let Some(rest) = said.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest).await? {
            0 => break,
            more => length += more,
        }
        if said.contains(&b'\n') {
            break;
        }
    }
    let text = String::from_utf8_lossy(said.get(..length).unwrap_or_default());
    Ok(text.lines().next().unwrap_or_default().trim_end().to_owned())
}

/// Who listens on every address is reached on loopback.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}
