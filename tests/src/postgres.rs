//! A real Postgres that a test starts with the programs of this machine: on this machine, or outside a cluster in its network.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::machine;
use crate::patience::until;

/// A server that stops when the value is dropped. A test can stop and start it in between; it keeps its data.
#[derive(Debug)]
pub struct Database {
    programs: PathBuf,
    dir: TempDir,
    address: SocketAddr,
    /// The program and arguments that run a command in the server's network; empty for this machine's.
    entrance: Vec<String>,
    running: Option<Child>,
}

/// The user `nobody`: Postgres refuses to run as root.
const NOBODY: &str = "65534";

/// Its address outside a cluster.
const OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)), 5432);

impl Database {
    /// A stopped server on this machine. `None` if Postgres is not installed, which is then reported as skipped.
    ///
    /// # Panics
    /// If the database cannot be created.
    #[must_use]
    pub fn here() -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self::make(free.local_addr().unwrap(), Vec::new())
    }

    /// A stopped server outside a cluster, which its pods can reach.
    ///
    /// # Panics
    /// If the database cannot be created.
    #[must_use]
    pub fn outside(cluster: &Cluster) -> Option<Self> {
        let exec = cluster.exec("outside");
        let words = std::iter::once(exec.get_program()).chain(exec.get_args());
        Self::make(OUTSIDE, words.map(|word| word.to_str().unwrap().to_owned()).collect())
    }

    fn make(address: SocketAddr, entrance: Vec<String>) -> Option<Self> {
        let Some(programs) = programs() else {
            machine::skip("tests with Postgres", "it is not installed (apt-get install postgresql)");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("foretell-").tempdir().unwrap();
        // The folder belongs to root, and another user has to pass through it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        if rustix::process::geteuid().is_root() {
            let nobody = NOBODY.parse().ok();
            std::os::unix::fs::chown(&data, nobody, nobody).unwrap();
        }
        let database = Self { programs, dir, address, entrance, running: None };
        let made = database
            .command("initdb")
            .args(["--auth=trust", "--username=foretell", "--no-sync", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Only this test can reach it.
        fs::write(data.join("pg_hba.conf"), "host all all all trust\n").unwrap();
        Some(database)
    }

    /// The URL of the database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://foretell@{}/postgres", self.address)
    }

    /// Starts it, or starts it again.
    ///
    /// # Panics
    /// If it does not start.
    pub fn resume(&mut self) {
        let log = self.dir.path().join("log");
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .args(["-k", "", "-F", "-h", &self.address.ip().to_string(), "-p", &self.address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.running = Some(child);
        until("Postgres answers", || {
            let ended = self.command("pg_isready").arg("--dbname").arg(self.url()).output().unwrap();
            let reason = || format!("{ended:?}\n{}", fs::read_to_string(&log).unwrap_or_default());
            if ended.status.success() { Ok(()) } else { Err(reason()) }
        });
    }

    /// Stops it at once, as in a power failure.
    ///
    /// # Panics
    /// If it is not running.
    pub fn stop(&mut self) {
        let mut child = self.running.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        // Immediate shutdown: only committed data is there at the next start.
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
        child.wait().unwrap();
    }

    /// The rows of a query, each as its columns with `|` between them.
    ///
    /// # Panics
    /// If the query fails.
    #[must_use]
    pub fn query(&self, sql: &str) -> Vec<String> {
        let url = self.url();
        let mut psql = self.command("psql");
        let ended = psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", sql, &url]).output().unwrap();
        assert!(ended.status.success(), "{sql}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// A command with one of its programs, in its network, and not as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program).into_os_string().into_string().unwrap();
        let mut words = self.entrance.clone();
        if rustix::process::geteuid().is_root() {
            words.extend(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"].map(str::to_owned));
        }
        words.push(program);
        let (first, rest) = words.split_first().unwrap();
        let mut command = Command::new(first);
        command.args(rest).current_dir(self.dir.path()).stdin(Stdio::null());
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

/// The folder of its programs: the newest version of Debian's, or the first on PATH.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions =
        folders.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))));
    let newest = versions.filter(|(_, bin)| bin.join("postgres").is_file()).max();
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(|folder| folder.join("postgres").is_file())
    };
    newest.map(|(_, bin)| bin).or_else(on_path)
}
