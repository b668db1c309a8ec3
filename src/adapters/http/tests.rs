//! The door against real sockets. What each part tries is told in SECURITY.md, case by case.

mod hostile;
mod places;
mod reuse;
mod tls;

use super::*;
use crate::domain::Secret;
use crate::ports::OutboundBody;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const OPEN: HttpOptions = HttpOptions {
    allow_insecure: true,
    timeout: Duration::from_secs(20),
    connect_timeout: Duration::from_secs(3),
};
const STRICT: HttpOptions = HttpOptions { allow_insecure: false, ..OPEN };

/// Every name has this one address; remembers what was asked.
struct Always(IpAddr, Mutex<Vec<String>>);

#[async_trait]
impl Lookup for Always {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.1.lock().unwrap().push(name.to_owned());
        Ok(vec![self.0])
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Reads one request with its body, if it has a length.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |digits| digits.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return text;
        }
    }
}

/// A server that takes one request, writes `answer` and closes. Returns what it read, and its listener, so that a test can
/// see whether somebody knocks again.
async fn once(answer: Vec<u8>) -> (SocketAddr, JoinHandle<(String, TcpListener)>) {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        // The client may have had enough of a long answer.
        let _ = stream.write_all(&answer).await;
        (request, listener)
    });
    (address, server)
}

fn nobody_knocked(listener: TcpListener) {
    let listener = listener.into_std().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

fn get(url: &str) -> OutboundRequest {
    OutboundRequest {
        method: Method::Get,
        url: url.parse().unwrap(),
        headers: Vec::new(),
        body: None,
        timeout: None,
    }
}

fn post(url: &str) -> OutboundRequest {
    let body =
        OutboundBody { content_type: "application/x-www-form-urlencoded", text: Secret::new("code=hunter2") };
    OutboundRequest { method: Method::Post, body: Some(body), ..get(url) }
}

async fn answered(answer: impl Into<Vec<u8>>) -> Result<OutboundResponse, UpstreamError> {
    let (address, server) = once(answer.into()).await;
    let url = format!("http://{address}/token?secret=hunter2");
    let outcome = HttpUpstream::new(OPEN).unwrap().send(post(&url)).await;
    let (request, listener) = server.await.unwrap();
    assert!(request.starts_with("POST /token?secret=hunter2 HTTP/1.1\r\n"), "{request}");
    nobody_knocked(listener);
    if let Err(error) = &outcome {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    outcome
}

#[tokio::test]
async fn a_request_goes_out_as_it_was_built() {
    let answer = b"HTTP/1.1 201 Created\r\nX-A: b\r\nX-Raw: \xff\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    let (address, server) = once(answer).await;
    let mut request = post(&format!("http://{address}/token"));
    request.headers.push(("Authorization".to_owned(), Secret::new("Basic hunter2")));
    let answer = HttpUpstream::new(OPEN).unwrap().send(request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (201, b"{}".as_slice()));
    assert_eq!((answer.header("x-a"), answer.header("x-raw")), (Some("b"), None));

    let (sent, _) = server.await.unwrap();
    let lower = sent.to_lowercase();
    for line in [
        "authorization: basic hunter2",
        "content-type: application/x-www-form-urlencoded",
        concat!("user-agent: grantkeep/", env!("CARGO_PKG_VERSION")),
        &format!("host: {address}"),
        "accept-encoding: identity",
    ] {
        assert!(lower.contains(&format!("\r\n{line}\r\n")), "{sent}");
    }
    assert!(sent.ends_with("\r\n\r\ncode=hunter2"), "{sent}");
    assert!(!lower.contains("cookie"), "{sent}");
}

#[tokio::test]
async fn what_ends_before_its_end_is_lost() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\"",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n",
        "220 smtp.example ESMTP\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n",
    ] {
        let outcome = answered(answer).await;
        assert!(matches!(outcome, Err(UpstreamError::Lost(_))), "{answer:?} {outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_may_be_256_kib_and_no_more() {
    for (length, fits) in [(256 * 1024, true), (256 * 1024 + 1, false), (300 * 1024, false)] {
        let body = "x".repeat(length);
        let with_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        let until_close = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
        for answer in [with_length, until_close] {
            match answered(answer).await {
                Ok(answer) => assert!(fits && answer.body.len() == length),
                Err(error) => {
                    assert!(!fits, "{error}");
                    let text = "the answer is larger than 262144 bytes".to_owned();
                    assert_eq!(error, UpstreamError::Lost(text));
                }
            }
        }
    }
}

#[tokio::test]
async fn time_runs_over_the_body_too() {
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"] {
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            // Until the client goes away.
            stream.read_u8().await.unwrap_err()
        });
        let timeout = Some(Duration::from_millis(200));
        let request = OutboundRequest { timeout, ..get(&format!("http://{address}/")) };
        let error = HttpUpstream::new(OPEN).unwrap().send(request).await.unwrap_err();
        assert_eq!(error, UpstreamError::Lost("no complete answer within 200ms".to_owned()));
        server.await.unwrap();
    }
}

#[tokio::test]
async fn what_never_got_a_connection_was_not_sent() {
    let (listener, address) = listen().await;
    drop(listener);
    let outcome = HttpUpstream::new(OPEN).unwrap().send(post(&format!("http://{address}/?q=hunter2"))).await;
    let Err(UpstreamError::NotSent(text)) = outcome else { panic!("{outcome:?}") };
    assert!(text.contains("refused") && !text.contains("hunter2"), "{text}");

    let outcome = HttpUpstream::new(OPEN).unwrap().send(post("http://no-such-host.invalid/")).await;
    assert!(matches!(outcome, Err(UpstreamError::NotSent(_))), "{outcome:?}");
}

#[tokio::test]
async fn the_checked_address_is_the_one_connected_to() {
    let (address, server) = once(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await;
    let lookup = Arc::new(Always(address.ip(), Mutex::default()));
    let upstream = HttpUpstream::with_lookup(OPEN, Arc::<Always>::clone(&lookup)).unwrap();
    let url = format!("http://provider.example:{}/", address.port());
    assert_eq!(upstream.send(get(&url)).await.unwrap().status, 204);
    assert!(server.await.unwrap().0.contains("\r\nhost: provider.example:"));
    assert_eq!(*lookup.1.lock().unwrap(), ["provider.example"]);
}

#[tokio::test]
async fn plain_http_and_other_schemes_are_refused() {
    let outcome = HttpUpstream::new(STRICT).unwrap().send(get("http://8.8.8.8/")).await;
    assert_eq!(outcome.unwrap_err(), UpstreamError::NotSent("the URL is not https".to_owned()));
    let outcome = HttpUpstream::new(OPEN).unwrap().send(get("ftp://127.0.0.1/?q=hunter2")).await;
    let Err(UpstreamError::NotSent(text)) = outcome else { panic!("{outcome:?}") };
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_named_without_its_value() {
    let mut request = get("https://example.com/");
    request.headers.push(("X-Bad".to_owned(), Secret::new("hunter2\r\nX-More: 1")));
    let outcome = HttpUpstream::new(STRICT).unwrap().send(request).await;
    let refused = UpstreamError::NotSent("`X-Bad` is not a header that can be sent".to_owned());
    assert_eq!(outcome.unwrap_err(), refused);
}
