//! Grantkeep from outside, all cases in one program: linked once, run in parallel.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::allow_attributes,
    reason = "a test that fails may panic"
)]

mod accounts;
mod canary;
mod commands;
mod journey;
mod mail;
mod real_parts;
mod requests;
mod sandbox;
mod store_contract;
mod support;
mod tenants;
