//! What only the embedded store has: a folder, a lock, a file that outlives the process, however the process ends.

use super::bench::*;
use grantkeep::adapters::embedded::{EmbeddedStore, OpenError};
use grantkeep::ports::store::{Batch, Guard, Key, Store};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

fn open(folder: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(folder, StillClock::new())
}

fn key(n: usize, part: &str) -> Key {
    Key::alone(part, &n.to_string())
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.apply(Batch::new().then(put(&key(1, "kept"), &[("a", "1")]))).await.unwrap();
    store.apply(Batch::new().then(add(&key(1, "index"), "member"))).await.unwrap();
    drop(store);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "a clean end leaves the file and the lock: {names:?}");

    let store = open(folder.path()).unwrap();
    assert_eq!(fields_of(&store.get(&key(1, "kept")).await.unwrap().unwrap()), expect(1, &[("a", "1")]));
    assert_eq!(store.scan(&key(1, "index"), "", None, 9).await.unwrap(), ["member"]);
    store.apply(Batch::new().then(set(&key(1, "kept"), &[]))).await.unwrap();
    assert_eq!(store.get(&key(1, "kept")).await.unwrap().unwrap().rev(), 2);
}

#[tokio::test]
async fn a_folder_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let refusal = open(folder.path()).err().expect("a second store on the same folder").to_string();
    assert!(refusal.contains("in use by another process"), "{refusal}");
    assert!(refusal.contains(folder.path().to_str().unwrap()), "{refusal}");
    first.ping().await.unwrap();
    drop(first);
    open(folder.path()).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_newer_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let file = folder.path().join("grantkeep.db");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let before = std::fs::read(&file).unwrap();
    let refusal = open(folder.path()).err().expect("a file of schema 7").to_string();
    assert!(refusal.contains("newer version (schema 7"), "{refusal}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("grantkeep.db"), "not a database, but long enough ".repeat(99))
        .unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::File { .. })));
    let file = folder.path().join("grantkeep.db").join("below a file");
    assert!(matches!(open(&file), Err(OpenError::Folder { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_the_owners_eyes() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/deep");
    let store = open(&folder).unwrap();
    store.ping().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "file, log, shared memory and lock: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn records_past_their_life_give_their_room_back() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), StillClock::new());
    let store = EmbeddedStore::open(folder.path(), clock.clone()).unwrap();
    for n in 0..600 {
        let short = put_for(&key(n, "short"), &[], Duration::from_secs(5));
        store.apply(Batch::new().then(short)).await.unwrap();
    }
    store.apply(Batch::new().then(put_for(&key(1, "long"), &[], Duration::from_hours(1)))).await.unwrap();
    store.apply(Batch::new().then(put(&key(1, "endless"), &[]))).await.unwrap();
    clock.advance(Duration::from_secs(11));
    for _ in 0..3 {
        // The sweep follows the answer, and the next answer follows the sweep. What one leaves is the next one's at once:
        // sessions can be made faster than a sweep every ten seconds takes them away.
        store.apply(Batch::new()).await.unwrap();
    }
    let file = rusqlite::Connection::open(folder.path().join("grantkeep.db")).unwrap();
    let left: u32 = file.query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 2);
    assert!(store.get(&key(1, "long")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_of_another_version_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    store.apply(Batch::new().then(put(&key(1, "odd"), &[("a", "1")]))).await.unwrap();
    let file = rusqlite::Connection::open(folder.path().join("grantkeep.db")).unwrap();
    file.execute("UPDATE record SET fields = x'02'", ()).unwrap();
    let error = store.get(&key(1, "odd")).await.unwrap_err().to_string();
    assert!(error.contains("gk:odd:{1}"), "{error}");
    // In a group with others, it fails alone.
    let (bad, good) = tokio::join!(
        store.apply(Batch::new().then(set(&key(1, "odd"), &[]))),
        store.apply(Batch::new().then(set(&key(1, "good"), &[])))
    );
    assert!(bad.unwrap_err().to_string().contains("gk:odd:{1}"));
    assert!(good.unwrap().applied());
}

#[tokio::test]
async fn what_was_asked_is_done_also_when_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
    for n in 0..50 {
        let mut asked = store.apply(Batch::new().then(put(&key(n, "left"), &[])));
        let _ = futures_util::poll!(&mut asked);
    }
    drop(store);
    let store = open(folder.path()).unwrap();
    for n in 0..50 {
        assert!(store.get(&key(n, "left")).await.unwrap().is_some(), "{n}");
    }
}

const FOLDER: &str = "GRANTKEEP_TEST_FOLDER";

/// What `nothing_acknowledged_is_lost_by_kill` does in the process that it starts and kills.
async fn write_until_killed(folder: &Path) {
    let store = Arc::new(open(folder).unwrap());
    let writers = (0..8).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in (writer..).step_by(8) {
                let text = n.to_string();
                let tag = format!("{{{n}}}");
                let batch = Batch::new()
                    .when(Guard::Absent(key(n, "one")))
                    .then(put(&key(n, "one"), &[("n", &text), ("tag", &tag)]))
                    .then(put(&key(n, "two"), &[("n", &text)]))
                    .then(add(&key(n, "index"), &text));
                assert!(store.apply(batch).await.unwrap().applied());
                // Past the capture of the test harness, one write a line.
                std::io::stdout().write_all(format!("\ndone {n}\n").as_bytes()).unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// Lets a child write until `enough` were acknowledged, kills it, and tells all that were.
fn killed_in_the_middle(folder: &Path, enough: usize) -> Vec<usize> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(
            ["--exact", "--nocapture", concat!(module_path!(), "::nothing_acknowledged_is_lost_by_kill")]
                .map(|word| word.trim_start_matches("it::")),
        )
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut done = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.strip_prefix("done ").map(|n| n.parse::<usize>().unwrap());
    while done.len() < enough {
        done.extend(number(lines.next().expect("the child goes on writing")));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A last line may be cut.
    done.extend(lines.filter_map(|line| line.strip_prefix("done ")?.parse::<usize>().ok()));
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_until_killed(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let enough = 300;
    let done = killed_in_the_middle(folder.path(), enough);
    assert!(done.len() >= enough);
    let store = open(folder.path()).expect("the dead process holds no lock");
    for n in &done {
        let (one, two) = (key(*n, "one"), key(*n, "two"));
        let read = store.get_many(&[&one, &two]).await.unwrap();
        assert!(read.iter().all(|r| r.as_ref().is_some_and(|r| r.number("n") == Some(*n))), "{n} is lost");
    }
    let mut beyond = 0;
    for n in 0..done.iter().max().unwrap() + 64 {
        let (one, two) = (key(n, "one"), key(n, "two"));
        let read = store.get_many(&[&one, &two]).await.unwrap();
        let index = store.scan(&key(n, "index"), "", None, 9).await.unwrap();
        assert_eq!(read[0].is_some(), read[1].is_some(), "half of {n}");
        assert_eq!(read[0].is_some(), !index.is_empty(), "half of {n}");
        beyond += usize::from(read[0].is_some());
    }
    assert!(beyond >= done.len());
    store.ping().await.unwrap();
}
