//! Memory of the server while many connections are open and nobody asks anything on them.

use super::drive::read_answer;
use super::process::{Grantkeep, resident_kib};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// Connections, and what is resident then, in KiB.
pub struct Held {
    pub connections: usize,
    pub resident_kib: Option<u64>,
}

/// Opens so many connections, each of which has asked once, and looks at every one of these numbers.
pub fn measure(server: &Grantkeep, request: &[u8], numbers: &[usize]) -> Vec<Held> {
    let mut buffer = vec![0; 64 * 1024];
    let mut open = Vec::new();
    let looked = numbers.iter().map(|number| {
        while open.len() < *number {
            let mut stream = TcpStream::connect(server.public).expect("it takes the connection");
            stream.write_all(request).expect("it takes the request");
            read_answer(&mut stream, &mut buffer);
            open.push(stream);
        }
        // What came with the answers is given back by then.
        std::thread::sleep(Duration::from_millis(500));
        Held { connections: *number, resident_kib: resident_kib(server.pid()) }
    });
    looked.collect()
}
