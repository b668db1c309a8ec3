//! Answers that are too large, too slow, packed, torn, or no HTTP at all. None of them may be taken for an answer, cost more
//! than the bounds, or count as not sent.

use super::*;

/// What a server says to a request: `head`, then `piece` again and again, with a pause before each, until the client has
/// had enough. Returns how many bytes it wrote.
async fn without_end(
    head: &'static str,
    piece: &'static str,
    pause: Duration,
) -> (SocketAddr, JoinHandle<usize>) {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        let mut wrote = 0;
        let mut next = head;
        while stream.write_all(next.as_bytes()).await.is_ok() {
            wrote += next.len();
            next = piece;
            tokio::time::sleep(pause).await;
        }
        wrote
    });
    (address, server)
}

async fn lost(address: SocketAddr, timeout: Duration) -> String {
    let request = OutboundRequest { timeout: Some(timeout), ..post(&format!("http://{address}/")) };
    match HttpUpstream::new(OPEN).unwrap().send(request).await {
        Err(UpstreamError::Lost(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_large_answer_is_refused_by_its_length_before_it_comes() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n").await.unwrap();
        // Nothing of it ever comes: the client goes away by itself.
        stream.read_u8().await.unwrap_err()
    });
    assert_eq!(lost(address, OPEN.timeout).await, "the answer is larger than 262144 bytes");
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_limit() {
    const PIECE: &str = "1000\r\n";
    let chunk: &'static str = Box::leak(format!("{PIECE}{}\r\n", "x".repeat(4096)).into_boxed_str());
    for head in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
    ] {
        let (address, server) = without_end(head, chunk, Duration::ZERO).await;
        assert_eq!(lost(address, OPEN.timeout).await, "the answer is larger than 262144 bytes");
        // What the sockets between hold comes on top.
        assert!(server.await.unwrap() < 32 * 1024 * 1024);
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    // hyper keeps 408 KiB of a head, and a hundred headers.
    let long: &'static str = Box::leak("a".repeat(16 * 1024).into_boxed_str());
    let many: &'static str = Box::leak("X-A: b\r\n".repeat(2048).into_boxed_str());
    for (head, piece) in [("HTTP/1.1 200 OK\r\nX-A: ", long), ("HTTP/1.1 200 OK\r\n", many)] {
        let (address, server) = without_end(head, piece, Duration::ZERO).await;
        let text = lost(address, OPEN.timeout).await;
        assert!(!text.contains("within"), "not by its time: {text}");
        assert!(server.await.unwrap() < 32 * 1024 * 1024);
    }
}

#[tokio::test]
async fn one_byte_at_a_time_wins_no_time() {
    const DRIP: Duration = Duration::from_millis(20);
    for (head, piece) in [
        ("", "H"),
        ("HTTP/1.1 200 OK\r\nX-Slow: ", "a"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "a"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
        // Informational answers, which may come before the real one.
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    ] {
        let (address, server) = without_end(head, piece, DRIP).await;
        let text = lost(address, Duration::from_millis(300)).await;
        // The first one stops being HTTP before its time is over.
        assert!(text.contains("within 300ms") || piece == "H", "{head:?} {piece:?}: {text}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_packed_answer_is_refused_unread() {
    // Ten bytes of a gzip header: nobody gets as far as unpacking it.
    for headers in [
        "Content-Encoding: gzip",
        "content-encoding: x-gzip",
        "Content-Encoding: br",
        "Content-Encoding: zstd",
        "Content-Encoding: identity, gzip",
        "Content-Encoding: identity\r\nContent-Encoding: deflate",
        "Content-Encoding: hunter2",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: 2\r\n\r\n{{}}");
        let refused =
            UpstreamError::Lost("the answer has a content-encoding that was not asked for".to_owned());
        assert_eq!(answered(answer).await.unwrap_err(), refused, "{headers}");
    }
    for coding in ["gzip, chunked", "gzip", "chunked, chunked"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
        let outcome = answered(answer).await;
        assert!(matches!(outcome, Err(UpstreamError::Lost(_))), "{coding} {outcome:?}");
    }
    for harmless in [
        "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
        "Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ] {
        assert_eq!(answered(format!("HTTP/1.1 200 OK\r\n{harmless}")).await.unwrap().body, b"{}");
    }
}

#[tokio::test]
async fn http_1_0_is_understood_and_what_is_no_http_is_not() {
    for whole in [
        "HTTP/1.0 200 OK\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        assert_eq!(answered(whole).await.unwrap().body, b"{}", "{whole:?}");
    }
    for nonsense in [
        "{\"access_token\":\"a\"}",
        "HTTP/2.0 200 OK\r\n\r\n{}",
        "HTTP/1.1 20 OK\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n: nameless\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let outcome = answered(nonsense).await;
        assert!(matches!(outcome, Err(UpstreamError::Lost(_))), "{nonsense:?} {outcome:?}");
    }
}

#[tokio::test]
async fn chunked_nonsense_is_lost() {
    for chunks in [
        "2\r\n{}\r\n",
        "2\r\n{}",
        "2\r\n{}0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "g\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffff\r\n{}",
        "fffffffffffffffff\r\n{}",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "5\r\n{}\r\n0\r\n\r\n",
        "2;a=\0\n\r{}",
    ] {
        let outcome =
            answered(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")).await;
        assert!(matches!(outcome, Err(UpstreamError::Lost(_))), "{chunks:?} {outcome:?}");
    }
    // RFC 9112 section 6.3: with both, the chunks count.
    let both =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(answered(both).await.unwrap().body, b"{}");
}

#[tokio::test]
async fn an_answer_before_the_request_is_never_called_not_sent() {
    for tail in ["", "GOAWAY"] {
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{{}}{tail}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut seen = Vec::new();
            // Fails where the client resets.
            let _ = stream.read_to_end(&mut seen).await;
            seen
        });
        let upstream = HttpUpstream::new(OPEN).unwrap();
        let outcome = upstream.send(post(&format!("http://{address}/"))).await;
        drop(upstream);
        let seen = server.await.unwrap();
        match outcome {
            Ok(answer) => assert_eq!(answer.body, b"{}"),
            Err(UpstreamError::Lost(_)) => {}
            Err(UpstreamError::NotSent(text)) => assert!(seen.is_empty(), "{text}: {seen:?}"),
        }
    }
}
