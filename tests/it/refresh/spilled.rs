//! New tokens that the store does not take lie on the server's own disk, sealed, and are stored at its next start; what the
//! store had taken and lost again is written again.

use super::*;
use crate::support::redis::RedisServer;
use grantkeep::app::new_master_key;
use std::cell::RefCell;
use std::path::PathBuf;

const IMPATIENT: &[(&str, &str)] = &[("store.timeout", "500ms"), ("store.connect_timeout", "500ms")];

/// A process of the real binary whose data folder outlives it, and a Redis that can die and come back: what was sent to one
/// that only hangs would be done when it goes on.
struct Scene {
    stage: Stage,
    redis: RefCell<Option<RedisServer>>,
    port: u16,
    settings: Vec<(String, String)>,
    data: TempDir,
    kept: TempDir,
}

impl Scene {
    async fn new(mode: Mode) -> Self {
        let folder = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let (files, data, kept) = (mode.folder(), folder(), folder());
        let redis = RedisServer::start(&durable(&kept));
        let port = redis.port();
        let owned = [
            ("providers.dirs", files.path().display().to_string()),
            ("vault.master_keys", new_master_key(Some("test"))),
        ];
        let mut settings: Vec<(String, String)> =
            owned.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        for (key, value) in [QUICK, HASTY, IMPATIENT, &[("refresh.wait", "2s")]].concat() {
            settings.push((key.to_owned(), value.to_owned()));
        }
        let app = spawn(port, &settings, Some(&data));
        let redis = RefCell::new(Some(redis));
        Self { stage: Stage::on(app, mode, files).await, redis, port, settings, data, kept }
    }

    fn pages(&self, end: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.data.path().join("spill")).into_iter().flatten();
        let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        pages.retain(|path| path.extension().is_some_and(|ends| ends == end));
        pages
    }

    /// A refresh that the provider answers while the store dies; returns when the new tokens lie on the disk.
    async fn refresh_into_the_void(&self) {
        self.stage.strike(Fault::Delay(300));
        let before = self.stage.counts().refreshes;
        let tenant = self.stage.tenant.clone();
        tokio::spawn(async move {
            let body = json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true });
            drop(with_json(tenant.request(Method::POST, "/get-access-token"), &body).send().await);
        });
        until("the refresh is under way", async || self.stage.counts().refreshes > before).await;
        drop(self.redis.take());
        until("the new tokens lie on the disk", async || self.pages("page").len() == 1).await;
    }

    /// An order to stop, and its end.
    async fn stop(&mut self) {
        self.stage.app.process().signal("TERM");
        self.stage.app.ended().await;
    }

    /// The store comes back with all that it had.
    fn back(&self) {
        let again = RedisServer::start_on(self.port, &durable(&self.kept));
        *self.redis.borrow_mut() = Some(again.expect("the port is still free"));
    }

    /// The same server, started again.
    fn again(&self) -> App {
        spawn(self.port, &self.settings, Some(&self.data))
    }

    /// Another server.
    fn another(&self) -> App {
        spawn(self.port, &self.settings, None)
    }

    async fn nothing_waits(&self) {
        until("nothing lies on the disk any more", async || self.pages("page").is_empty()).await;
    }
}

fn durable(kept: &TempDir) -> [&str; 6] {
    let folder = kept.path().to_str().expect("a name");
    ["--appendonly", "yes", "--appendfsync", "always", "--dir", folder]
}

fn spawn(port: u16, settings: &[(String, String)], data: Option<&TempDir>) -> App {
    let folder = data.map(|data| data.path().display().to_string());
    let mut all: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    all.extend(folder.as_deref().map(|folder| ("server.data_folder", folder)));
    App::spawn(Stores::At(format!("redis://127.0.0.1:{port}/")), &all)
}

/// The second generation is there, works, and cost one refresh.
async fn is_kept(scene: &Scene, who: &Connected, app: &App) -> String {
    let tenant = scene.stage.tenant.at(app);
    let answer = tenant.token("ada").await.expect(200);
    assert_eq!((&answer.body["generation"], &answer.body["refresh"]["state"]), (&2.into(), &"fresh".into()));
    let token = answer.text("access_token");
    assert!(scene.stage.works(&token).await);
    assert_eq!(scene.stage.family(who).refresh_requests, 1);
    // And its refresh token is the one that goes on.
    assert_eq!(
        ask(&tenant, "ada", &json!({ "force_refresh": true })).await.expect(200).body["generation"],
        3
    );
    token
}

#[tokio::test]
async fn a_kill_while_the_store_is_away_costs_nothing() {
    let scene = Scene::new(STRICT).await;
    let who = scene.stage.connect("ada", LONG).await;
    scene.refresh_into_the_void().await;
    let page = std::fs::read_to_string(&scene.pages("page")[0]).expect("a page");
    scene.stage.app.process().signal("KILL");
    scene.back();
    let heir = scene.again();
    let token = is_kept(&scene, &who, &heir).await;
    assert!(!page.contains(&token) && !page.contains(&who.token), "what lies on the disk is sealed");
    scene.nothing_waits().await;
}

#[tokio::test]
async fn an_order_to_stop_while_the_store_is_away_costs_nothing() {
    let mut scene = Scene::new(STRICT).await;
    let who = scene.stage.connect("ada", LONG).await;
    scene.refresh_into_the_void().await;
    scene.stop().await;
    assert_eq!(scene.pages("page").len(), 1);
    scene.back();
    let heir = scene.again();
    is_kept(&scene, &who, &heir).await;
    scene.nothing_waits().await;
}

/// The store comes back while the process lives: nothing is left on the disk.
#[tokio::test]
async fn a_page_goes_when_the_store_has_it() {
    let scene = Scene::new(STRICT).await;
    let who = scene.stage.connect("ada", LONG).await;
    scene.refresh_into_the_void().await;
    scene.back();
    scene.nothing_waits().await;
    is_kept(&scene, &who, &scene.stage.app).await;
    assert_eq!(scene.stage.app.metric("grantkeep_refresh_outcomes_waiting").await, Some(0.0));
}

/// Somebody took the attempt over and was refused, because its token was spent: the tokens it was spent for still win.
#[tokio::test]
async fn tokens_win_over_whoever_found_their_predecessor_spent() {
    let scene = Scene::new(STRICT).await;
    let who = scene.stage.connect("ada", LONG).await;
    scene.refresh_into_the_void().await;
    scene.stage.app.process().signal("KILL");
    scene.back();
    let other = scene.another();
    // At this provider a second use counts as theft and ends all: it must not be asked.
    scene.stage.rule(Rule::new(
        Endpoint::Token,
        Fault::Json { status: 400, body: json!({ "error": "invalid_grant" }) },
    ));
    let tenant = scene.stage.tenant.at(&other);
    until("the attempt was taken over", async || {
        ask(&tenant, "ada", &json!({ "force_refresh": true })).await.status == 409
    })
    .await;
    let seen = tenant.get(&format!("/v1/connections/{}", who.id)).await.expect(200).body;
    assert_eq!(
        (&seen["status"], &seen["reason"]),
        (&"reauthorization_required".into(), &"refresh_outcome_unknown".into())
    );
    scene.stage.sandbox.control().reset();
    let heir = scene.again();
    let answer = scene.stage.tenant.at(&heir).token("ada").await.expect(200);
    assert_eq!(answer.body["generation"], 2);
    assert!(scene.stage.works(&answer.text("access_token")).await);
    scene.nothing_waits().await;
}

#[tokio::test]
async fn tokens_for_a_connection_that_was_deleted_meanwhile_are_revoked() {
    let scene = Scene::new(STRICT).await;
    let who = scene.stage.connect("ada", LONG).await;
    scene.refresh_into_the_void().await;
    scene.stage.app.process().signal("KILL");
    scene.back();
    let other = scene.another();
    // Its own revocation is of the old tokens, and is lost.
    scene.stage.rule(Rule::new(Endpoint::Revoke, Fault::ServerError).times(2));
    scene.stage.tenant.at(&other).delete(&format!("/v1/connections/{}", who.id)).await.expect(200);
    scene.stage.sandbox.control().reset();
    let heir = scene.again();
    assert_eq!(scene.stage.tenant.at(&heir).token("ada").await.expect(404).code(), "connection_not_found");
    assert!(!scene.stage.family(&who).alive, "the new tokens were ended");
    scene.nothing_waits().await;
}

#[tokio::test]
async fn a_page_that_cannot_be_read_is_set_aside() {
    let mut scene = Scene::new(STRICT).await;
    let who = scene.stage.connect("ada", LONG).await;
    scene.refresh_into_the_void().await;
    scene.stop().await;
    scene.back();
    let page = scene.pages("page").remove(0);
    let whole = std::fs::read(&page).expect("a page");
    for (name, bytes) in [("junk", &b"junk"[..]), ("half", &whole[..whole.len() / 2]), ("void", &b""[..])] {
        std::fs::write(page.with_file_name(format!("{name}.page")), bytes).expect("a page");
    }
    let later = String::from_utf8_lossy(&whole).replace("\"version\":1", "\"version\":2");
    std::fs::write(page.with_file_name("later.page"), later).expect("a page");
    let heir = scene.again();
    is_kept(&scene, &who, &heir).await;
    scene.nothing_waits().await;
    assert_eq!(scene.pages("aside").len(), 4);
    assert_eq!(heir.metric("grantkeep_refresh_outcomes_kept_total{what=\"set_aside\"}").await, Some(4.0));
    assert!(heir.log().contains("is set aside"), "{}", heir.log());
}

/// What a crash of a Redis that is a second behind with its disk does, or a failover to a replica that is behind.
#[tokio::test]
async fn a_generation_that_the_store_loses_is_told_and_written_again() {
    let scene = Scene::new(STRICT).await;
    let who = scene.stage.connect("ada", LONG).await;
    let name = format!("gk:{{{}}}:connection:sandbox:ada:", scene.stage.tenant.id());
    let redis = scene.redis.take().expect("it runs");
    let old: Vec<u8> = redis.say(&["DUMP", &name]);
    let token = scene.stage.forced("ada").await.expect(200).text("access_token");
    let restore = || {
        let mut command = redis::cmd("RESTORE");
        command.arg(&name).arg(0).arg(&old).arg("REPLACE");
        command.query::<()>(&mut redis.connection()).expect("it answers");
    };
    restore();
    let answer = scene.stage.token("ada").await.expect(200);
    assert_eq!((answer.text("access_token"), &answer.body["generation"]), (token, &2.into()));
    until("it is written again", async || redis.say::<u64>(&["HGET", &name, "generation"]) == 2).await;
    assert_eq!(
        scene.stage.app.metric("grantkeep_alarms_total{kind=\"generation_went_back\"}").await,
        Some(1.0)
    );
    is_kept(&scene, &who, &scene.stage.app).await;
    // Also where a refresh is what is asked for.
    restore();
    assert_eq!(scene.stage.forced("ada").await.expect(200).body["generation"], 4);
    let family = scene.stage.family(&who);
    assert_eq!((family.refresh_requests, family.most_requests_of_one_token, family.reuses), (3, 1, 0));
}
