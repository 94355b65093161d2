//! A cluster with nodes on which pods run.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Runtime};

use crate::boxed::{Running, programs_for};
use crate::kubectl::Kubectl;
use crate::machine;
use crate::namespace::Namespace;

/// A whole cluster of the test's own.
#[derive(Debug)]
pub struct Cluster {
    kubectl: Kubectl,
    running: Running,
    programs: &'static Path,
}

impl Cluster {
    /// Starts one of one node, in about ten seconds. `None` where this machine cannot, which was said then.
    ///
    /// # Panics
    /// If it could and does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with_nodes(1)
    }

    /// Starts one of that many nodes, `node-1` and so on.
    ///
    /// # Panics
    /// If it could and does not come up.
    #[must_use]
    pub fn with_nodes(count: u8) -> Option<Self> {
        let programs = programs_for("cluster with real pods", machine::obstacle_to_nodes())?;
        let running = Running::start(programs, &[format!("--nodes={count}")]);
        Some(Self { kubectl: running.kubectl(), running, programs })
    }

    /// kubectl for it, with every right.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The configuration to reach it by, with every right.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        self.kubectl.kubeconfig()
    }

    /// A new namespace.
    #[must_use]
    pub fn namespace(&self, purpose: &str) -> Namespace {
        Namespace::create(&self.kubectl, purpose)
    }

    /// Gives container images to every node.
    ///
    /// # Panics
    /// If one is no image.
    pub fn load(&self, archives: &[&Path]) {
        let loaded = self.command("load").args(archives).output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    }

    /// A command that will run in the network of a place: `node-1`, or `outside` of the cluster.
    #[must_use]
    pub fn exec(&self, place: &str) -> Command {
        let mut command = self.command("exec");
        command.args([place, "--"]).stdin(Stdio::null());
        command
    }

    /// A runtime whose threads are in the network outside of the cluster: what is spawned on it is reached by pods, and reaches
    /// them. What is blocked on runs on the caller's own thread, which stays where it is.
    ///
    /// # Panics
    /// If its network cannot be entered.
    #[must_use]
    pub fn runtime_outside(&self) -> Runtime {
        let pid = self.running.summary.places["site"];
        let network = fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
        let made = thread::spawn(move || {
            // Threads are in the network of the thread that made them.
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
        });
        made.join().unwrap()
    }

    /// Kills the API server. It is started again, as clusters do, and has forgotten nothing.
    ///
    /// # Panics
    /// If there is none.
    pub fn kill_api_server(&self) {
        let dir = self.running.dir().into_os_string().into_string().unwrap();
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_ours = |pid: &i32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split('\0').nth(1) == Some("kube-apiserver") && line.contains(&dir)
        };
        let pid = processes.into_iter().find(is_ours).and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// A file or folder of a node, as this process sees it.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn file_of(&self, node: &str, path: &str) -> PathBuf {
        let pid = self.running.summary.places[node];
        PathBuf::from(format!("/proc/{pid}/root{path}"))
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join("foretell-box"));
        command.arg(name).arg("--dir").arg(self.running.dir());
        command
    }
}
