//! Grantkeep: a multi-tenant OAuth client broker. ARCHITECTURE.md draws the house; `tests/floors.rs` keeps it.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::allow_attributes,
        reason = "a test that fails may panic"
    )
)]

pub mod accounts;
pub mod adapters;
pub mod admission;
pub mod app;
pub mod broker;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod demo;
pub mod domain;
pub mod http;
pub mod jobs;
pub mod ports;
pub mod sandbox;
pub mod telemetry;
pub mod vault;
pub mod wire;
