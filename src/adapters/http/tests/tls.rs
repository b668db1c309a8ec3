//! Certificates that do not hold, and handshakes that go wrong: nothing is sent, or it is said to be lost.

use super::*;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};

const NAME: &str = "provider.example";

/// An authority, and what it says of `NAME` or of whatever `change` makes of it.
struct Authority {
    root: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn says(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A door that trusts this authority alone, and finds every name on this machine.
    fn door(&self) -> HttpUpstream {
        install_tls();
        let lookup = Arc::new(Always(IpAddr::from([127, 0, 0, 1]), Mutex::default()));
        let root = reqwest::Certificate::from_der(self.root.der()).unwrap();
        let checked = Checked { lookup, refused: |_| None };
        HttpUpstream::build(STRICT, checked, |client| client.tls_certs_only([root])).unwrap()
    }
}

/// A server with this certificate that answers one request; what it got to read after the handshake.
fn server(
    (certificate, key): (Certificate, KeyPair),
    clients: Option<&Authority>,
) -> (u16, std::thread::JoinHandle<String>) {
    install_tls();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = match clients {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.root.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let config = Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
        let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
        while !String::from_utf8_lossy(&seen).ends_with("code=hunter2") {
            match stream.read(&mut piece) {
                Ok(length @ 1..) => seen.extend_from_slice(&piece[..length]),
                _ => return String::from_utf8_lossy(&seen).into_owned(),
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").unwrap();
        String::from_utf8_lossy(&seen).into_owned()
    };
    (port, std::thread::spawn(serve))
}

async fn asked(door: &HttpUpstream, port: u16) -> Result<OutboundResponse, UpstreamError> {
    door.send(post(&format!("https://{NAME}:{port}/token"))).await
}

#[tokio::test]
async fn a_good_certificate_is_accepted() {
    let authority = Authority::new();
    let (port, server) = server(authority.says(NAME, |_| ()), None);
    assert_eq!(asked(&authority.door(), port).await.unwrap().body, b"{}");
    assert!(server.join().unwrap().starts_with("POST /token HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_gets_no_request() {
    let (authority, other) = (Authority::new(), Authority::new());
    let self_signed = || {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap(), key)
    };
    for (what, certificate) in [
        ("another name", authority.says("other.example", |_| ())),
        ("another suffix", authority.says("provider.example.evil.example", |_| ())),
        ("too wide a wildcard", authority.says("*.example.com", |_| ())),
        ("expired", authority.says(NAME, |params| params.not_after = date_time_ymd(2020, 1, 1))),
        ("not yet valid", authority.says(NAME, |params| params.not_before = date_time_ymd(2999, 1, 1))),
        ("unknown authority", other.says(NAME, |_| ())),
        ("self-signed", self_signed()),
    ] {
        let (port, server) = server(certificate, None);
        let outcome = asked(&authority.door(), port).await;
        assert!(matches!(outcome, Err(UpstreamError::NotSent(_))), "{what}: {outcome:?}");
        assert_eq!(server.join().unwrap(), "", "{what}");
    }
    // The roots of the system do not know it either.
    let (port, server) = server(authority.says(NAME, |_| ()), None);
    let lookup = Arc::new(Always(IpAddr::from([127, 0, 0, 1]), Mutex::default()));
    let upstream = HttpUpstream::with_lookup(OPEN, lookup).unwrap();
    assert!(matches!(asked(&upstream, port).await, Err(UpstreamError::NotSent(_))));
    assert_eq!(server.join().unwrap(), "");
}

#[tokio::test]
async fn a_handshake_that_the_server_denounces_is_lost() {
    // In TLS 1.3 a server looks at the client's certificate after the client may send: whether it read on is not known.
    let authority = Authority::new();
    let (port, server) = server(authority.says(NAME, |_| ()), Some(&authority));
    let outcome = asked(&authority.door(), port).await;
    assert!(matches!(outcome, Err(UpstreamError::Lost(_))), "{outcome:?}");
    assert_eq!(server.join().unwrap(), "");
}

#[tokio::test]
async fn a_handshake_that_is_cut_off_sends_nothing() {
    // Nothing, an alert (handshake_failure), and what a server of another protocol would say.
    for said in [&b""[..], b"\x15\x03\x03\x00\x02\x02\x28", b"\x16\x03\x03\xff\xff"] {
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(said).await.unwrap();
        });
        let outcome = HttpUpstream::new(OPEN).unwrap().send(post(&format!("https://{address}/"))).await;
        assert!(matches!(outcome, Err(UpstreamError::NotSent(_))), "{said:?} {outcome:?}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_handshake_means_not_sent() {
    let quick = HttpOptions { connect_timeout: Duration::from_millis(300), ..OPEN };
    // Something that does not speak TLS.
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![stream.read_u8().await.unwrap()];
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Fails where the client resets; what came until then is what matters.
        let _ = stream.read_to_end(&mut seen).await;
        seen
    });
    let outcome =
        HttpUpstream::new(quick).unwrap().send(post(&format!("https://{address}/?q=hunter2"))).await;
    assert!(matches!(outcome, Err(UpstreamError::NotSent(_))), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("hunter2"));
    let seen = server.await.unwrap();
    assert_eq!(seen.first(), Some(&22), "a TLS handshake record comes first");
    assert!(!String::from_utf8_lossy(&seen).contains("hunter2"));

    // Something that says nothing.
    let (listener, address) = listen().await;
    let outcome = HttpUpstream::new(quick).unwrap().send(post(&format!("https://{address}/"))).await;
    assert_eq!(outcome.unwrap_err(), UpstreamError::NotSent("no connection in time".to_owned()));
    drop(listener);
}
