//! Refreshes: tokens of a crowd asked for anew, of a provider that takes its time.

use super::asked::Asked;
use super::drive::{Load, Measured, measure};
use super::journey::{Connected, forced_request};
use super::process::Grantkeep;
use super::{Options, Redis, fill};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Callers at once: so many are with the provider, less what is on its way.
const CALLERS: usize = 480;
/// How long the provider takes for an answer.
const PROVIDER: Duration = Duration::from_millis(50);

/// Asks for tokens of the crowd, each refreshed for its caller, with a provider at the place of the one they came from.
pub fn measured(
    server: &Grantkeep,
    redis: Option<&Redis>,
    connected: &Connected,
    options: &Options,
) -> Measured {
    let provider = provider(connected.provider);
    let load = Load {
        at: server.public,
        asked: Asked::crowd(forced_request(&connected.key, &fill::name(0)), options.crowd),
        connections: CALLERS,
        span: Duration::from_secs_f64(options.seconds),
    };
    let measured = measure(&load, server.pid(), redis.map(Redis::pid));
    provider.shutdown_background();
    measured
}

/// Answers every request with new tokens, after [`PROVIDER`], on connections that stay open.
fn provider(at: SocketAddr) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind(at)).expect("its port is free again");
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("it takes connections");
            tokio::spawn(serve(stream));
        }
    });
    runtime
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let mut read = 0;
        while !whole(&buffer[..read]) {
            let more = stream.read(&mut buffer[read..]).await.ok().filter(|more| *more > 0)?;
            read += more;
        }
        tokio::time::sleep(PROVIDER).await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let body = format!(
            r#"{{"access_token":"{number:0220}","refresh_token":"{number:064}","token_type":"Bearer","expires_in":864000}}"#
        );
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: ";
        let answer = format!("{head}{}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// A request with all of its body.
fn whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.is_none_or(|length| length.trim().parse::<usize>().is_ok_and(|length| body.len() >= length))
}
