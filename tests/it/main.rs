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
mod admission;
mod audit;
mod canary;
mod commands;
mod cut_short;
mod deploy;
mod journey;
mod kept;
mod key_rotation;
mod mail;
mod odd_returns;
mod oidc_flow;
mod openapi;
mod outbound;
mod pages;
mod provider_journeys;
mod real_parts;
mod redis_forms;
mod refresh;
mod requests;
mod resources;
mod sandbox;
mod sessions;
mod stale;
mod store_contract;
mod store_dies;
mod support;
mod tampered_store;
mod tenants;
mod traces;
