//! Refreshes: tokens of a crowd asked for anew, over TLS, of a provider that takes its time.

use super::asked::Asked;
use super::drive::{Load, Measured, measure};
use super::journey::{Connected, forced_request};
use super::process::Grantkeep;
use super::{Options, Redis, fill};
use base64::prelude::{BASE64_STANDARD, Engine};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Callers at once: so many are with the provider, less what is on its way.
const CALLERS: usize = 480;
/// How long the provider takes for an answer.
const PROVIDER: Duration = Duration::from_millis(50);

/// Asks for tokens of the crowd, each refreshed for its caller, with a provider at the place of the one they came from.
pub fn measured(
    server: &mut Grantkeep,
    redis: Option<&Redis>,
    connected: &Connected,
    options: &Options,
) -> Measured {
    let (roots, papers) = papers(connected.provider);
    let provider = provider(connected.provider, papers);
    server.stop();
    server.know_provider(
        &include_str!("../../providers/sandbox.toml").replace("http://{host}", "https://{host}"),
        &roots,
    );
    server.start();
    let load = |seconds: f64| Load {
        at: server.public,
        asked: Asked::crowd(forced_request(&connected.key, &fill::name(0)), options.crowd),
        connections: CALLERS,
        span: Duration::from_secs_f64(seconds),
    };
    let measured = |seconds| measure(&load(seconds), server.pid(), redis.map(Redis::pid));
    // Once for the connections to the provider: they stay open.
    measured(0.5);
    let measured = measured(options.seconds);
    provider.shutdown_background();
    measured
}

/// An authority (PEM) and what a server at that address needs to be believed by whoever trusts it.
fn papers(at: SocketAddr) -> (String, ServerConfig) {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let der = authority.self_signed(&authority_key).expect("a certificate").der().to_vec();
    let roots =
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der));
    let key = rcgen::KeyPair::generate().expect("a key");
    let own = rcgen::CertificateParams::new(vec![at.ip().to_string()]).expect("parameters");
    let own = own.signed_by(&key, &rcgen::Issuer::new(authority, authority_key)).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    (roots, config.with_single_cert(vec![own.der().clone()], key).expect("a certificate"))
}

/// Answers every request with new tokens, after [`PROVIDER`], on connections that stay open.
fn provider(at: SocketAddr, papers: ServerConfig) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind(at)).expect("its port is free again");
    let tls = TlsAcceptor::from(Arc::new(papers));
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("it takes connections");
            tokio::spawn(serve(tls.clone(), stream));
        }
    });
    runtime
}

async fn serve(tls: TlsAcceptor, stream: TcpStream) -> Option<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut stream = tls.accept(stream).await.ok()?;
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
