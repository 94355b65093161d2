//! kubectl, the way in which tests work with a cluster.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// kubectl, for one cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub(crate) program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

/// The result of a command.
#[derive(Debug)]
pub struct Ended {
    /// Whether its exit status was 0.
    pub is_success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Kubectl {
    /// The kubeconfig that it uses.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A command line of this kubectl.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).stdin(Stdio::null());
        command
    }

    /// Writes a kubeconfig of a service account into this folder, and returns its path.
    ///
    /// # Panics
    /// If the account does not exist.
    #[must_use]
    pub fn as_account(&self, namespace: &str, account: &str, folder: &Path) -> PathBuf {
        let token = self.run(&["create", "token", "--namespace", namespace, account]);
        let mut config = self.json(&["config", "view", "--raw"]);
        config["users"][0]["user"] = json!({"token": token.trim()});
        let path = folder.join(format!("{account}.kubeconfig"));
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Runs it; it may fail.
    #[must_use]
    pub fn attempt(&self, arguments: &[&str]) -> Ended {
        ended(&self.command(arguments).output().unwrap())
    }

    /// Runs it and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[expect(clippy::must_use_candidate, reason = "often called for its effect only")]
    pub fn run(&self, arguments: &[&str]) -> String {
        let ended = self.attempt(arguments);
        assert!(ended.is_success, "kubectl {}: {}", arguments.join(" "), ended.stderr);
        ended.stdout
    }

    /// Runs it with `--output json` and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["--output", "json"]].concat())).unwrap()
    }

    /// Runs it with text on its standard input; it may fail.
    #[must_use]
    pub fn attempt_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        ended(&child.wait_with_output().unwrap())
    }

    /// Applies manifests.
    ///
    /// # Panics
    /// If one is rejected.
    pub fn apply(&self, manifests: &str) {
        let ended = self.attempt_with(&["apply", "--filename", "-"], manifests);
        assert!(ended.is_success, "{}\nfor\n{manifests}", ended.stderr);
    }
}

fn ended(output: &Output) -> Ended {
    Ended {
        is_success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
