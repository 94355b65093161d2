//! What this machine can run, and reports of tests that it cannot run.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The root of the checkout.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A program of this workspace, in the folder of the test programs: `cargo test --workspace` builds both.
///
/// # Panics
/// If it is missing.
#[must_use]
pub fn built(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join(name);
    assert!(program.exists(), "{} is missing: run scripts/debug-programs", program.display());
    Command::new(program)
}

/// Reports that a part is not tested here, and why: on standard error, past the test harness, and in the file that `make test` prints
/// at its end.
pub fn skip(part: &str, reason: &str) {
    let line = format!("SKIPPED {part}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("FORETELL_SKIPS") {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// A port of the loopback interface that is free now.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The kubeconfig of a cluster that tests of the API server use instead of starting one.
#[must_use]
pub fn given_kubeconfig() -> Option<PathBuf> {
    std::env::var_os("FORETELL_TEST_KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The exit status of `scripts/box` if this machine lacks something for the build.
const LACKING: i32 = 3;

/// The folder of the programs of a cluster. They are built now, unless that is done already.
///
/// # Errors
/// What this machine lacks to build them.
///
/// # Panics
/// If the build fails.
pub fn programs() -> Result<&'static Path, &'static str> {
    static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAMS.get_or_init(build).as_deref().map_err(String::as_str)
}

fn build() -> Result<PathBuf, String> {
    let script = root().join("scripts/box");
    let built = Command::new(&script).stdin(Stdio::null()).output().unwrap();
    if built.status.success() {
        return Ok(String::from_utf8(built.stdout).unwrap().trim().into());
    }
    let messages = String::from_utf8_lossy(&built.stderr);
    assert_eq!(built.status.code(), Some(LACKING), "{} failed:\n{messages}", script.display());
    Err(messages.lines().last().unwrap_or("scripts/box gave no reason").to_owned())
}

/// Why pods cannot run here; `None` if they can.
pub(crate) fn obstacle_to_nodes() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root for namespaces, cgroups and mounts".to_owned());
    }
    if !std::fs::read_to_string("/proc/mounts").unwrap().lines().any(|line| line.split(' ').nth(2) == Some("cgroup2")) {
        return Some("no cgroup2 is mounted".to_owned());
    }
    // kubelet needs ip6tables as well.
    ["iptables", "ip6tables", "nsenter"]
        .into_iter()
        .find(|program| !on_path(program))
        .map(|program| format!("{program} is missing (apt-get install iptables util-linux)"))
}

pub(crate) fn on_path(program: impl AsRef<OsStr>) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program.as_ref()).is_file())
}
