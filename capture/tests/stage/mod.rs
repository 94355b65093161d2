//! Two or more "pods" without a cluster: cgroups named as kubelet names them, in a network namespace of their own whose
//! `lo` carries their addresses.
#![allow(dead_code, reason = "each test file uses its part of the stage")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it exists for tests only, which fail by panicking"
)]

pub(crate) mod actor;
pub(crate) mod packet;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use foretell_policy::model::flow::{Flow, Line, NodeReport};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(30);
const ACTOR: &str = "FORETELL_TEST_ACTOR";

/// The addresses that `lo` is given: of pods, and one that is a host's.
pub(crate) const ADDRESSES: [&str; 6] =
    ["10.244.0.1/32", "10.244.0.2/32", "10.244.0.3/32", "fd00::1/128", "fd00::2/128", "fd00::3/128"];

/// Tests call this first. Says aloud why real packets cannot be captured here.
pub(crate) fn skipped() -> bool {
    let Some(reason) = obstacle() else { return false };
    let line = format!("SKIPPED capture: {reason}\n");
    // Not eprint!, which the test harness would swallow.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("FORETELL_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    true
}

fn obstacle() -> Option<String> {
    if !foretell_capture::probe::is_built_in() {
        return Some("built without clang (apt-get install clang)".into());
    }
    if !rustix::process::geteuid().is_root() {
        return Some("needs root to load eBPF programs and to make cgroups".into());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("the kernel has no BTF (/sys/kernel/btf/vmlinux)".into());
    }
    if cgroup2().is_none() {
        return Some("no cgroup2 is mounted".into());
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

/// Waits for something to become true, and says what did not.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {WITHIN:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Cgroups and a network namespace. Both go when it is dropped.
pub(crate) struct Stage {
    pub(crate) cgroup: PathBuf,
    pub(crate) folder: TempDir,
    network: Child,
}

impl Stage {
    pub(crate) fn new() -> Self {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let name = format!("foretell-test-{}-{}", std::process::id(), STAGES.fetch_add(1, Ordering::Relaxed));
        let cgroup = cgroup2().unwrap().join(name);
        fs::create_dir_all(cgroup.join("kubepods/besteffort")).unwrap();
        let addresses = ADDRESSES.map(|address| {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            format!(" && ip addr add {address} dev lo {nodad}")
        });
        // Lives as long as its standard input: whatever becomes of the test, nothing stays behind.
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
        Self { cgroup, folder: tempfile::tempdir().unwrap(), network }
    }

    /// A command in the namespace; the process puts itself into the cgroup before it becomes the program, as a socket keeps
    /// the cgroup it was made in.
    pub(crate) fn command(&self, cgroup: Option<&Path>, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.network.id()));
        command.args(["sh", "-c", "test -z \"$0\" || echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]);
        command.arg(cgroup.map_or(Path::new(""), |cgroup| cgroup)).arg(program);
        command
    }

    pub(crate) fn pod(&self, uid: &str) -> Pod {
        self.actor(&self.cgroup.join(format!("kubepods/besteffort/pod{uid}/container")))
    }

    /// A process in a cgroup, which is made where it does not exist.
    pub(crate) fn actor(&self, cgroup: &Path) -> Pod {
        fs::create_dir_all(cgroup).unwrap();
        let mut child = self
            .command(Some(cgroup), &std::env::current_exe().unwrap())
            .args(["--exact", "actor", "--nocapture", "--test-threads=1"])
            .env(ACTOR, "1")
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

impl Drop for Stage {
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

/// A process that stands for a pod.
pub(crate) struct Pod {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) cgroup: PathBuf,
}

impl Pod {
    /// Has a command carried out, and waits until it is.
    pub(crate) fn tell(&mut self, command: &str) -> Result<String, String> {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the actor ended at: {command}");
            if let Some(answer) = line.trim_end_matches('\n').strip_prefix(actor::ANSWER) {
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

    pub(crate) fn must(&mut self, command: &str) {
        self.tell(command).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Its listening threads would hold it.
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
    /// Whole lines written so far.
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

    /// Asks it to stop, waits until it has, and hands out all it wrote.
    pub(crate) fn stop(mut self) -> Record {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        Record::of(self.lines())
    }

    /// Stops it where it stands, and waits until it stands.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        wait_for("the agent to stand still", || fs::read_to_string(&stat).unwrap().contains(") T ").then_some(()));
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The ids of its programs, which it logs.
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

/// What an agent wrote.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) flows: Vec<Flow>,
    pub(crate) reports: Vec<NodeReport>,
}

impl Record {
    pub(crate) fn of(lines: Vec<Line>) -> Self {
        let mut record = Self { flows: Vec::new(), reports: Vec::new() };
        for line in lines {
            match line {
                Line::Flow(flow) => record.flows.push(*flow),
                Line::Report(report) => record.reports.push(report),
            }
        }
        record
    }

    /// The only flow that a closure accepts.
    pub(crate) fn only(&self, what: &str, accepts: impl Fn(&Flow) -> bool) -> &Flow {
        let found: Vec<&Flow> = self.flows.iter().filter(|flow| accepts(flow)).collect();
        match found[..] {
            [flow] => flow,
            _ => panic!("{what}: {} flows instead of one: {found:#?}\nof {:#?}", found.len(), self.flows),
        }
    }

    pub(crate) fn lost(&self, cause: &str) -> u64 {
        self.reports.iter().filter_map(|report| report.lost.get(cause)).sum()
    }
}

/// Whether this process was started as an actor.
pub(crate) fn is_actor() -> bool {
    std::env::var_os(ACTOR).is_some()
}
