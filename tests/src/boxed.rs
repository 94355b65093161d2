//! A cluster in a box, as a child process of the test.

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

/// The line that a box prints when it is ready.
#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) logs: PathBuf,
    /// The first process of each node, and of `site`, the network outside the cluster.
    pub(crate) places: BTreeMap<String, i32>,
}

/// A box that stops, with everything in it, when the value is dropped or the process ends for any reason.
#[derive(Debug)]
pub(crate) struct RunningBox {
    pub(crate) summary: Summary,
    child: Child,
    /// The box stops when this closes. The kernel closes it when this process ends.
    stdin: Option<ChildStdin>,
    dir: TempDir,
}

impl RunningBox {
    /// Starts a box and returns once it is ready.
    ///
    /// # Panics
    /// If it does not start: with its messages.
    pub(crate) fn start(programs: &Path, arguments: &[String]) -> Self {
        let dir = tempfile::Builder::new().prefix("foretell-").tempdir().unwrap();
        let messages = dir.path().join("messages");
        let mut child = Command::new(programs.join("foretell-box"))
            .args(["up", "--attached", "--dir"])
            .arg(dir.path().join("box"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&messages).unwrap())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let phases = fs::read_to_string(&messages).unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            panic!("the cluster did not start with {arguments:?}: {status}\n{phases}");
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

impl Drop for RunningBox {
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

/// The folder of the programs of a box. `None` if this machine cannot run one, which is then reported as skipped.
pub(crate) fn programs_for(part: &str, obstacle: Option<String>) -> Option<&'static Path> {
    let found = obstacle.map_or_else(|| machine::programs().map_err(str::to_owned), Err);
    found.map_err(|reason| machine::skip(part, &reason)).ok()
}
