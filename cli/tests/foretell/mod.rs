//! Runs the command as a user does, in a temporary folder.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{fs, thread};

use tempfile::TempDir;

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A folder to run in, deleted when its value is dropped.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The small cluster of these tests and two flows, as `snapshot.yaml` and `flows.ndjson`.
    pub(crate) fn furnished() -> Self {
        let place = Self::new();
        place.write("snapshot.yaml", SNAPSHOT);
        place.write("flows.ndjson", [flow("10.1.0.6", "10.1.0.5"), flow("10.1.0.6", "10.1.0.7")].concat());
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foretell"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null()).env("LC_ALL", "C");
        command
    }

    /// Runs the command with arguments that are separated by white space.
    pub(crate) fn run(&self, words: &str) -> Ended {
        self.command(words.split_whitespace()).output().unwrap().into()
    }

    pub(crate) fn run_with_input(&self, words: &str, input: &[u8]) -> Ended {
        let mut command = self.command(words.split_whitespace());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input));
            process.wait_with_output().unwrap().into()
        })
    }
}

/// A flow at the node n1, with its line feed.
pub(crate) fn flow(src: &str, dst: &str) -> String {
    format!(
        "{{\"start\":\"2026-11-21T01:40:00Z\",\"end\":\"2026-11-21T01:40:10Z\",\"node\":\"n1\",\"src\":{{\"ip\":\"{src}\"}},\"dst\":{{\"ip\":\"{dst}\"}},\"protocol\":\"TCP\",\"port\":8080,\"outcome\":\"established\"}}\n"
    )
}

/// A report of the node n1 over the day, with its line feed.
pub(crate) fn report(addresses: &str) -> String {
    format!(
        "{{\"report\":{{\"node\":\"n1\",\"start\":\"2026-11-20T02:00:00Z\",\"end\":\"2026-11-21T02:00:00Z\",\"addresses\":[{addresses}],\"lost\":{{}}}}}}\n"
    )
}

/// `prod` with the pods web (10.1.0.5), client (10.1.0.6) and db (10.1.0.7) on the node n1; an audit policy denies all
/// ingress to web, and an enforced one allows only client to reach db.
pub(crate) const SNAPSHOT: &str = r"apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.1.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: prod, uid: u1, labels: {app: web}}
  spec: {nodeName: n1, containers: [{name: c, image: i}]}
  status: {phase: Running, podIP: 10.1.0.5, podIPs: [{ip: 10.1.0.5}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: client, namespace: prod, uid: u2, labels: {app: client}}
  spec: {nodeName: n1, containers: [{name: c, image: i}]}
  status: {phase: Running, podIP: 10.1.0.6, podIPs: [{ip: 10.1.0.6}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: prod, uid: u3, labels: {app: db}}
  spec: {nodeName: n1, containers: [{name: c, image: i}]}
  status: {phase: Running, podIP: 10.1.0.7, podIPs: [{ip: 10.1.0.7}]}
---
apiVersion: kguardian.dev/v1alpha1
kind: AuditNetworkPolicy
metadata: {name: web-deny, namespace: prod}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: prod}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]
";
