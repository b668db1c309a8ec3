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
mod audit;
mod canary;
mod commands;
mod cut_short;
mod journey;
mod mail;
mod odd_returns;
mod oidc_flow;
mod real_parts;
mod refresh;
mod requests;
mod sandbox;
mod sessions;
mod store_contract;
mod support;
mod tampered_store;
mod tenants;
