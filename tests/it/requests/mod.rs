//! Requests as anybody may send them: each gets an answer that says what is wrong, and nothing is lost.

mod answers;
mod bodies;
mod lists;
mod outage;
mod wire;

pub use wire::Wire;
