//! HTTP/1.1 as far as this script needs it: requests that lie ready as bytes, answers framed by `Content-Length`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The length of the answer that `bytes` begin with; none while its head is not there. Ends the script at another status
/// than 200.
pub fn length_of_good(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = || String::from_utf8_lossy(bytes);
    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "not answered as it should be: {}", text());
    let name = b"\r\ncontent-length: ";
    let at = bytes[..head].windows(name.len()).position(|here| here.eq_ignore_ascii_case(name));
    let at = at.unwrap_or_else(|| panic!("no Content-Length: {}", text())) + name.len();
    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(head + digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

/// Asks once on a connection of its own. None where nobody listens or the connection ended.
pub fn ask(at: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request).ok()?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
            if status != 200 || length_of_good(&bytes) == Some(bytes.len()) {
                return Some(Answer { status, body: body.to_owned() });
            }
        }
    }
}

/// Asks until somebody answers.
pub fn until_answered(at: SocketAddr, request: &[u8]) -> Answer {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask(at, request) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody answers at {at}");
        std::thread::sleep(Duration::from_micros(500));
    }
}
