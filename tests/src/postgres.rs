//! A real Postgres of the test's own, by the machine's programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::machine;
use crate::patience::until;

/// A server that goes with the value; it can be stopped and started in between, and keeps what it holds.
#[derive(Debug)]
pub struct Database {
    programs: PathBuf,
    dir: TempDir,
    port: u16,
    running: Option<Child>,
}

/// It does not run as root.
const NOBODY: u32 = 65534;

impl Database {
    /// Makes one and starts it. `None` where this machine has no Postgres, which was said then.
    ///
    /// # Panics
    /// If it has and it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let mut database = Self::stopped()?;
        database.resume();
        Some(database)
    }

    /// Makes one that does not run yet.
    #[must_use]
    pub fn stopped() -> Option<Self> {
        let Some(programs) = programs() else {
            machine::skip("tests with Postgres", "it is not installed (apt-get install postgresql)");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("foretell-").tempdir().unwrap();
        // A folder of root's that another user must get through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let database = Self { programs, dir, port, running: None };
        let made = database
            .command("initdb")
            .args(["--auth=trust", "--username=foretell", "--no-sync", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(database)
    }

    /// How it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://foretell@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it does not start.
    pub fn resume(&mut self) {
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .args(["-h", "127.0.0.1", "-k", "", "-F", "-p", &self.port.to_string()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(child);
        until("Postgres answers", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                format!("{error}\n{log}")
            })
        });
    }

    /// Stops it at once, as a machine that loses its power would.
    ///
    /// # Panics
    /// If it does not run.
    pub fn stop(&mut self) {
        let mut child = self.running.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        // Immediate shutdown: what was committed is there at the next start, and nothing else.
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
        child.wait().unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
    }
}

/// The newest of Debian's versions, or what PATH offers.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").is_file())
        .collect();
    versions.sort();
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(|folder: &PathBuf| Path::new(folder).join("postgres").is_file())
    };
    versions.pop().map(|(_, bin)| bin).or_else(on_path)
}
