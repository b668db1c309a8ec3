//! Where a request may be led to: names, numbers and redirects that point inside (OWASP's cheat sheet on server-side request
//! forgery; RFC 6890 for the blocks, RFC 6052 and RFC 8215 for those of NAT64).

use super::*;
use std::net::Ipv4Addr;

/// Addresses inside, in every dress: plain, mapped, translated, tunnelled.
const INSIDE: &[&str] = &[
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:ffff:ffff:ffff:a00:1",
    "2002:a9fe:a9fe::1",
    "2002:7f00:1::",
    "2001:0:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
];

fn door(lookup: Arc<dyn Lookup>, refused: fn(IpAddr) -> Option<&'static str>) -> HttpUpstream {
    HttpUpstream::build(OPEN, Checked { lookup, refused }, |client| client).unwrap()
}

#[tokio::test]
async fn an_address_inside_is_refused_by_name_and_by_number() {
    for text in INSIDE {
        let address: IpAddr = text.parse().unwrap();
        let named = HttpUpstream::with_lookup(STRICT, Arc::new(Always(address, Mutex::default()))).unwrap();
        for name in ["provider.example", "provider.example.", "metadata.google.internal"] {
            let outcome = named.send(post(&format!("https://{name}/"))).await;
            let Err(UpstreamError::NotSent(said)) = outcome else { panic!("{name} {text} {outcome:?}") };
            assert!(said.starts_with("the host has no public address") && !said.contains(text), "{said}");
        }
        let host = if address.is_ipv6() { format!("[{text}]") } else { (*text).to_owned() };
        let outcome = HttpUpstream::new(STRICT).unwrap().send(post(&format!("https://{host}/"))).await;
        let Err(UpstreamError::NotSent(said)) = outcome else { panic!("{text} {outcome:?}") };
        assert!(said.starts_with("the host is not a public address"), "{said}");
    }
}

#[tokio::test]
async fn the_metadata_address_is_refused_in_every_spelling() {
    let upstream = HttpUpstream::new(STRICT).unwrap();
    for host in [
        "2852039166",
        "0xa9fea9fe",
        "0xA9FEA9FE.",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "025177524776",
        "169.254.43518",
        "169.16689662",
        "169.254.169.254.",
        "%31%36%39.254.169.254",
        "１６９.254.169.254",
        "169。254。169。254",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:169.254.169.254]",
    ] {
        let outcome = upstream.send(post(&format!("https://{host}/latest/meta-data/"))).await;
        let Err(UpstreamError::NotSent(said)) = outcome else { panic!("{host} {outcome:?}") };
        assert!(said.contains("public address"), "{host} {said}");
    }
}

/// Answers with one address after the other, the last one again and again, and counts.
struct Turning(Mutex<Vec<IpAddr>>, Mutex<u32>);

#[async_trait]
impl Lookup for Turning {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        *self.1.lock().unwrap() += 1;
        let mut left = self.0.lock().unwrap();
        Ok(vec![if left.len() > 1 { left.remove(0) } else { left[0] }])
    }
}

#[tokio::test]
async fn a_name_that_turns_inside_is_not_followed_there() {
    // In this case 127.0.0.1 is outside, and 127.0.0.2 is inside; both listen on one port.
    const INNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    let (listener, address) = listen().await;
    let inside = TcpListener::bind((INNER, address.port())).await.unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for answer in
            ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"]
        {
            read_request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        listener
    });
    let lookup = Arc::new(Turning(Mutex::new(vec![address.ip(), INNER.into()]), Mutex::default()));
    let asked = Arc::<Turning>::clone(&lookup);
    let upstream = door(lookup, |address| (address == IpAddr::from(INNER)).then_some("private"));
    let url = format!("http://provider.example:{}/", address.port());
    // The second one goes over the connection of the first: a name is looked up for a connection, not for a request.
    for _ in 0..2 {
        assert_eq!(upstream.send(post(&url)).await.unwrap().status, 204);
    }
    assert_eq!(*asked.1.lock().unwrap(), 1);
    let refused = UpstreamError::NotSent("the host has no public address (private)".to_owned());
    assert_eq!(upstream.send(post(&url)).await.unwrap_err(), refused);
    assert_eq!(*asked.1.lock().unwrap(), 2);
    nobody_knocked(inside);
    nobody_knocked(server.await.unwrap());
}

/// Never answers.
struct Silent;

#[async_trait]
impl Lookup for Silent {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

/// Knows no address of any name.
struct Empty;

#[async_trait]
impl Lookup for Empty {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_look_up_without_an_answer_sends_nothing() {
    let quick = HttpOptions { connect_timeout: Duration::from_millis(200), ..STRICT };
    let upstream = HttpUpstream::with_lookup(quick, Arc::new(Silent)).unwrap();
    let outcome = upstream.send(post("https://provider.example/")).await;
    assert_eq!(outcome.unwrap_err(), UpstreamError::NotSent("no connection in time".to_owned()));
    let outcome =
        HttpUpstream::with_lookup(quick, Arc::new(Empty)).unwrap().send(post("https://a.example/")).await;
    assert!(matches!(outcome, Err(UpstreamError::NotSent(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (elsewhere, target) = listen().await;
    for location in
        [format!("http://{target}/"), "http://169.254.169.254/latest/".to_owned(), "/token".to_owned()]
    {
        for status in [300, 301, 302, 303, 305, 307, 308] {
            let answer = format!(
                "HTTP/1.1 {status} Go\r\nLocation: {location}\r\nRefresh: 0; url={location}\r\nContent-Length: 0\r\n\r\n"
            );
            let answer = answered(answer).await.unwrap();
            assert_eq!(answer.status, status);
        }
    }
    nobody_knocked(elsewhere);
}

#[tokio::test]
async fn a_url_that_names_a_user_is_refused() {
    let (listener, address) = listen().await;
    for user in ["ada", "ada:hunter2", ":hunter2", "provider.example%40"] {
        let outcome = HttpUpstream::new(OPEN).unwrap().send(post(&format!("http://{user}@{address}/"))).await;
        assert_eq!(outcome.unwrap_err(), UpstreamError::NotSent("the URL names a user".to_owned()));
    }
    nobody_knocked(listener);
}

#[tokio::test]
async fn a_name_with_a_forbidden_address_is_never_connected_to() {
    let (listener, address) = listen().await;
    let lookup = Arc::new(Always(address.ip(), Mutex::default()));
    let upstream = HttpUpstream::with_lookup(STRICT, lookup).unwrap();
    let outcome = upstream.send(post(&format!("https://provider.example:{}/", address.port()))).await;
    let refused = UpstreamError::NotSent("the host has no public address (loopback)".to_owned());
    assert_eq!(outcome.unwrap_err(), refused);
    nobody_knocked(listener);
}

#[tokio::test]
async fn forbidden_addresses_in_any_spelling_are_never_connected_to() {
    let (listener, address) = listen().await;
    let port = address.port();
    let upstream = HttpUpstream::new(STRICT).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0",
        "１２７.0.0.1",
        "localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
    ] {
        let outcome = upstream.send(post(&format!("https://{host}:{port}/"))).await;
        let Err(UpstreamError::NotSent(text)) = outcome else { panic!("{host} {outcome:?}") };
        assert!(text.contains("public address"), "{host} {text}");
    }
    nobody_knocked(listener);
}
