//! Planted faults: each rule is shown a file that breaks it, and one that looks alike and breaks nothing.

use crate::rules::{faults_of_any, faults_of_source};

/// File, source after the module doc, and a part of the complaint.
const BAD: &[(&str, &str, &str)] = &[
    ("src/wire/pkce.rs", "use crate::broker::Flow;", "`wire` may not name `broker`"),
    ("src/wire/pkce.rs", "use crate::{domain::Scopes, http::{self, Problem}};", "`wire` may not name `http`"),
    ("src/wire/pkce.rs", "use crate::{domain as d, jobs as j};", "`wire` may not name `jobs`"),
    ("src/wire/mod.rs", "fn f() { super::vault::open() }", "`wire` may not name `vault`"),
    ("src/wire/mod.rs", "mod x { use super::super::accounts::Member; }", "`wire` may not name `accounts`"),
    ("src/wire/a/b.rs", "type T = Vec<super::super::super::app::App>;", "`wire` may not name `app`"),
    ("src/broker/mod.rs", "use crate::accounts::Member;", "`broker` may not name `accounts`"),
    ("src/broker/mod.rs", "use crate::adapters::redis::Store;", "`broker` may not name `adapters`"),
    ("src/adapters/redis.rs", "use crate::vault::Vault;", "`adapters` may not name `vault`"),
    (
        "src/domain/id.rs",
        "#[serde(with = \"crate::ports::clock\")] struct S;",
        "`domain` may not name `ports`",
    ),
    (
        "src/domain/id.rs",
        "fn f() { json!({ \"a\": crate::ports::now() }); }",
        "`domain` may not name `ports`",
    ),
    (
        "src/domain/id.rs",
        "macro_rules! m { () => { $crate::crypto::sha256() } }",
        "`domain` may not name `crypto`",
    ),
    ("src/domain/id.rs", "pub(in crate::crypto) fn f() {}", "`domain` may not name `crypto`"),
    ("src/http/mod.rs", "use crate::cli::Options;", "`http` may not name `cli`"),
    ("src/main.rs", "fn main() { grantkeep::broker::run() }", "`main` may not name `broker`"),
    ("src/wire/mod.rs", "use crate::*;", "names the whole crate"),
    ("src/wire/mod.rs", "use crate as house;", "names the whole crate"),
    ("src/wire/mod.rs", "use super::*;", "names the whole crate"),
    ("src/wire/mod.rs", "use crate::Loose;", "`Loose` stands outside the rooms"),
    ("src/attic/mod.rs", "", "`attic` is no room"),
    ("src/broker/mod.rs", "use actix_web::web;", "`actix_web` belongs in http, app, not in `broker`"),
    ("src/cli/mod.rs", "#[actix_web::main] async fn main() {}", "`actix_web` belongs in"),
    ("src/http/mod.rs", "use {redis::Client, std::fmt};", "`redis` belongs in adapters"),
    ("src/http/mod.rs", "use redis as r;", "`redis` belongs in adapters"),
    ("src/http/mod.rs", "fn f() { reqwest::get(\"x\"); }", "`reqwest` belongs in adapters"),
    ("src/http/mod.rs", "use ::config::Config;", "`config` belongs in config"),
    ("src/http/mod.rs", "struct S(pub ::redis::Client);", "`redis` belongs in adapters"),
    ("src/http/mod.rs", "fn f() { x as ::redis::Port }", "`redis` belongs in adapters"),
    ("src/app/mod.rs", "use config::Config;", "`config` belongs in config"),
    ("src/vault/mod.rs", "use sha2::{Digest, Sha256};", "`sha2` belongs in crypto"),
    ("src/wire/mod.rs", "use tokio::{net::TcpStream, sync::mpsc};", "`tokio::net` belongs in"),
    ("src/wire/mod.rs", "use std::fs;", "`std::fs` belongs in"),
    ("src/http/mod.rs", "fn f(s: &Secret) -> &str { s.expose() }", "opens a secret"),
    ("src/http/mod.rs", "fn f(s: Option<&Secret>) { s.map(Secret::expose); }", "opens a secret"),
    ("src/http/mod.rs", "fn f() { format!(\"{}\", s.expose()) }", "opens a secret"),
    ("src/http/mod.rs", "#[cfg(test)] fn t() {} mod m { fn f() { s.expose() } }", "opens a secret"),
    ("src/broker/mod.rs", "fn f() { crate::vault::Authority::proven(tenant) }", "makes an authority"),
    ("src/http/mod.rs", "#[allow(dead_code)] fn f() {}", "`#[allow]` hides"),
    ("src/http/mod.rs", "#[cfg_attr(test, allow(dead_code))] fn f() {}", "`#[allow]` hides"),
    ("src/http/mod.rs", "#[cfg(test)] mod tests { #[test] #[ignore] fn f() {} }", "a test that does not run"),
    ("src/http/mod.rs", "fn f() { todo!() }", "`todo!` has no place"),
    ("src/http/mod.rs", "fn f() { std::println!(\"x\") }", "`println!` has no place"),
    ("src/http/mod.rs", "fn f() { if true { unimplemented!(\"x\") } }", "`unimplemented!` has no place"),
    ("src/http/mod.rs", "fn f( {", "is no Rust"),
];

/// File, and a source after the module doc in which nothing is wrong.
const GOOD: &[(&str, &str)] = &[
    ("src/broker/flow.rs", "use crate::{domain::{self, Scopes as S}, ports::Clock, wire};"),
    (
        "src/broker/flow.rs",
        "use super::Flow; mod inner { use super::super::Flow; } #[cfg(test)] mod t { use super::*; }",
    ),
    (
        "src/http/mod.rs",
        "pub(crate) mod auth; use actix_web::web; fn f(config: u8) { config.min(1); self::auth::f() }",
    ),
    ("src/cli/mod.rs", "use crate::{app, config}; use clap::Parser; fn f() { config::load(); app::serve() }"),
    ("src/config/mod.rs", "use config::Config; use std::fs; use crate::domain::Secret;"),
    ("src/app/mod.rs", "use crate::adapters::redis; use crate::http; fn f() { redis::Store::open(); }"),
    ("src/app/mod.rs", "use crate::adapters::redis::{self as store}; fn f() { store::open() }"),
    ("src/adapters/redis.rs", "use redis::{Client, Script}; use crate::ports::store::Store;"),
    ("src/wire/mod.rs", "use tokio::sync::mpsc; fn f<'a>() -> impl Fn() + use<'a> { || redis_like::go() }"),
    ("src/sandbox/server.rs", "use actix_web::App;"),
    ("src/main.rs", "fn main() { grantkeep::cli::run() }"),
    ("src/lib.rs", "#![cfg_attr(test, allow(clippy::unwrap_used, reason = \"x\"))] pub mod domain;"),
    ("src/http/mod.rs", "#[cfg(test)] mod tests { fn f() { assert_eq!(s.expose(), \"x\") } }"),
    ("src/accounts/mod.rs", "#[cfg(test)] mod tests { use crate::adapters::embedded; }"),
    (
        "src/domain/id.rs",
        "/// As `crate::http::Problem` says.\nfn f() { let _ = \"crate::http::Problem, allow, todo!()\"; }",
    ),
];

#[test]
fn each_planted_fault_is_caught() {
    for (file, source, complaint) in BAD {
        let faults = faults_of_source(file, &format!("//! Planted.\n{source}\n"));
        assert!(
            faults.iter().any(|fault| fault.contains(complaint)),
            "{file}: {source}\nsaid only {faults:?}"
        );
    }
}

#[test]
fn nothing_else_is() {
    for (file, source) in GOOD {
        assert_eq!(
            faults_of_source(file, &format!("//! Planted.\n{source}\n")),
            Vec::<String>::new(),
            "{source}"
        );
    }
}

#[test]
fn a_tower_and_a_missing_doc_are_caught() {
    let lines = |count: usize| "//! x\n".repeat(count);
    assert!(faults_of_source("src/domain/id.rs", &lines(399)).is_empty());
    assert!(faults_of_source("src/domain/id.rs", &lines(400))[0].contains("is a tower of 400 lines"));
    assert!(faults_of_any("tests/it/main.rs", &lines(400))[0].contains("is a tower of 400 lines"));
    assert!(faults_of_source("src/domain/id.rs", "use std::fmt;")[0].contains("begins with no `//!`"));
}

#[test]
fn a_fault_tells_its_line() {
    let faults = faults_of_source(
        "src/wire/mod.rs",
        "//! Doc.\n\nuse crate::{\n    domain::Scopes,\n    http::Problem,\n};\n",
    );
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("src/wire/mod.rs:5: "), "{faults:?}");
}
