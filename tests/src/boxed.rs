//! A cluster in a box as a child of the test.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::kubectl::Kubectl;
use crate::{artefacts, machine};

/// What a box prints once it is up.
#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) logs: PathBuf,
    /// The first process of each node, and of `site`, the network outside of the cluster.
    pub(crate) places: BTreeMap<String, i32>,
}

/// A box that stops, and takes everything with it, when the value goes or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) summary: Summary,
    child: Child,
    /// The box stops when this closes, which the kernel does if nobody else does.
    stdin: Option<ChildStdin>,
    dir: TempDir,
}

impl Running {
    /// Starts a box and returns once it is ready.
    ///
    /// # Panics
    /// If it does not come up: with what it said.
    pub(crate) fn start(programs: &Path, arguments: &[String]) -> Self {
        let dir = tempfile::Builder::new().prefix("foretell-").tempdir().unwrap();
        let said = dir.path().join("said");
        let mut child = Command::new(programs.join("foretell-box"))
            .args(["up", "--attached", "--dir"])
            .arg(dir.path().join("box"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let phases = fs::read_to_string(&said).unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            panic!("no cluster with {arguments:?}: {status}\n{phases}");
        }
        println!("{phases}");
        Self { summary: serde_json::from_str(&line).unwrap(), child, stdin, dir }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().join("box")
    }

    pub(crate) fn kubectl(&self) -> Kubectl {
        Kubectl { program: self.dir().join("bin/kubectl"), kubeconfig: self.summary.kubeconfig.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            artefacts::keep_logs(&self.summary.logs);
        }
        drop(self.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The programs for it. Where there are none, why not was said aloud.
pub(crate) fn programs_for(part: &str, obstacle: Option<String>) -> Option<&'static Path> {
    let found = obstacle.map_or_else(|| machine::programs().map_err(str::to_owned), Err);
    found.map_err(|reason| machine::skip(part, &reason)).ok()
}
