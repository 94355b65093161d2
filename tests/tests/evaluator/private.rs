//! The evaluator with its private Postgres.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use foretell_tests::machine;
use foretell_tests::patience::until;
use foretell_tests::postgres::programs;
use tempfile::TempDir;

use crate::stage::{Stage, policy, report};

const NOBODY: u32 = 65534;

/// The evaluator as a user that is not root, from a folder that this user can enter.
fn unprivileged(stage: &Stage, folder: &Path) -> Command {
    let program = machine::built("foretell-evaluator");
    let (copy, kubeconfig, token) =
        (folder.join("foretell-evaluator"), folder.join("kubeconfig"), folder.join("token"));
    if !copy.exists() {
        fs::copy(program.get_program(), &copy).unwrap();
    }
    fs::copy(stage.control_plane.kubeconfig(), &kubeconfig).unwrap();
    fs::copy(stage.files.path().join("token"), &token).unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        for file in [&kubeconfig, &token] {
            chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(copy);
        command
    } else {
        Command::new(copy)
    };
    command.env("KUBECONFIG", kubeconfig).arg("--token-file").arg(token).arg("--data-dir").arg(data(folder));
    command
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Whether a Postgres runs on this folder.
fn is_served(folder: &Path) -> bool {
    data(folder).join("data/postmaster.pid").exists()
}

#[test]
fn without_a_database_it_runs_a_private_postgres() {
    if programs().is_none() {
        machine::skip("the evaluator's private Postgres", "Postgres is not installed (apt-get install postgresql)");
        return;
    }
    let Some(mut stage) = Stage::new() else { return };
    let folder = TempDir::with_prefix("foretell-").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(data(folder.path())).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(data(folder.path()), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    stage.apply(&policy(&["nobody"]));
    stage.start_by(unprivileged(&stage, folder.path()));
    stage.becomes_ready();
    stage.send("one", 1, &[report(), stage.flow("batch", "web", 8080)]).unwrap();

    // A second evaluator cannot use the same folder.
    let mut second = unprivileged(&stage, folder.path());
    let refused = second.args(["--listen=127.0.0.1:0", "--namespace=none"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("another evaluator uses it"), "{said}");

    // When the evaluator is killed, its Postgres keeps running. The next evaluator replaces it and has the stored data.
    stage.evaluator.take().unwrap().kill();
    assert!(is_served(folder.path()));
    stage.start_by(unprivileged(&stage, folder.path()));
    stage.becomes_ready();
    assert!(stage.send("one", 1, &[report()]).unwrap().duplicate);
    stage.status("the stored traffic is judged", |status| status["evaluation"]["flowsWouldDeny"] == 1);

    // When the evaluator stops, its Postgres stops too.
    stage.evaluator.take().unwrap().stop();
    until("its Postgres has ended", || if is_served(folder.path()) { Err("it runs".to_owned()) } else { Ok(()) });
}
