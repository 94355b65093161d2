//! A cluster in a box leaves nothing behind, whether it is stopped or killed at any moment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use foretell_tests::cluster::Cluster;
use foretell_tests::patience::until;
use foretell_tests::{machine, needs_nodes};
use rustix::fs::{FlockOperation, flock};

/// Traces that a box could leave on this machine, in addition to its folder.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    processes: BTreeSet<String>,
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
    named_networks: BTreeSet<String>,
    rules: BTreeSet<String>,
    cgroups: BTreeSet<PathBuf>,
}

impl Traces {
    /// Traces of the box in this folder and of dead boxes. Links, networks and rules are all those of the machine: during tests
    /// nothing else creates any outside its own namespaces.
    fn now(dir: &Path) -> Self {
        let cgroups = dead_cgroups();
        Self {
            processes: processes(dir, &cgroups),
            mounts: lines_of(&fs::read_to_string("/proc/self/mountinfo").unwrap(), |line| {
                line.contains(dir.to_str().unwrap()) || line.contains("foretell-box-")
            }),
            links: lines_of(&output("ip", &["-brief", "link"]), |_| true),
            named_networks: lines_of(&output("ip", &["netns"]), |_| true),
            rules: ["iptables-save", "ip6tables-save"]
                .into_iter()
                .flat_map(|program| lines_of(&output(program, &[]), |line| line.starts_with("-A")))
                .collect(),
            cgroups,
        }
    }
}

fn lines_of(text: &str, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    text.lines().filter(|line| is_wanted(line)).map(str::to_owned).collect()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let ended = Command::new(program).args(arguments).output().unwrap();
    assert!(ended.status.success(), "{program}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

/// Folders of boxes that are not running: a running box has a lock on its folder of the unified hierarchy.
fn dead_cgroups() -> BTreeSet<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let hierarchies: BTreeSet<(&str, bool)> = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields[2].starts_with("cgroup"))
        .map(|fields| (fields[1], fields[2] == "cgroup2"))
        .collect();
    let unified = Path::new(hierarchies.iter().find(|(_, is_unified)| *is_unified).unwrap().0);
    hierarchies
        .iter()
        .flat_map(|(mount, _)| fs::read_dir(mount).unwrap().flatten())
        .filter(|entry| {
            let name = entry.file_name();
            let is_locked = File::open(unified.join(&name))
                .is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err());
            name.to_str().unwrap().starts_with("foretell-box-") && !is_locked
        })
        .map(|entry| entry.path())
        .collect()
}

/// Command lines of processes of the box in this folder, and of processes in the cgroup of a dead box.
fn processes(dir: &Path, dead: &BTreeSet<PathBuf>) -> BTreeSet<String> {
    let dir = dir.to_str().unwrap();
    let dead: BTreeSet<&str> = dead.iter().map(|folder| folder.file_name().unwrap().to_str().unwrap()).collect();
    let read = |pid: &str, file: &str| {
        let mut bytes = Vec::new();
        let _ = File::open(format!("/proc/{pid}/{file}")).and_then(|mut file| file.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let own = std::process::id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own)
        .filter(|pid| {
            let cgroup = read(pid, "cgroup");
            read(pid, "cmdline").contains(dir)
                || read(pid, "environ").contains(dir)
                || dead.iter().any(|box_| cgroup.contains(box_))
        })
        .map(|pid| format!("{pid} {}", read(&pid, "cmdline")))
        .collect()
}

struct Started {
    child: Child,
    dir: PathBuf,
}

impl Started {
    fn new(dir: &Path) -> Self {
        let child = Command::new(machine::programs().unwrap().join("foretell-box"))
            .args(["up", "--attached", "--nodes=2", "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self { child, dir: dir.to_owned() }
    }

    fn wait_until_ready(&mut self) {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("kubeconfig"), "the box ended before it was ready");
    }

    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        assert!(!self.dir.exists(), "a box that was stopped left {}", self.dir.display());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn twenty_boxes_that_are_stopped_or_killed_leave_nothing() {
    if !needs_nodes() {
        return;
    }
    let folder = tempfile::Builder::new().prefix("foretell-").tempdir().unwrap();
    let dir = folder.path().join("box");
    let none = Traces { cgroups: BTreeSet::new(), ..Traces::now(&dir) };
    assert_eq!((&none.processes, &none.mounts), (&BTreeSet::new(), &BTreeSet::new()));
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("moments from seed {seed}");
    for round in 0..20_u32 {
        let mut started = Started::new(&dir);
        let is_killed = round % 2 == 1;
        if is_killed {
            // At a random moment of its start, which takes nine seconds: 0.0 to 9.9 s.
            let tenths = seed.wrapping_mul(2_654_435_761).wrapping_add(round.wrapping_mul(40_503)) / 7 % 100;
            let moment = Duration::from_millis(u64::from(tenths) * 100);
            println!("round {round}: killed after {moment:?}");
            // This sleep is the test, not a wait for something.
            thread::sleep(moment);
            started.kill();
        } else {
            let began = Instant::now();
            started.wait_until_ready();
            let ready = began.elapsed();
            let stopping = Instant::now();
            started.stop();
            println!("round {round}: up in {ready:.1?}, down in {:.1?}", stopping.elapsed());
        }
        // The kernel needs a moment to remove a dead network. Folder and cgroups of a killed box stay until the next start.
        until("nothing is left", || {
            let mut left = Traces::now(&dir);
            if is_killed {
                left.cgroups.clear();
            }
            (left == none)
                .then_some(())
                .ok_or_else(|| format!("round {round} left {left:#?} where there was {none:#?}"))
        });
    }
    // The last box was killed: `down` removes its cgroups, for any folder.
    let down = Command::new(machine::programs().unwrap().join("foretell-box"))
        .args(["down", "--dir"])
        .arg(&dir)
        .status()
        .unwrap();
    assert!(down.success());
    assert_eq!(Traces::now(&dir), none);
    assert!(!dir.exists());
    two_boxes_at_once_are_independent();
}

/// Not a test of its own: the test above looks at traces of the whole machine, and boxes of another test would disturb it.
fn two_boxes_at_once_are_independent() {
    let start = || thread::spawn(Cluster::start);
    let (one, other) = (start(), start());
    let [one, other] = [one, other].map(|thread| thread.join().unwrap().unwrap());
    one.kubectl().run(&["create", "namespace", "only-here"]);
    assert!(!other.kubectl().run(&["get", "namespaces", "--output=name"]).contains("only-here"));
    drop(one);
    other.kubectl().run(&["get", "nodes"]);
}
