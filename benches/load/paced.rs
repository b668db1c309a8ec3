//! A load that does not wait for its answers: requests are due at fixed times, and each is as late as its answer comes after
//! it was due. So a server that stands still is charged with all who would have come meanwhile (no coordinated omission,
//! Gil Tene).

use super::asked::Asker;
use super::drive::{Load, WARM_UP, percentile, read_answer};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What one measurement brought.
#[derive(Clone, Copy)]
pub struct Paced {
    /// Requests that were due in a second.
    pub rate: f64,
    /// How much of them was answered in the time.
    pub kept: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
}

/// Asks `rate` times in a second, over all connections.
pub fn measure(load: &Load, rate: f64) -> Paced {
    let begin = Instant::now() + WARM_UP;
    let (from, until) = (begin + WARM_UP, begin + WARM_UP + load.span);
    let apart = Duration::from_secs_f64(1.0 / rate);
    let mut late: Vec<u32> = std::thread::scope(|scope| {
        let connections: Vec<_> = (0..load.connections)
            .map(|number| {
                let first = begin + apart * number as u32;
                let asker = load.asked.by(number, load.connections);
                let every = apart * load.connections as u32;
                scope.spawn(move || converse(load, asker, (first, every), (from, until)))
            })
            .collect();
        connections.into_iter().flat_map(|one| one.join().expect("the load runs")).collect()
    });
    late.sort_unstable();
    Paced {
        rate,
        kept: late.len() as f64 / (rate * load.span.as_secs_f64()),
        p50_ms: percentile(&late, 0.50),
        p99_ms: percentile(&late, 0.99),
        p999_ms: percentile(&late, 0.999),
    }
}

/// How late each answer was that was due within the time.
fn converse(
    load: &Load,
    mut asker: Asker,
    (first, every): (Instant, Duration),
    (from, until): (Instant, Instant),
) -> Vec<u32> {
    let mut stream = TcpStream::connect(load.at).expect("it takes the connection");
    stream.set_nodelay(true).expect("a TCP connection");
    let mut buffer = vec![0; 64 * 1024];
    let (mut late, mut due) = (Vec::new(), first);
    while due < until {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(asker.next()).expect("it takes the request");
        read_answer(&mut stream, &mut buffer);
        let answered = Instant::now();
        // What is answered long after the end would make the end come later.
        if answered > until + load.span {
            break;
        }
        if due >= from {
            late.push(u32::try_from((answered - due).as_nanos()).unwrap_or(u32::MAX));
        }
        due += every;
    }
    late
}
