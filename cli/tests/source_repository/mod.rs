//! Git repositories that tests create.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use tempfile::TempDir;

/// A repository, deleted when its value is dropped.
pub(crate) struct Repository {
    folder: TempDir,
    root: PathBuf,
}

impl Repository {
    /// An empty repository on the branch `main`, whatever the user's default is.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        fs::create_dir(&root).unwrap();
        let repository = Self { folder, root };
        repository.git(&["init", "--quiet", "--template=", "."]);
        repository.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
        fs::create_dir_all(repository.root.join(".git/hooks")).unwrap();
        repository
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.clone()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn executable(&self, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(path, text);
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.root.join(path)).unwrap();
    }

    /// Commits everything and returns the commit's id.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "a commit"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn branch(&self, name: &str) {
        self.git(&["checkout", "--quiet", "-b", name]);
    }

    pub(crate) fn checkout(&self, name: &str) {
        self.git(&["checkout", "--quiet", name]);
    }

    /// Switches to a new branch without history.
    pub(crate) fn orphan(&self, name: &str) {
        self.git(&["checkout", "--quiet", "--orphan", name]);
    }

    pub(crate) fn configure(&self, key: &str, value: &str) {
        self.git(&["config", key, value]);
    }

    /// Registers a submodule without fetching one.
    pub(crate) fn submodule(&self, path: &str) {
        fs::create_dir(self.root.join(path)).unwrap();
        let head = self.git(&["rev-parse", "HEAD"]);
        self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},{path}")]);
    }

    /// A clone that has only the tips of all branches.
    pub(crate) fn shallow_clone(&self) -> Self {
        self.clone_with("shallow", &["--depth=1", "--no-single-branch"])
    }

    pub(crate) fn bare_clone(&self) -> Self {
        self.clone_with("bare", &["--bare"])
    }

    pub(crate) fn linked_work_tree(&self) -> PathBuf {
        let path = self.folder.path().join("linked");
        self.git(&["worktree", "add", "--quiet", "--detach", &path.display().to_string()]);
        path
    }

    fn clone_with(&self, name: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(name);
        let (from, to) = (format!("file://{}", self.root.display()), root.display().to_string());
        self.git(&[&["clone", "--quiet"], options, &[&from, &to]].concat());
        Self { folder, root }
    }

    /// Refs, index and work tree, in a form that compares.
    pub(crate) fn state(&self) -> String {
        let index = fs::read(self.root.join(".git/index")).unwrap_or_default();
        let stashes_and_refs = self.git(&["for-each-ref"]);
        format!("{}\n{stashes_and_refs}\n{index:?}", self.git(&["status", "--porcelain", "--ignored"]))
    }

    /// A commit of a hundred thousand files.
    pub(crate) fn fast_import(&self, file: impl Fn(usize) -> (String, String)) {
        let mut stream = String::from("commit refs/heads/main\ncommitter T <t@example.com> 0 +0000\ndata 1\nm\n");
        for (path, text) in (0..100_000).map(file) {
            write!(stream, "M 100644 inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
        }
        let mut process = self.command(&["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        assert!(process.wait().unwrap().success());
    }

    fn git(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root).args(args).stdin(Stdio::null());
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            command.env_remove(name);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Tester").env(format!("GIT_{who}_EMAIL"), "tester@example.com");
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }
}

/// A policy that selects an app.
pub(crate) fn policy(name: &str, app: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\nspec:\n  podSelector:\n    matchLabels: {{app: {app}}}\n"
    )
}

/// A Deployment of an app.
pub(crate) fn deployment(name: &str, app: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  selector:\n    matchLabels: {{app: {app}}}\n  template:\n    metadata:\n      labels: {{app: {app}}}\n    spec:\n      containers: [{{name: c, image: nginx}}]\n"
    )
}
