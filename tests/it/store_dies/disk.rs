//! The embedded store on a disk that is full, and that has room again.

use super::*;
use crate::support::app::Stores;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A server in a process of its own, on a disk of its own.
struct Cramped {
    app: App,
    folder: PathBuf,
    room: Room,
    _folder: TempDir,
}

/// How the disk is filled.
enum Room {
    /// A file system in memory, in a name space of the server's own, is filled with a file.
    Mount,
    /// Its files may not become larger: EFBIG in place of ENOSPC, for which nobody needs a right.
    Limit,
}

/// Mounts a disk of 24 MiB on the folder that follows, and becomes what follows that.
const MOUNTED: &str = r#"mkdir -p "$1" && mount -t tmpfs -o size=24m none "$1" && shift && exec "$@""#;
/// The signal that a file has become too large would end the server; without it the write fails.
const LIMITED: &str = r#"trap '' XFSZ; exec "$@""#;

fn can_mount(folder: &Path) -> bool {
    let place = folder.join("probe").display().to_string();
    let tried = Command::new("unshare").args(["-rm", "sh", "-c", MOUNTED, "sh", &place, "true"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

impl Cramped {
    fn start(room: Room) -> Self {
        let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let folder = own.path().join("data");
        let (place, url) = (folder.display().to_string(), format!("embedded:{}", folder.display()));
        let mounted = ["unshare", "-rm", "sh", "-c", MOUNTED, "sh", &place];
        let by: &[&str] = match room {
            Room::Mount => &mounted,
            Room::Limit => &["sh", "-c", LIMITED, "sh"],
        };
        let app = App::spawn_by(by, Stores::Embedded, &[("store.url", &url)]);
        Self { app, folder, room, _folder: own }
    }

    /// The folder as the server sees it.
    fn seen(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.app.process().pid());
        Path::new(&root).join(self.folder.strip_prefix("/").expect("it is absolute"))
    }

    fn fill(&self) {
        match self.room {
            Room::Mount => {
                let ballast = std::fs::File::create(self.seen().join("ballast")).expect("a file");
                // To the last byte.
                while std::io::Write::write_all(&mut &ballast, &[0; 4096]).is_ok() {}
            }
            Room::Limit => {
                let log = std::fs::metadata(self.folder.join("grantkeep.db-wal")).expect("it is there").len();
                self.limit(&format!("{log}:"));
            }
        }
    }

    fn make_room(&self) {
        match self.room {
            Room::Mount => std::fs::remove_file(self.seen().join("ballast")).expect("it is there"),
            Room::Limit => self.limit("unlimited:"),
        }
    }

    fn limit(&self, bytes: &str) {
        let pid = self.app.process().pid();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status();
        assert!(set.expect("prlimit runs").success());
    }
}

async fn fills_up(room: Room) {
    let cramped = Cramped::start(room);
    let (app, stage) = (&cramped.app, Stage::new(&cramped.app, 1).await);
    let tenant = &stage.tenants[0];
    let asked = stage.sandbox.control().counts().refresh_requests;
    let told = stage
        .during(async |told| {
            until("some are written", || told.made() > 30).await;
            cramped.fill();
            until("some are refused", || told.refused() > 2 * WRITERS).await;
            // What is there can be read; what would have to be written is not begun, and no token leaves without its record.
            assert_eq!(tenant.token("ada").await.expect(503).code(), "store_unavailable");
            let forced = json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true });
            tenant.post("/get-access-token", &forced).await.expect(503);
            let listed = tenant.get("/v1/connections?end_user=ada").await.expect(200).body;
            assert_eq!(listed["items"][0]["generation"], 1);
            assert_eq!(stage.sandbox.control().counts().refresh_requests, asked);
            assert_eq!(ready(app).await, 503);
            cramped.make_room();
            let made = told.made();
            until("more are written", || told.made() > made + 30).await;
        })
        .await;
    stage.is_whole(&told).await;
    assert_eq!(ready(app).await, 200);
    let database = cramped.seen().join("grantkeep.db");
    app.process().signal("KILL");
    // What is on the disk is whole, whoever opens it next.
    if let Room::Limit = cramped.room {
        let database = cramped.folder.join(database.file_name().expect("a name"));
        let sound: String = rusqlite::Connection::open(database)
            .and_then(|database| database.pragma_query_value(None, "integrity_check", |row| row.get(0)))
            .expect("it opens");
        assert_eq!(sound, "ok");
    }
}

#[tokio::test]
async fn a_file_that_may_not_grow() {
    fills_up(Room::Limit).await;
}

/// Where no file system can be mounted (that takes root or user name spaces) the limit has to do here too.
#[tokio::test]
async fn a_disk_that_is_full() {
    let probe = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    fills_up(if can_mount(probe.path()) { Room::Mount } else { Room::Limit }).await;
}
