//! A collector of traces: takes what is posted to it, and reads the protobuf.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came.
#[derive(Clone)]
pub struct Posted {
    /// The request line and headers.
    pub head: String,
    pub body: Vec<u8>,
}

pub struct Collector {
    pub url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Collector {
    /// On a free port; each request is answered with this status. Its thread ends with the tests.
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1/traces", listener.local_addr().expect("an address"));
        let posted = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&posted);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (keep, stream) = (Arc::clone(&keep), stream.expect("a connection"));
                std::thread::spawn(move || serve(&stream, status, &keep));
            }
        });
        Self { url, posted }
    }

    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("nobody panicked").clone()
    }

    /// Everything that came, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.posted()
            .into_iter()
            .flat_map(|posted| [posted.head.into_bytes(), posted.body].concat())
            .collect()
    }

    /// Waits until that many spans have come.
    pub async fn spans(&self, least: usize) -> Vec<Span> {
        for _ in 0..1000 {
            let spans = self.spans_now();
            if spans.len() >= least {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} spans came, not {least}: {:?}", self.spans_now().len(), self.spans_now())
    }

    pub fn spans_now(&self) -> Vec<Span> {
        let requests = self.requests();
        let scopes = requests.into_iter().flat_map(|request| request.resource_spans);
        scopes.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let decode = |posted: Posted| ExportTraceServiceRequest::decode(&posted.body[..]).expect("protobuf");
        self.posted().into_iter().map(decode).collect()
    }
}

fn serve(stream: &TcpStream, status: u16, keep: &Mutex<Vec<Posted>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            head.push_str(&line);
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        keep.lock().expect("nobody panicked").push(Posted { head, body });
        let answer = format!("HTTP/1.1 {status} Answered\r\ncontent-length: 0\r\n\r\n");
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// An id as it is written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// An attribute as text; empty where there is none.
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()) {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        None => String::new(),
        other => panic!("{key} is {other:?}"),
    }
}
