//! A node without a cluster: "pods" are processes in cgroups that are named as kubelet names them, in a network namespace
//! whose `lo` has their addresses.
#![allow(dead_code, reason = "the benchmark uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

pub(crate) mod packet;
pub(crate) mod pod_process;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use foretell_objects::model::flow::{Flow, Line, NodeReport};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(30);
const POD_PROCESS: &str = "FORETELL_TEST_POD_PROCESS";

/// UID of a pod.
pub(crate) const UID: &str = "6f1c7b0e-0a52-4d1e-9d39-0242ac120002";

/// The addresses of `lo`, which the pods share.
pub(crate) const ADDRESSES: [&str; 6] =
    ["10.244.0.1/32", "10.244.0.2/32", "10.244.0.3/32", "fd00::1/128", "fd00::2/128", "fd00::3/128"];

/// Reports that a test is skipped.
fn report_skipped(reason: &str) {
    let line = format!("SKIPPED capture: {reason}\n");
    // The test harness would capture the output of eprint!.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("FORETELL_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Why real packets cannot be captured on this machine.
fn obstacle() -> Option<String> {
    if !foretell_capture::probe::is_built_in() {
        return Some("built without clang (apt-get install clang)".into());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("loading eBPF programs and making cgroups needs root".into());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("the kernel has no BTF (/sys/kernel/btf/vmlinux)".into());
    }
    if cgroup2().is_none() {
        return Some("no cgroup2 file system is mounted".into());
    }
    for tool in ["ip", "unshare", "nsenter", "setpriv"] {
        if Command::new(tool).arg("-V").output().is_err() {
            return Some(format!("no {tool} on PATH (apt-get install iproute2 util-linux)"));
        }
    }
    None
}

fn cgroup2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("cgroup2"))
        .and_then(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
}

/// Waits until the probe finds something.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {WITHIN:?} for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Cgroups and a network namespace. Both are removed when it is dropped.
pub(crate) struct TestNode {
    pub(crate) cgroup: PathBuf,
    pub(crate) folder: TempDir,
    network: Child,
}

impl TestNode {
    /// Makes the cgroups and the namespace. If this machine cannot capture packets, reports why and returns `None`.
    pub(crate) fn start() -> Option<Self> {
        static NODES: AtomicU32 = AtomicU32::new(0);
        if let Some(reason) = obstacle() {
            report_skipped(&reason);
            return None;
        }
        let name = format!("foretell-test-{}-{}", std::process::id(), NODES.fetch_add(1, Ordering::Relaxed));
        let cgroup = cgroup2().unwrap().join(name);
        fs::create_dir_all(cgroup.join("kubepods/besteffort")).unwrap();
        let addresses = ADDRESSES.map(|address| {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            format!(" && ip addr add {address} dev lo {nodad}")
        });
        // It ends when its standard input is closed, so the namespace disappears even if the test is killed.
        let script = format!("ip link set lo up{} && echo ready && exec cat", addresses.concat());
        let mut network = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(network.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "the network namespace could not be made");
        Some(Self { cgroup, folder: tempfile::tempdir().unwrap(), network })
    }

    /// A command in the namespace. The process enters the cgroup before it executes the program, because a socket keeps the
    /// cgroup in which it was made.
    pub(crate) fn command(&self, cgroup: Option<&Path>, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.network.id()));
        command.args(["sh", "-c", "test -z \"$0\" || echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]);
        command.arg(cgroup.map_or(Path::new(""), |cgroup| cgroup)).arg(program);
        command
    }

    pub(crate) fn pod(&self, uid: &str) -> Pod {
        self.process(&self.cgroup.join(format!("kubepods/besteffort/pod{uid}/container")))
    }

    /// A process in a cgroup, which is created if it does not exist.
    pub(crate) fn process(&self, cgroup: &Path) -> Pod {
        fs::create_dir_all(cgroup).unwrap();
        let mut child = self
            .command(Some(cgroup), &std::env::current_exe().unwrap())
            .args(["--exact", "pod_process", "--nocapture", "--test-threads=1"])
            .env(POD_PROCESS, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Pod { child, input, output, cgroup: cgroup.to_owned() }
    }

    pub(crate) fn agent(&self, options: &[&str]) -> Agent {
        let output = self.folder.path().join("flows.ndjson");
        let log = self.folder.path().join("agent.log");
        let child = self
            .command(None, Path::new(env!("CARGO_BIN_EXE_foretell-capture")))
            .args(["--node", "test-node", "--cgroup"])
            .env("FORETELL_LOG", "trace")
            .arg(&self.cgroup)
            .arg("--output")
            .arg(&output)
            .args(options)
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut agent = Agent { child, output, log };
        wait_for("the agent's first report", || {
            assert!(agent.child.try_wait().unwrap().is_none(), "the agent ended: {}", agent.log());
            (!agent.lines().is_empty()).then_some(())
        });
        agent
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        drop(self.network.stdin.take());
        self.network.wait().unwrap();
        wait_for("the cgroups to be empty", || remove_tree(&self.cgroup).ok());
    }
}

fn remove_tree(cgroup: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(cgroup)
}

/// A process that plays a pod.
pub(crate) struct Pod {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) cgroup: PathBuf,
}

impl Pod {
    /// Runs a command of `pod_process` and waits for its result.
    pub(crate) fn try_run(&mut self, command: &str) -> Result<String, String> {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the process of the pod ended at: {command}");
            if let Some(answer) = line.trim_end_matches('\n').strip_prefix(pod_process::ANSWER) {
                return match answer.split_once(' ') {
                    Some(("ok", text)) => Ok(text.to_owned()),
                    _ => Err(answer.to_owned()),
                };
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&mut self, command: &str) {
        self.try_run(command).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Threads that listen would keep it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The agent under test.
pub(crate) struct Agent {
    pub(crate) child: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Agent {
    /// The complete lines that it has written so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let text = fs::read(&self.output).unwrap_or_default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        text[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| Line::parse(line).unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(line))))
            .collect()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Stops it with SIGTERM, waits for its end, and returns its output.
    pub(crate) fn stop(mut self) -> AgentOutput {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        AgentOutput::of(self.lines())
    }

    /// Suspends it with SIGSTOP, and waits until it is suspended.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        wait_for("the agent to be suspended", || fs::read_to_string(&stat).unwrap().contains(") T ").then_some(()));
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The kernel's ids of its programs, from its log.
    pub(crate) fn programs(&self) -> BTreeSet<u32> {
        wait_for("the agent to log its programs", || {
            let log = self.log();
            let (_, after) = log.split_once("programs=[")?;
            let (ids, _) = after.split_once(']')?;
            Some(ids.split(", ").map(|id| id.parse().unwrap()).collect())
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The flows and reports that an agent wrote.
#[derive(Debug)]
pub(crate) struct AgentOutput {
    pub(crate) flows: Vec<Flow>,
    pub(crate) reports: Vec<NodeReport>,
}

impl AgentOutput {
    pub(crate) fn of(lines: Vec<Line>) -> Self {
        let mut output = Self { flows: Vec::new(), reports: Vec::new() };
        for line in lines {
            match line {
                Line::Flow(flow) => output.flows.push(*flow),
                Line::Report(report) => output.reports.push(report),
            }
        }
        output
    }

    /// The only flow that matches.
    pub(crate) fn only(&self, what: &str, matches: impl Fn(&Flow) -> bool) -> &Flow {
        let found: Vec<&Flow> = self.flows.iter().filter(|flow| matches(flow)).collect();
        match found[..] {
            [flow] => flow,
            _ => panic!("{what}: {} flows instead of one: {found:#?}\nof {:#?}", found.len(), self.flows),
        }
    }

    /// The sum of a cause's losses over all reports.
    pub(crate) fn lost(&self, cause: &str) -> u64 {
        self.reports.iter().filter_map(|report| report.lost.get(cause)).sum()
    }
}

/// Whether this process was started as a pod's process.
pub(crate) fn is_pod_process() -> bool {
    std::env::var_os(POD_PROCESS).is_some()
}
