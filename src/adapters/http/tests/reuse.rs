//! Connections that are kept: one answer never stands for another request, and one that cannot be trusted is not used again.

use super::*;

/// A server with a script: what each connection answers to each request, in order. A connection whose script is done stays
/// open. Returns how many requests each connection got.
async fn scripted(script: &'static [&'static [&'static str]]) -> (SocketAddr, JoinHandle<Vec<usize>>) {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut open, mut counts) = (Vec::new(), Vec::new());
        for answers in script {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in *answers {
                read_request(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            counts.push(answers.len());
            open.push(stream);
        }
        counts
    });
    (address, server)
}

const FIRST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst";
const SECOND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond";

async fn body(upstream: &HttpUpstream, address: SocketAddr) -> String {
    let answer = upstream.send(post(&format!("http://{address}/token"))).await.unwrap();
    String::from_utf8(answer.body).unwrap()
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_its_loss_is_not_repeated() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        let second = read_request(&mut stream).await;
        drop(stream);
        (second, listener)
    });
    let upstream = HttpUpstream::new(OPEN).unwrap();
    let url = format!("http://{address}/token");
    assert_eq!(upstream.send(post(&url)).await.unwrap().status, 200);
    let second = upstream.send(post(&url)).await;
    assert!(matches!(second, Err(UpstreamError::Lost(_))), "{second:?}");
    let (request, listener) = server.await.unwrap();
    assert!(request.ends_with("code=hunter2"), "{request}");
    nobody_knocked(listener);
}

#[tokio::test]
async fn what_comes_unasked_is_no_answer_to_the_next_request() {
    const BOTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst\
                        HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let (address, server) = scripted(&[&[BOTH], &[SECOND]]).await;
    let upstream = HttpUpstream::new(OPEN).unwrap();
    assert_eq!(body(&upstream, address).await, "first");
    assert_eq!(body(&upstream, address).await, "second");
    assert_eq!(server.await.unwrap(), [1, 1]);
}

#[tokio::test]
async fn a_connection_whose_answer_was_no_good_is_not_used_again() {
    let (address, server) = scripted(&[
        &["HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\nfirst"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"],
        &["220 smtp.example ESMTP\r\n"],
        &[SECOND],
    ])
    .await;
    let upstream = HttpUpstream::new(OPEN).unwrap();
    for _ in 0..4 {
        let outcome = upstream.send(post(&format!("http://{address}/token"))).await;
        assert!(matches!(outcome, Err(UpstreamError::Lost(_))), "{outcome:?}");
    }
    assert_eq!(body(&upstream, address).await, "second");
    assert_eq!(server.await.unwrap(), [1; 5]);
}

#[tokio::test]
async fn a_late_answer_is_no_answer_to_the_next_request() {
    let (listener, address) = listen().await;
    let (late, mut may_answer) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let (mut slow, _) = listener.accept().await.unwrap();
        read_request(&mut slow).await;
        (&mut may_answer).await.unwrap();
        // Fails where the client has closed it already.
        let _ = slow.write_all(FIRST.as_bytes()).await;
        let (mut next, _) = listener.accept().await.unwrap();
        read_request(&mut next).await;
        next.write_all(SECOND.as_bytes()).await.unwrap();
        next
    });
    let upstream = HttpUpstream::new(OPEN).unwrap();
    let timeout = Some(Duration::from_millis(200));
    let request = OutboundRequest { timeout, ..post(&format!("http://{address}/token")) };
    assert!(matches!(upstream.send(request).await, Err(UpstreamError::Lost(_))));
    late.send(()).unwrap();
    assert_eq!(body(&upstream, address).await, "second");
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_is_not_kept() {
    let (address, server) = scripted(&[
        &["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst"],
        &["HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfirst"],
        &[SECOND],
    ])
    .await;
    let upstream = HttpUpstream::new(OPEN).unwrap();
    for expected in ["first", "first", "second"] {
        assert_eq!(body(&upstream, address).await, expected);
    }
    assert_eq!(server.await.unwrap(), [1; 3]);
}

#[tokio::test]
async fn a_connection_is_not_used_again_after_two_idle_seconds() {
    // Servers close theirs after five: a request must not run into that.
    assert!(IDLE <= Duration::from_secs(2));
    let (address, server) = scripted(&[&[FIRST, FIRST], &[SECOND]]).await;
    let upstream = HttpUpstream::new(OPEN).unwrap();
    assert_eq!(body(&upstream, address).await, "first");
    assert_eq!(body(&upstream, address).await, "first");
    // Not to wait for anything: idle time is what this is about.
    tokio::time::sleep(IDLE + Duration::from_millis(50)).await;
    assert_eq!(body(&upstream, address).await, "second");
    assert_eq!(server.await.unwrap(), [2, 1]);
}
