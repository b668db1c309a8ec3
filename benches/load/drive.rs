//! The load: connections that are kept open, each with one request under way.

use super::asked::{Asked, Asker};
use super::http::length_of_good;
use super::process::cpu_seconds;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Enough that the load is never what waits, on a machine that has the cores.
const THREADS: usize = 2;
/// For connections to open and caches to fill.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// What is asked of whom.
pub struct Load {
    pub at: SocketAddr,
    pub asked: Asked,
    pub connections: usize,
    pub span: Duration,
}

/// What one measurement brought.
pub struct Measured {
    /// Answers in a second.
    pub rate: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Of the server, for one request, in microseconds.
    pub server_cpu: Option<f64>,
    /// Of Redis, where it is asked.
    pub redis_cpu: Option<f64>,
}

/// Loads a server for a while.
pub fn measure(load: &Load, server: u32, redis: Option<u32>) -> Measured {
    let from = Instant::now() + WARM_UP;
    let until = from + load.span;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || run(load, thread, from, until))).collect();
        let cpu = || (cpu_seconds(server), redis.and_then(cpu_seconds));
        std::thread::sleep(from.saturating_duration_since(Instant::now()));
        let before = cpu();
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let after = cpu();
        let mut took: Vec<u32> =
            threads.into_iter().flat_map(|thread| thread.join().expect("the load runs")).collect();
        took.sort_unstable();
        let each =
            |before: Option<f64>, after: Option<f64>| Some((after? - before?) * 1e6 / took.len() as f64);
        Measured {
            rate: took.len() as f64 / load.span.as_secs_f64(),
            p50_ms: percentile(&took, 0.50),
            p99_ms: percentile(&took, 0.99),
            server_cpu: each(before.0, after.0),
            redis_cpu: each(before.1, after.1),
        }
    })
}

/// Of times in nanoseconds, sorted; in milliseconds.
pub fn percentile(sorted: &[u32], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |nanos| f64::from(*nanos) / 1e6)
}

/// Reads one answer, which must be a good one.
pub fn read_answer(stream: &mut std::net::TcpStream, buffer: &mut [u8]) {
    let mut read = 0;
    while length_of_good(&buffer[..read]).is_none_or(|length| length > read) {
        let more = std::io::Read::read(stream, &mut buffer[read..]).expect("it answers");
        assert!(more > 0, "the server closed the connection");
        read += more;
    }
}

/// One thread's share of the connections; how long each request took that began and ended within the time.
fn run(load: &Load, thread: usize, from: Instant, until: Instant) -> Vec<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let connections = (thread..load.connections).step_by(THREADS).map(|number| {
            let (at, asker) = (load.at, load.asked.by(number, load.connections));
            tokio::spawn(async move { converse(at, asker, (from, until)).await })
        });
        let connections: Vec<_> = connections.collect();
        let mut took = Vec::new();
        for connection in connections {
            took.extend(connection.await.expect("the connection stays"));
        }
        took
    })
}

async fn converse(at: SocketAddr, mut asker: Asker, (from, until): (Instant, Instant)) -> Vec<u32> {
    let mut stream = TcpStream::connect(at).await.expect("it takes the connection");
    stream.set_nodelay(true).expect("a TCP connection");
    let mut buffer = vec![0; 64 * 1024];
    let mut took = Vec::new();
    loop {
        let begun = Instant::now();
        stream.write_all(asker.next()).await.expect("it takes the request");
        let mut read = 0;
        loop {
            let more = stream.read(&mut buffer[read..]).await.expect("it answers");
            assert!(more > 0, "the server closed the connection");
            read += more;
            if length_of_good(&buffer[..read]).is_some_and(|length| length <= read) {
                break;
            }
        }
        let ended = Instant::now();
        if ended >= until {
            return took;
        }
        if begun >= from {
            took.push(u32::try_from((ended - begun).as_nanos()).unwrap_or(u32::MAX));
        }
    }
}
