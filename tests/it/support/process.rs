//! Processes that do not outlive the tests, however the tests end.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server of somebody else's, in a folder of its own, which holds its `log`.
///
/// A shell holds the leash: a pipe from this process. When the pipe closes, because this was dropped or the test process
/// died, the shell kills the server and removes the folder. When the server ends by itself, so does the shell.
pub struct Leashed {
    shell: Child,
    home: PathBuf,
}

const LEASH: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null >log 2>&1 &
server=$!
echo $server >pid
(cat <&3; kill -9 $server; rm -rf "$PWD") >/dev/null 2>&1 &
exec 3<&- 2>/dev/null
wait $server
"#;

/// Ten milliseconds each: half a minute, for a machine with other things to do.
const PATIENCE: usize = 3000;

impl Leashed {
    /// Starts `program` and waits until `ready` has something to say. When it ended before: what it said.
    pub fn start<T>(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        ready: impl Fn(&Self) -> Option<T>,
    ) -> Result<(Self, T), String> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut shell = Command::new("sh");
        shell.args(["-c", LEASH, "sh"]).arg(program).args(arguments);
        let shell = shell.current_dir(folder.path()).stdin(Stdio::piped()).spawn().expect("sh runs");
        // From here on the shell removes it.
        let mut server = Self { shell, home: folder.keep() };
        for _ in 0..PATIENCE {
            if let Some(said) = ready(&server) {
                return Ok((server, said));
            }
            if server.shell.try_wait().expect("it has a state").is_some() {
                return Err(format!("{} ended: {}", program.display(), server.log()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} is not ready:\n{}", program.display(), server.log());
    }

    /// Starts a server that must be told its port, on a free one.
    pub fn on_a_free_port<T>(start: impl Fn(u16) -> Result<T, String>) -> T {
        // Between finding the port and its being taken somebody else may take it.
        let mut said = String::new();
        for _ in 0..10 {
            match start(free_port()) {
                Ok(server) => return server,
                Err(fault) => said = fault,
            }
        }
        panic!("{said}")
    }

    /// Sends it a signal by name, such as `TERM`, `KILL`, `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill runs");
        assert!(sent.success(), "{pid} is not there any more");
    }

    /// The number of its process.
    pub fn pid(&self) -> String {
        let pid = std::fs::read_to_string(self.home.join("pid")).expect("the shell wrote it down");
        pid.trim().to_owned()
    }

    /// Files and sockets that it holds.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }

    /// The exit code, once it has ended by itself or by a signal (then 128 and more).
    pub fn ended(&mut self) -> Option<i32> {
        self.shell
            .try_wait()
            .expect("it has a state")
            .map(|status| status.code().expect("sh itself lives on"))
    }

    /// The folder it runs in.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read(self.home.join("log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

/// A port that nobody has at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a port is free").port()
}
