//! A cluster with nodes that run pods.

use std::ops::Deref;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Runtime};

use crate::boxed::{RunningBox, programs_for};
use crate::control_plane::ControlPlane;
use crate::machine;

/// A cluster that the test starts: a control plane, and nodes with real pods.
#[derive(Debug)]
pub struct Cluster {
    control_plane: ControlPlane,
    programs: &'static Path,
}

impl Cluster {
    /// Starts one with one node, in about ten seconds. `None` if this machine cannot, which is then reported as skipped.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with_nodes(1)
    }

    /// Starts one with this number of nodes: `node-1`, `node-2`, and so on.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn with_nodes(count: u8) -> Option<Self> {
        let programs = programs_for("cluster with real pods", machine::obstacle_to_nodes())?;
        let running = RunningBox::start(programs, &[format!("--nodes={count}")]);
        Some(Self { control_plane: ControlPlane::of(running), programs })
    }

    /// Loads container images into every node.
    ///
    /// # Panics
    /// If a file is not an image.
    pub fn load(&self, archives: &[&Path]) {
        let loaded = self.command("load").args(archives).output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    }

    /// A command that runs in another network: that of a node, such as `node-1`, or `outside` the cluster.
    #[must_use]
    pub fn exec(&self, place: &str) -> Command {
        let mut command = self.command("exec");
        command.args([place, "--"]).stdin(Stdio::null());
        command
    }

    /// A runtime whose threads are in the network outside the cluster. Pods can reach tasks that are spawned on it, and the other
    /// way round. `block_on` runs on the thread of the caller, which stays in its own network.
    ///
    /// # Panics
    /// If that network cannot be entered.
    #[must_use]
    pub fn runtime_outside(&self) -> Runtime {
        let pid = self.running().summary.places["site"];
        let network = fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
        let made = thread::spawn(move || {
            // A new thread is in the network of the thread that started it.
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
        });
        made.join().unwrap()
    }

    /// Kills the API server. The box starts it again, with the same objects.
    ///
    /// # Panics
    /// If it is not running.
    pub fn kill_api_server(&self) {
        let dir = self.running().dir().into_os_string().into_string().unwrap();
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_ours = |pid: &i32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split('\0').nth(1) == Some("kube-apiserver") && line.contains(&dir)
        };
        let pid = processes.into_iter().find(is_ours).and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// The path of a node's file or folder, for this process.
    ///
    /// # Panics
    /// If there is no node of this name.
    #[must_use]
    pub fn file_of(&self, node: &str, path: &str) -> PathBuf {
        let pid = self.running().summary.places[node];
        PathBuf::from(format!("/proc/{pid}/root{path}"))
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join("foretell-box"));
        command.arg(name).arg("--dir").arg(self.running().dir());
        command
    }

    fn running(&self) -> &RunningBox {
        self.control_plane.running().expect("a cluster with nodes is a box of the test")
    }
}

impl Deref for Cluster {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.control_plane
    }
}
