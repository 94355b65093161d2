//! The agent as a process: its reports, what it says was lost, how it stops, what it needs.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use foretell_policy::model::flow::{Line, is_log};
use rustix::process::{Pid, Signal, kill_process};
use stage::{ADDRESSES, Record, Stage, actor, skipped, wait_for};

const UID: &str = "6f1c7b0e-0a52-4d1e-9d39-0242ac120002";

/// Not a test: what a pod's process runs.
#[test]
fn actor() {
    if stage::is_actor() {
        actor::serve();
    }
}

#[test]
fn a_quiet_node_reports_its_addresses_and_spans_without_a_gap() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let agent = stage.agent(&["--window", "100ms"]);
    wait_for("three windows", || (agent.lines().len() >= 4).then_some(()));
    let record = agent.stop();
    let expected: BTreeSet<String> =
        ADDRESSES.iter().map(|address| address.split('/').next().unwrap().to_owned()).collect();
    assert!(record.reports.len() >= 5, "the last window too");
    assert_eq!(record.reports[0].start, record.reports[0].end);
    for report in &record.reports {
        assert_eq!(report.node, "test-node");
        assert_eq!(report.addresses.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), expected);
        assert!(report.lost.is_empty(), "{report:?}");
    }
    assert!(record.reports.windows(2).all(|pair| pair[0].end == pair[1].start));
    assert!(record.flows.is_empty());
}

#[test]
fn what_the_ring_has_no_room_for_is_counted_and_its_flow_written_all_the_same() {
    const FLOWS: u16 = 300;
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let mut pod = stage.pod(UID);
    let agent = stage.agent(&["--window", "10m", "--ring-bytes", "4096"]);
    // It cannot drain while it stands still.
    agent.pause();
    for port in 0..FLOWS {
        pod.must(&format!("udp-send 10.244.0.1:0 10.244.0.2:{} 1 unanswered", 9000 + port));
    }
    agent.resume();
    let record = agent.stop();
    let ports: BTreeSet<u16> = record.flows.iter().map(|flow| flow.port).collect();
    assert_eq!(ports, (9000..9000 + FLOWS).collect());
    assert_eq!(record.flows.len(), usize::from(FLOWS));
    assert!(record.flows.iter().all(|flow| flow.src.pod_uid.as_deref() == Some(UID)));
    // 4,096 bytes hold 56 events of 64 bytes with a header of 8 each.
    assert_eq!(record.lost("ring_full"), u64::from(FLOWS) - 56, "{:?}", record.reports);
}

#[test]
fn what_the_table_has_no_room_for_is_counted() {
    const FLOWS: u16 = 1000;
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let mut pod = stage.pod(UID);
    let agent = stage.agent(&["--window", "10m", "--max-flows", "64"]);
    for port in 0..FLOWS {
        pod.must(&format!("udp-send 10.244.0.1:0 10.244.0.2:{} 1 unanswered", 9000 + port));
    }
    let record = agent.stop();
    let ports: BTreeSet<u16> = record.flows.iter().map(|flow| flow.port).collect();
    let missing = u64::from(FLOWS) - ports.len() as u64;
    let said = record.lost("evicted") + record.lost("aggregate_full") + record.lost("table_full");
    assert!(missing > 0 && said >= missing, "{missing} flows are missing, {said} are said to be: {:?}", record.reports);
}

#[test]
fn nothing_stays_attached_whether_it_is_asked_to_stop_or_killed() {
    if skipped() {
        return;
    }
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let stage = Stage::new();
        let mut pod = stage.pod(UID);
        let mut agent = stage.agent(&["--window", "10m"]);
        pod.must("udp-send 10.244.0.1:0 10.244.0.2:9000 1 unanswered");
        let programs = agent.programs();
        assert_eq!(programs.len(), 2);
        assert!(programs.is_subset(&loaded()));
        agent.signal(signal);
        let status = agent.child.wait().unwrap();
        assert_eq!(status.success(), signal != Signal::KILL);
        wait_for("its programs to be gone", || programs.is_disjoint(&loaded()).then_some(()));
        let flows = Record::of(agent.lines()).flows;
        assert_eq!(flows.len(), usize::from(signal != Signal::KILL), "the last window is written");
    }
}

fn loaded() -> BTreeSet<u32> {
    aya::programs::loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect()
}

#[test]
fn a_second_signal_ends_it_even_if_the_last_window_cannot_be_written() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let mut pod = stage.pod(UID);
    let mut agent = stage
        .command(None, Path::new(env!("CARGO_BIN_EXE_foretell-capture")))
        .args(["--output", "-", "--window", "10m", "--log", "off", "--cgroup"])
        .arg(&stage.cgroup)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(agent.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    // More than a pipe holds, and nobody reads it.
    pod.must("udp-flood 10.244.0.1:0 10.244.0.2:10000 2000 2000");
    let process = Pid::from_child(&agent);
    kill_process(process, Signal::TERM).unwrap();
    let waits_at = format!("/proc/{}/wchan", agent.id());
    wait_for("the agent to wait for its reader", || {
        fs::read_to_string(&waits_at).unwrap().contains("pipe").then_some(())
    });
    kill_process(process, Signal::INT).unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(1));
}

#[test]
fn it_stops_by_itself_after_its_duration() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let output = once(&stage, &[], &["--output", "-", "--duration", "300ms", "--window", "100ms"]);
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.lines().count() >= 3 && lines.ends_with('\n'), "{lines}");
}

#[test]
fn with_its_log_among_the_flows_every_line_is_one_or_the_other() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let options = ["--output", "-", "--duration", "300ms", "--window", "100ms", "--log", "trace", "--log-to", "stdout"];
    let output = once(&stage, &[], &options);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let (logged, lines): (Vec<_>, Vec<_>) =
        output.stdout.trim_ascii_end().split(|byte| *byte == b'\n').partition(|line| is_log(line));
    assert!(Record::of(lines.into_iter().map(|line| Line::parse(line).unwrap()).collect()).reports.len() >= 3);
    let entries = logged.iter().map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap()["log"].clone());
    assert!(entries.into_iter().any(|entry| entry["fields"]["node.name"].is_string()), "{output:?}");

    let output = once(&stage, &[], &["--output", "/nowhere/at/all", "--log-to", "stdout"]);
    let line = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    assert_eq!(line["log"]["level"], "ERROR");
    assert!(line["log"]["fields"]["message"].as_str().unwrap().contains("--output /nowhere/at/all"), "{line}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn three_capabilities_suffice_and_a_missing_one_is_named() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let run = ["--output", "-", "--duration", "100ms"];
    let granted = "--ambient-caps=+bpf,+net_admin,+perfmon";
    let with = once(&stage, &["--reuid=65534", "--inh-caps=+bpf,+net_admin,+perfmon", granted, "--clear-groups"], &run);
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    let without = once(&stage, &["--reuid=65534", "--inh-caps=+bpf", "--ambient-caps=+bpf", "--clear-groups"], &run);
    let said = String::from_utf8_lossy(&without.stderr);
    assert!(!without.status.success());
    assert!(said.contains("lacks CAP_PERFMON, CAP_NET_ADMIN"), "{said}");
}

#[test]
fn what_cannot_work_is_named_with_its_mend() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    for (options, said) in [
        (&["--output", "/nowhere/at/all"][..], "--output /nowhere/at/all: cannot open it for writing"),
        (&["--output", "/dev/full"], "cannot write 1 lines to /dev/full"),
        (&["--output", "-", "--cgroup", "/proc"], "--cgroup /proc: is not in a cgroup2 file system (mounted at /"),
        (&["--output", "-", "--cgroup", "/nowhere"], "--cgroup /nowhere: No such file or directory"),
    ] {
        let output = once(&stage, &[], options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(said), "{options:?}: {stderr}");
    }
}

/// Runs the agent to its end, through setpriv where privileges are given.
fn once(stage: &Stage, privileges: &[&str], options: &[&str]) -> Output {
    let agent = Path::new(env!("CARGO_BIN_EXE_foretell-capture"));
    let mut command = if privileges.is_empty() {
        stage.command(None, agent)
    } else {
        // The build's folder may be closed to other users.
        let copy = stage.folder.path().join("foretell-capture");
        // By a process of its own: a descriptor open for writing here would leak into what other tests start meanwhile, and
        // a file open for writing cannot be executed.
        assert!(Command::new("cp").arg(agent).arg(&copy).status().unwrap().success());
        fs::set_permissions(stage.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = stage.command(None, Path::new("setpriv"));
        command.args(privileges).arg(copy);
        command
    };
    if !options.contains(&"--cgroup") {
        command.arg("--cgroup").arg(&stage.cgroup);
    }
    command.args(options).output().unwrap()
}
