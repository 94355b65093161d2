//! Logs and objects of a cluster that are kept when a test fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::kubectl::Kubectl;
use crate::machine;

/// The folder for the artefacts of this test.
fn folder() -> PathBuf {
    let current = thread::current();
    let test = current.name().unwrap_or("test").replace("::", "-");
    let folder = machine::root().join("target/test-artefacts").join(format!("{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Copies the logs of a cluster's components. Errors are ignored: the test has already failed, and its message matters more.
pub(crate) fn keep_logs(logs: &Path) {
    let folder = folder().join("logs");
    let _ = fs::create_dir_all(&folder);
    for log in fs::read_dir(logs).into_iter().flatten().flatten() {
        let _ = fs::copy(log.path(), folder.join(log.file_name()));
    }
    eprintln!("The logs of the cluster are kept in {}", folder.display());
}

/// Saves the objects of a namespace and the logs of its pods.
pub(crate) fn keep_namespace(kubectl: &Kubectl, namespace: &str) {
    let folder = folder();
    let listed = kubectl.attempt(&["api-resources", "--verbs=list", "--namespaced", "--output=name"]).stdout;
    // No Secrets: CI uploads this folder.
    let kinds = listed.lines().filter(|kind| *kind != "secrets").collect::<Vec<_>>().join(",");
    let objects = kubectl.attempt(&["get", &kinds, "--namespace", namespace, "--output=yaml", "--ignore-not-found"]);
    let _ = fs::write(folder.join(format!("{namespace}.yaml")), objects.stdout);
    let pods = kubectl.attempt(&["get", "pods", "--namespace", namespace, "--output=name"]).stdout;
    for pod in pods.lines() {
        let log = kubectl.attempt(&["logs", "--namespace", namespace, pod, "--all-containers", "--prefix"]).stdout;
        let _ = fs::write(folder.join(format!("{namespace}-{}.log", pod.replace("pod/", ""))), log);
    }
    eprintln!("The objects of namespace {namespace} are kept in {}", folder.display());
}
