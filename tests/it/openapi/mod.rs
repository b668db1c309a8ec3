//! `/openapi.json`: it is what it says it is, and what it says is so.
//!
//! Two witnesses: every answer of every other case is held against it (`support/document.rs`), and schemathesis, which nobody
//! here wrote, makes requests of it that no case here thought of.

mod faults;
mod schemathesis;

use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::raw;
use crate::support::tool;
use std::process::Command;

#[tokio::test]
async fn it_is_openapi_3_1_and_kept_by_its_tag() {
    let app = App::start(Stores::Embedded).await;
    let url = format!("{}/openapi.json", app.url);
    let whole = raw(http().get(&url)).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("application/json")));
    assert_eq!(whole.json(), grantkeep::http::openapi_document());
    assert_eq!(whole.json()["openapi"], "3.1.0");
    let tag = whole.header("etag").expect("a tag").to_owned();
    let again = raw(http().get(&url).header("if-none-match", format!("W/\"other\", {tag}"))).await;
    assert_eq!((again.status, again.header("etag"), again.body.len()), (304, Some(&*tag), 0));
    assert_eq!(raw(http().get(&url).header("if-none-match", "\"other\"")).await.status, 200);

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = folder.path().join("openapi.json");
    let valid = |document: &[u8]| {
        std::fs::write(&file, document).expect("a file");
        let python = tool("GRANTKEEP_TEST_PYTHON", "bin/python3");
        let said = Command::new(python)
            .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
            .arg(&file)
            .output();
        let said = said.expect("python runs");
        (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let (good, said) = valid(&whole.body);
    assert!(good, "{said}");
    // And the validator does look: a parameter of the path that no operation declares.
    let broken = whole.text().replace("\"/providers/{id}\"", "\"/providers/{other}\"");
    assert!(!valid(broken.as_bytes()).0, "the validator takes anything");
}
