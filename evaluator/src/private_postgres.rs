//! A Postgres of the evaluator's own, by the programs that the machine has: for one machine on which nobody runs a database yet.
//!
//! It listens on a socket in its folder, which nobody else may enter, and on no network. Everything is in that folder: whoever
//! outgrows it dumps it into a database of theirs.

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
/// The user of its database.
const USER: &str = "foretell";
/// A socket's path has room for 107 bytes; Postgres adds its own name of 19.
const LONGEST: usize = 107 - 19;
/// How long it waits for connections to end before it ends them.
const GRACE: Duration = Duration::from_secs(5);

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum PrivatePostgresError {
    /// It does not run as root.
    #[error(
        "Postgres does not run as root: run the evaluator as another user, or give it a database by --database-url"
    )]
    Root,
    /// It is not installed.
    #[error(
        "no Postgres is installed (looked in {VERSIONS} and PATH): apt-get install postgresql, or give a database by --database-url"
    )]
    Missing,
    /// The folder's data are of a version that is not installed.
    #[error("{} holds data of Postgres {version}, which is not installed: apt-get install postgresql-{version}", dir.display())]
    OtherVersion {
        /// The folder.
        dir: PathBuf,
        /// The version.
        version: String,
    },
    /// The socket in the folder would have too long a name.
    #[error("--data-dir {}: is too long for a socket in it, of {LONGEST} bytes at most", _0.display())]
    TooLong(PathBuf),
    /// Another evaluator has it.
    #[error("--data-dir {}: another evaluator uses it", _0.display())]
    Taken(PathBuf),
    /// The folder cannot be used.
    #[error("--data-dir {}: {error}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A program of Postgres failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
}

/// A folder with a database in it, and the programs that serve it. Nobody else can have it as long as the value lives.
#[derive(Debug)]
pub struct PrivatePostgres {
    programs: PathBuf,
    dir: PathBuf,
    _lock: File,
}

/// Where its folder is if none is named.
#[must_use]
pub fn default_dir() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.map(|state| state.join("foretell-evaluator"))
}

impl PrivatePostgres {
    /// Makes the database, if the folder holds none yet.
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
        if dir.as_os_str().len() > LONGEST {
            return Err(TooLong(dir.clone()));
        }
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Taken(dir.clone())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let private = Self { programs: programs(dir)?, dir: dir.clone(), _lock: lock };
        private.end_what_was_left()?;
        private.initialise()?;
        Ok(private)
    }

    /// How it is reached.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.dir).username(USER).database("postgres")
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// An evaluator that was killed leaves its Postgres running.
    fn end_what_was_left(&self) -> Result<(), PrivatePostgresError> {
        if !self.data().join("postmaster.pid").exists() {
            return Ok(());
        }
        let mut stop = Command::new(self.programs.join("pg_ctl"));
        stop.args(["stop", "--mode=fast", "--wait", "--pgdata"]).arg(self.data());
        match said_by("pg_ctl", &mut stop) {
            // Its process is gone already; Postgres mends what it finds.
            Err(PrivatePostgresError::Program { said, .. }) if said.contains("No such process") => Ok(()),
            Err(PrivatePostgresError::Program { said, .. }) if said.contains("Is server running?") => Ok(()),
            ended => ended,
        }
    }

    fn initialise(&self) -> Result<(), PrivatePostgresError> {
        let failed = |error| PrivatePostgresError::Folder { dir: self.dir.clone(), error };
        if self.data().exists() {
            return Ok(());
        }
        // Under another name until it is whole.
        let new = self.dir.join("data.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(failed)?;
        }
        let mut initdb = Command::new(self.programs.join("initdb"));
        // Whoever may enter the folder is trusted: this user.
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", &format!("--username={USER}"), "--pgdata"]);
        said_by("initdb", initdb.arg(&new))?;
        fs::rename(&new, self.data()).map_err(failed)
    }

    /// Serves it until told to stop.
    ///
    /// # Errors
    /// Where it ends unasked, or cannot be started.
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
        info!("Keeps its data in a Postgres of its own in {}", self.dir.display());
        let said = child.stderr.take().map(|stderr| tokio::spawn(repeat(stderr)));
        tokio::select! {
            ended = child.wait() => anyhow::bail!("Postgres ended: {}", ended?),
            () = stop.cancelled() => {}
        }
        let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else { return Ok(()) };
        // First it lets those who are connected finish; then it sends them away.
        kill_process(pid, Signal::TERM)?;
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            kill_process(pid, Signal::INT)?;
            child.wait().await?;
        }
        if let Some(said) = said {
            said.await?;
        }
        Ok(())
    }
}

/// Puts what it says into this process's log.
async fn repeat(stderr: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        info!("Postgres: {line}");
    }
}

/// The programs of the version that made the folder's data; for a new one the newest.
fn programs(dir: &Path) -> Result<PathBuf, PrivatePostgresError> {
    let is_there = |bin: &PathBuf| bin.join("postgres").is_file() && bin.join("initdb").is_file();
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(is_there)
    };
    if let Ok(version) = fs::read_to_string(dir.join("data/PG_VERSION")) {
        let version = version.trim().to_owned();
        let bin = Path::new(VERSIONS).join(&version).join("bin");
        // Elsewhere than on Debian, what PATH offers has to be it; if it is not, it says so itself.
        let bin = Some(bin).filter(is_there).or_else(on_path);
        return bin.ok_or_else(|| PrivatePostgresError::OtherVersion { dir: dir.to_owned(), version });
    }
    let folders = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let versions =
        folders.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))));
    let newest = versions.filter(|(_, bin)| is_there(bin)).max().map(|(_, bin)| bin);
    newest.or_else(on_path).ok_or(PrivatePostgresError::Missing)
}

fn said_by(program: &'static str, command: &mut Command) -> Result<(), PrivatePostgresError> {
    let failed = |said| PrivatePostgresError::Program { program, said };
    let ended = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&ended.stderr).trim().to_owned()))
}
