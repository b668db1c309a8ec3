//! HTTP/1.1 by hand, where a client would be too polite.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Wire {
    stream: TcpStream,
    host: String,
    read: Vec<u8>,
}

#[derive(Debug)]
pub struct Heard {
    pub status: u16,
    /// In small letters.
    pub head: String,
    pub body: String,
}

impl Heard {
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Wire {
    pub async fn to(url: &str) -> Self {
        let host = url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await.expect("it listens");
        Self { stream, host, read: Vec::new() }
    }

    /// Sends a head and whatever follows it.
    pub async fn send(&mut self, line: &str, headers: &[&str], body: &[u8]) {
        let (line, host) = (format!("{line} HTTP/1.1"), format!("host: {}", self.host));
        let head = [&[line.as_str(), host.as_str()], headers].concat();
        self.stream
            .write_all(format!("{}\r\n\r\n", head.join("\r\n")).as_bytes())
            .await
            .expect("it takes a head");
        self.stream.write_all(body).await.expect("it takes a body");
    }

    /// Reads one answer, framed by its `Content-Length`.
    pub async fn hear(&mut self) -> Heard {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await;
        };
        let head = String::from_utf8_lossy(&self.read[..end]).to_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        while self.read.len() < end + length {
            self.more().await;
        }
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let body = String::from_utf8_lossy(&self.read[end..end + length]).into_owned();
        self.read.drain(..end + length);
        Heard { status, head, body }
    }

    /// A JSON body in one go.
    pub async fn post(&mut self, path: &str, headers: &[&str], body: &str) -> Heard {
        let length = format!("content-length: {}", body.len());
        let own = ["content-type: application/json", length.as_str()];
        self.send(&format!("POST {path}"), &[&own, headers].concat(), body.as_bytes()).await;
        self.hear().await
    }

    async fn more(&mut self) {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await.expect("it answers");
        assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
        self.read.extend_from_slice(&bytes[..count]);
    }
}
