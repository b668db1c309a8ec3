//! schemathesis (schemathesis.io) reads `/openapi.json`, makes requests that the document allows and some that it forbids, and
//! holds every answer against it. What it is told not to hold against us stands in `schemathesis.toml`, each with its reason.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::tenant::{PASSWORD, Tenant};
use crate::support::tool;
use grantkeep::sandbox::Sandbox;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Python's way in, whose module cannot be run by its name.
const RUN: &str = "from schemathesis.cli import schemathesis; schemathesis()";

struct Run {
    clean: bool,
    said: String,
}

/// Lets it loose on a server, by a document that may differ from the server's own.
async fn let_loose(app: &App, document: &Value, further: &[&str]) -> Run {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).expect("a file");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openapi/schemathesis.toml");
    let mut command = Command::new(tool("GRANTKEEP_TEST_PYTHON", "bin/python3"));
    command.args(["-c", RUN, "--config-file"]).arg(config).arg("run").arg(&file).args(["--url", &app.url]);
    command.args(further).current_dir(folder.path());
    let ran = tokio::task::spawn_blocking(move || command.output()).await.expect("it is waited for");
    let ran = ran.expect("python runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { clean: ran.status.success(), said: text(&ran.stdout) + &text(&ran.stderr) }
}

/// A server with two tenants that have one of everything.
struct World {
    app: App,
    tenant: Tenant,
    neighbour: Tenant,
    _sandbox: Sandbox,
}

impl World {
    async fn new() -> Self {
        let app = App::start(Stores::Embedded).await;
        let sandbox = sandbox(Duration::from_mins(5)).await;
        let (tenant, neighbour) = (Tenant::new(&app).await, Tenant::new(&app).await);
        for tenant in [&tenant, &neighbour] {
            tenant.enable(&sandbox).await.expect(201);
            tenant.connect("user-42").await;
        }
        Self { app, tenant, neighbour, _sandbox: sandbox }
    }

    /// Lets it loose as the owner of the one tenant, whose keys it may revoke; the other has what it had, whatever was sent.
    async fn is_found_clean(&self, further: &[&str]) -> String {
        let owner = format!("{}:{PASSWORD}", self.tenant.email);
        let further = [&["--auth", &owner], further].concat();
        let run = let_loose(&self.app, &grantkeep::http::openapi_document(), &further).await;
        assert!(run.clean, "{}", run.said);
        self.neighbour.token("user-42").await.expect(200);
        run.said
    }
}

#[tokio::test]
async fn it_finds_nothing() {
    let world = World::new().await;
    let said = world.is_found_clean(&["--phases", "examples,coverage,fuzzing"]).await;
    // It tried every route there is.
    assert!(said.contains(&format!("Tested: {}", grantkeep::http::ROUTES.len())), "{said}");
}

#[tokio::test]
async fn it_finds_nothing_by_going_on_with_answers() {
    let world = World::new().await;
    // It makes keys, and goes on with the ids it was answered.
    let said = world.is_found_clean(&["--phases", "stateful", "--max-examples", "10"]).await;
    assert!(said.contains("Scenarios:    10"), "{said}");
}

#[tokio::test]
async fn it_would_find_a_status_that_the_document_leaves_out() {
    let app = App::start(Stores::Embedded).await;
    let mut document = grantkeep::http::openapi_document();
    let responses = &mut document["paths"]["/providers/{id}"]["get"]["responses"];
    assert!(responses.as_object_mut().expect("responses").remove("404").is_some());
    let further = ["--phases", "coverage", "--include-operation-id", "showProvider"];
    let run = let_loose(&app, &document, &further).await;
    assert!(!run.clean && run.said.contains("Undocumented status code"), "{}", run.said);
}
