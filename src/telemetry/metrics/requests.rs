//! Requests in numbers.

use super::seen::Seen;
use super::{REQUEST_SECONDS, REQUESTS};
use metrics::{Counter, Histogram, counter, histogram};
use std::time::Duration;

/// A request was answered. `route` is the pattern, such as `/v1/connections/{id}`.
pub fn request(route: &'static str, method: &str, status: u16, took: Duration) {
    const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
    thread_local! {
        static SEEN: Seen<(&'static str, &'static str, u16), (Counter, Histogram)> = const { Seen::new() };
    }
    let labels = (route, method, status);
    let find = || {
        let status = status.to_string();
        let count = counter!(REQUESTS, "route" => route, "method" => method, "status" => status);
        (labels, (count, histogram!(REQUEST_SECONDS, "route" => route)))
    };
    SEEN.with(|seen| {
        seen.with(
            |known| *known == labels,
            find,
            |(count, seconds)| {
                count.increment(1);
                seconds.record(took);
            },
        );
    });
}
