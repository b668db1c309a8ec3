//! The instance, the heads in the log, and the command.

use super::*;
use grantkeep::app::start;
use std::process::Command;

#[tokio::test]
async fn a_data_folder_has_one_server() {
    let app = App::start(Stores::redis()).await;
    let place = app.folder().join("data").display().to_string();
    let overrides = [
        ("server.port", "0".to_owned()),
        ("admin.port", "0".to_owned()),
        ("server.data_folder", place.clone()),
        ("store.url", RedisServer::shared().url()),
        ("vault.master_keys", new_master_key(None)),
        ("mail.url", format!("outbox:{}", app.outbox.display())),
        ("log.level", "error".to_owned()),
    ];
    let settings =
        Settings::load(None, std::iter::empty(), &overrides).unwrap_or_else(|faults| panic!("{faults}"));
    let refusal = start(settings).await.err().expect("a second server").to_string();
    for word in ["server.data_folder", &place, "give each server a folder of its own"] {
        assert!(refusal.contains(word), "{refusal}");
    }
}

fn verify(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeep"));
    command.args(["audit", "verify"]).args(arguments).env_clear().envs(variables.iter().copied());
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it ends"), text(&output.stdout), text(&output.stderr))
}

/// Heads are logged at the stop at the latest; with the log, the command compares.
#[tokio::test]
async fn heads_are_logged_and_the_command_compares_them() {
    let key = new_master_key(Some("test"));
    let redis = Arc::new(RedisServer::start(&[]));
    for format in ["json", "pretty"] {
        let stores = Stores::Redis(Arc::clone(&redis));
        let further = [("vault.master_keys", key.as_str()), ("log.format", format)];
        let mut app = App::spawn(stores, &further);
        let tenant = Tenant::new(&app).await;
        tenant.token("nobody").await.expect(404);
        app.process().signal("TERM");
        assert_eq!(app.ended().await, 0, "{}", app.log());
        let log = app.log();
        assert_eq!(log.lines().filter(|line| line.contains("grantkeep::audit")).count(), 1, "{log}");
        let file = app.folder().join("server.log");
        std::fs::write(&file, &log).expect("a file");
        let place = file.display().to_string();
        let url = redis.url();
        let variables =
            [("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str()), ("GRANTKEEP_STORE__URL", url.as_str())];
        let (code, out, err) = verify(&["--tenant", tenant.id(), "--heads", &place], &variables);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains("3 records in 1 trails of 1 tenants; 1 of 1 logged heads compared"), "{out}");
        assert!(out.contains("every record is as it was written"), "{out}");
        let stream =
            redis.say::<Vec<String>>(&["KEYS", &format!("gk:{{{}}}:audit:*", tenant.id())]).remove(0);
        redis.say::<i64>(&["XTRIM", &stream, "MAXLEN", "=", "1"]);
        let (code, out, err) = verify(&[], &variables);
        assert_eq!(code, 1);
        assert!(out.contains("records 1 to 2 are missing: the beginning was cut off"), "{out}");
        assert!(err.contains("1 faults in the audit trail"), "{err}");
        redis.say::<()>(&["FLUSHALL"]);
    }
}

#[tokio::test]
async fn heads_are_logged_now_and_then() {
    let app = App::spawn(Stores::Embedded, &[("audit.heads", "50ms")]);
    let tenant = Tenant::new(&app).await;
    let logged = || {
        let mut heads = HeadsLog::default();
        app.log().lines().for_each(|line| heads.read_line(line));
        heads.len()
    };
    for _ in 0..3 {
        let before = logged();
        tenant.token("nobody").await.expect(404);
        for _ in 0..1000 {
            if logged() > before {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(logged() > before, "{}", app.log());
    }
}

#[tokio::test]
async fn the_command_says_what_it_cannot_do() {
    let (app, key) = {
        let key = new_master_key(Some("test"));
        (App::start_with(Stores::Embedded, &[("vault.master_keys", &key)]).await, key)
    };
    let url = format!("embedded:{}", app.folder().join("data").display());
    let variables = [("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str()), ("GRANTKEEP_STORE__URL", url.as_str())];
    let (code, _, err) = verify(&[], &variables);
    assert_eq!(code, 1);
    assert!(err.contains("is held by the server: stop it, or verify a copy"), "{err}");
    assert!(verify(&["--tenant", "x"], &variables).2.contains("no tenant id"));
    assert!(verify(&["--heads", "none.log"], &variables).2.contains("none.log cannot be read"));
    let empty = app.folder().join("empty.log").display().to_string();
    std::fs::write(&empty, "nothing\n").expect("a file");
    assert!(verify(&["--heads", &empty], &variables).2.contains("no head stands there"));
    let tenant = Tenant::new(&app).await;
    let id = tenant.id().to_owned();
    // A copy of the folder can be verified.
    let copy = copy_of(&app);
    let url = format!("embedded:{}", copy.path().display());
    let variables = [("GRANTKEEP_VAULT__MASTER_KEYS", key.as_str()), ("GRANTKEEP_STORE__URL", url.as_str())];
    let (code, out, err) = verify(&["--tenant", &id], &variables);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("2 records in 1 trails"), "{out}");
    let other = "0".repeat(22);
    assert!(verify(&["--tenant", &other], &variables).2.contains("does not exist"));
}
