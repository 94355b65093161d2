//! A private Postgres, run with the programs that are installed on the machine: for trying Foretell without a database.
//!
//! It listens on a socket in its folder and on no network. Only this user may enter the folder. All data are in it; dump them to move
//! to another database.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Where Debian's packages put each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// User of the database.
const USER: &str = "foretell";
/// Longest path of the folder in bytes. A socket's path has at most 107, of which the name that Postgres adds takes 19.
const LONGEST_PATH: usize = 107 - 19;
/// How long Postgres may wait for its clients to disconnect.
const GRACE: Duration = Duration::from_secs(5);

/// The private Postgres cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PrivatePostgresError {
    /// Postgres refuses to run as root.
    #[error("Postgres does not run as root: run the evaluator as another user, or set --database-url")]
    Root,
    /// Postgres is not installed.
    #[error(
        "no Postgres is installed (looked in {VERSIONS} and PATH): run apt-get install postgresql, or set --database-url"
    )]
    Missing,
    /// The folder has data of a version that is not installed.
    #[error("{} has data of Postgres {version}, which is not installed: run apt-get install postgresql-{version}", dir.display())]
    OtherVersion {
        /// The folder.
        dir: PathBuf,
        /// The version.
        version: String,
    },
    /// The path of the folder is too long for a socket in it.
    #[error("--data-dir {}: a socket in it would have too long a path; use at most {LONGEST_PATH} bytes", _0.display())]
    TooLong(PathBuf),
    /// Another evaluator uses the folder.
    #[error("--data-dir {}: another evaluator uses it", _0.display())]
    Taken(PathBuf),
    /// The folder cannot be used.
    #[error("--data-dir {}: {error}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Cause.
        error: io::Error,
    },
    /// A program of Postgres failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Name of the program.
        program: &'static str,
        /// Its standard error.
        output: String,
    },
}

/// A folder with a database, and the programs of its version. It is locked against other evaluators while the value exists.
#[derive(Debug)]
pub struct PrivatePostgres {
    programs: PathBuf,
    dir: PathBuf,
    _lock: File,
}

/// The folder to use if none is given.
#[must_use]
pub fn default_dir() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.map(|state| state.join("foretell-evaluator"))
}

impl PrivatePostgres {
    /// Locks the folder, and creates the database if the folder has none.
    ///
    /// # Errors
    /// [`PrivatePostgresError`].
    pub fn prepare(dir: &Path) -> Result<Self, PrivatePostgresError> {
        use PrivatePostgresError::{Folder, Root, Taken, TooLong};
        if geteuid().is_root() {
            return Err(Root);
        }
        let failed = |error| Folder { dir: dir.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let dir = &dir.canonicalize().map_err(failed)?;
        if dir.as_os_str().len() > LONGEST_PATH {
            return Err(TooLong(dir.clone()));
        }
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Taken(dir.clone())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let private = Self { programs: programs(dir)?, dir: dir.clone(), _lock: lock };
        private.stop_orphan()?;
        private.initialise()?;
        Ok(private)
    }

    /// How to connect to it.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.dir).username(USER).database("postgres")
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Stops the Postgres that an evaluator left running when it was killed.
    fn stop_orphan(&self) -> Result<(), PrivatePostgresError> {
        if !self.data().join("postmaster.pid").exists() {
            return Ok(());
        }
        let mut stop = Command::new(self.programs.join("pg_ctl"));
        stop.args(["stop", "--mode=fast", "--wait", "--pgdata"]).arg(self.data());
        match execute("pg_ctl", &mut stop) {
            // The process ended already. Postgres recovers when it starts.
            Err(PrivatePostgresError::Program { output, .. })
                if output.contains("No such process") || output.contains("Is server running?") =>
            {
                Ok(())
            }
            ended => ended,
        }
    }

    fn initialise(&self) -> Result<(), PrivatePostgresError> {
        let failed = |error| PrivatePostgresError::Folder { dir: self.dir.clone(), error };
        if self.data().exists() {
            return Ok(());
        }
        // Under another name until it is complete.
        let new = self.dir.join("data.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(failed)?;
        }
        let mut initdb = Command::new(self.programs.join("initdb"));
        // Only this user can enter the folder, so no password is needed.
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", &format!("--username={USER}"), "--pgdata"]);
        execute("initdb", initdb.arg(&new))?;
        fs::rename(&new, self.data()).map_err(failed)
    }

    /// Runs Postgres until it is asked to stop.
    ///
    /// # Errors
    /// Postgres cannot be started, or it ended too early.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut command = tokio::process::Command::new(self.programs.join("postgres"));
        command.arg("-D").arg(self.data()).args([
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_permissions=0700",
            "-k",
        ]);
        command.arg(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{}", self.programs.join("postgres").display()))?;
        info!(postgres.dir = %self.dir.display(), "Runs a private Postgres in {}", self.dir.display());
        let log = child.stderr.take().map(|stderr| tokio::spawn(forward(stderr)));
        tokio::select! {
            ended = child.wait() => anyhow::bail!("Postgres ended: {}", ended?),
            () = stop.cancelled() => {}
        }
        let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else { return Ok(()) };
        // SIGTERM waits for clients to disconnect; SIGINT disconnects them.
        kill_process(pid, Signal::TERM)?;
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            kill_process(pid, Signal::INT)?;
            child.wait().await?;
        }
        if let Some(log) = log {
            log.await?;
        }
        Ok(())
    }
}

/// Copies its output to this process's log.
async fn forward(stderr: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        info!("Postgres: {line}");
    }
}

/// The programs of the version that created the folder's data; for a new folder those of the newest version.
fn programs(dir: &Path) -> Result<PathBuf, PrivatePostgresError> {
    let is_there = |bin: &PathBuf| bin.join("postgres").is_file() && bin.join("initdb").is_file();
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(is_there)
    };
    if let Ok(version) = fs::read_to_string(dir.join("data/PG_VERSION")) {
        let version = version.trim().to_owned();
        let bin = Path::new(VERSIONS).join(&version).join("bin");
        // Other distributions have one version, in PATH. If it is the wrong one, Postgres says so when it starts.
        let bin = Some(bin).filter(is_there).or_else(on_path);
        return bin.ok_or_else(|| PrivatePostgresError::OtherVersion { dir: dir.to_owned(), version });
    }
    let folders = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let versions =
        folders.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))));
    let newest = versions.filter(|(_, bin)| is_there(bin)).max().map(|(_, bin)| bin);
    newest.or_else(on_path).ok_or(PrivatePostgresError::Missing)
}

fn execute(program: &'static str, command: &mut Command) -> Result<(), PrivatePostgresError> {
    let failed = |output| PrivatePostgresError::Program { program, output };
    let ended = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&ended.stderr).trim().to_owned()))
}
