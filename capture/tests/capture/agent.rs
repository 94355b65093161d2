//! The agent as a process: its reports, the losses that it reports, how it stops, what it needs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use foretell_objects::model::flow::{Line, is_log};
use rustix::process::{Pid, Signal, kill_process};

use crate::node::{ADDRESSES, AgentOutput, TestNode, UID, wait_for};

#[test]
fn a_node_without_traffic_reports_its_addresses_and_windows_without_gaps() {
    let Some(node) = TestNode::start() else { return };
    let agent = node.agent(&["--window", "100ms"]);
    wait_for("three windows", || (agent.lines().len() >= 4).then_some(()));
    let output = agent.stop();
    let expected: BTreeSet<String> =
        ADDRESSES.iter().map(|address| address.split('/').next().unwrap().to_owned()).collect();
    assert!(output.reports.len() >= 5, "the last window too");
    assert_eq!(output.reports[0].start, output.reports[0].end);
    for report in &output.reports {
        assert_eq!(report.node, "test-node");
        assert_eq!(report.addresses.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), expected);
        assert!(report.lost.is_empty(), "{report:?}");
    }
    assert!(output.reports.windows(2).all(|pair| pair[0].end == pair[1].start));
    assert!(output.flows.is_empty());
}

#[test]
fn a_flow_that_does_not_fit_into_the_ring_is_counted_and_still_written() {
    const FLOWS: u16 = 300;
    let Some(node) = TestNode::start() else { return };
    let mut pod = node.pod(UID);
    let agent = node.agent(&["--window", "10m", "--ring-bytes", "4096"]);
    // A stopped agent cannot read the ring.
    agent.pause();
    for port in 0..FLOWS {
        pod.run(&format!("udp-send 10.244.0.1:0 10.244.0.2:{} 1 unanswered", 9000 + port));
    }
    agent.resume();
    let output = agent.stop();
    let ports: BTreeSet<u16> = output.flows.iter().map(|flow| flow.port).collect();
    assert_eq!(ports, (9000..9000 + FLOWS).collect());
    assert_eq!(output.flows.len(), usize::from(FLOWS));
    assert!(output.flows.iter().all(|flow| flow.src.pod_uid.as_deref() == Some(UID)));
    // 4,096 bytes hold 56 events of 64 bytes with a header of 8 each.
    assert_eq!(output.lost("ring_full"), u64::from(FLOWS) - 56, "{:?}", output.reports);
}

#[test]
fn flows_that_do_not_fit_into_the_table_are_counted() {
    const FLOWS: u16 = 1000;
    let Some(node) = TestNode::start() else { return };
    let mut pod = node.pod(UID);
    let agent = node.agent(&["--window", "10m", "--max-flows", "64"]);
    for port in 0..FLOWS {
        pod.run(&format!("udp-send 10.244.0.1:0 10.244.0.2:{} 1 unanswered", 9000 + port));
    }
    let output = agent.stop();
    let ports: BTreeSet<u16> = output.flows.iter().map(|flow| flow.port).collect();
    let missing = u64::from(FLOWS) - ports.len() as u64;
    let reported = output.lost("evicted") + output.lost("aggregate_full") + output.lost("table_full");
    assert!(
        missing > 0 && reported >= missing,
        "{missing} flows are missing, {reported} are reported: {:?}",
        output.reports
    );
}

#[test]
fn no_program_stays_attached_after_a_signal_or_a_kill() {
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let Some(node) = TestNode::start() else { return };
        let mut pod = node.pod(UID);
        let mut agent = node.agent(&["--window", "10m"]);
        pod.run("udp-send 10.244.0.1:0 10.244.0.2:9000 1 unanswered");
        let programs = agent.programs();
        assert_eq!(programs.len(), 2);
        assert!(programs.is_subset(&loaded()));
        agent.signal(signal);
        let status = agent.child.wait().unwrap();
        assert_eq!(status.success(), signal != Signal::KILL);
        wait_for("its programs to be unloaded", || programs.is_disjoint(&loaded()).then_some(()));
        let flows = AgentOutput::of(agent.lines()).flows;
        assert_eq!(flows.len(), usize::from(signal != Signal::KILL), "the last window is written");
    }
}

fn loaded() -> BTreeSet<u32> {
    aya::programs::loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect()
}

#[test]
fn a_second_signal_ends_the_agent_even_if_the_last_window_cannot_be_written() {
    let Some(node) = TestNode::start() else { return };
    let mut pod = node.pod(UID);
    let mut agent = node
        .command(None, Path::new(env!("CARGO_BIN_EXE_foretell-capture")))
        .args(["--output", "-", "--window", "10m", "--log", "off", "--cgroup"])
        .arg(&node.cgroup)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(agent.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    // More than fits into a pipe, and nothing reads the pipe.
    pod.run("udp-flood 10.244.0.1:0 10.244.0.2:10000 2000 2000");
    let process = Pid::from_child(&agent);
    kill_process(process, Signal::TERM).unwrap();
    let waits_at = format!("/proc/{}/wchan", agent.id());
    wait_for("the agent to block on the pipe", || {
        fs::read_to_string(&waits_at).unwrap().contains("pipe").then_some(())
    });
    kill_process(process, Signal::INT).unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(1));
}

#[test]
fn the_agent_stops_after_its_duration() {
    let Some(node) = TestNode::start() else { return };
    let output = once(&node, &[], &["--output", "-", "--duration", "300ms", "--window", "100ms"]);
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.lines().count() >= 3 && lines.ends_with('\n'), "{lines}");
}

#[test]
fn with_the_log_on_standard_output_every_line_is_a_flow_a_report_or_a_log_entry() {
    let Some(node) = TestNode::start() else { return };
    let options = ["--output", "-", "--duration", "300ms", "--window", "100ms", "--log", "trace", "--log-to", "stdout"];
    let output = once(&node, &[], &options);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let (logged, lines): (Vec<_>, Vec<_>) =
        output.stdout.trim_ascii_end().split(|byte| *byte == b'\n').partition(|line| is_log(line));
    assert!(AgentOutput::of(lines.into_iter().map(|line| Line::parse(line).unwrap()).collect()).reports.len() >= 3);
    let entries = logged.iter().map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap()["log"].clone());
    assert!(entries.into_iter().any(|entry| entry["fields"]["node.name"].is_string()), "{output:?}");

    let output = once(&node, &[], &["--output", "/nowhere/at/all", "--log-to", "stdout"]);
    let line = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    assert_eq!(line["log"]["level"], "ERROR");
    assert!(line["log"]["fields"]["message"].as_str().unwrap().contains("--output /nowhere/at/all"), "{line}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn three_capabilities_suffice_and_a_missing_one_is_named() {
    let Some(node) = TestNode::start() else { return };
    let run = ["--output", "-", "--duration", "100ms"];
    let granted = "--ambient-caps=+bpf,+net_admin,+perfmon";
    let with = once(&node, &["--reuid=65534", "--inh-caps=+bpf,+net_admin,+perfmon", granted, "--clear-groups"], &run);
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    let without = once(&node, &["--reuid=65534", "--inh-caps=+bpf", "--ambient-caps=+bpf", "--clear-groups"], &run);
    let stderr = String::from_utf8_lossy(&without.stderr);
    assert!(!without.status.success());
    assert!(stderr.contains("lacks CAP_PERFMON, CAP_NET_ADMIN"), "{stderr}");
}

#[test]
fn errors_name_the_option_and_the_problem() {
    let Some(node) = TestNode::start() else { return };
    for (options, expected) in [
        (&["--output", "/nowhere/at/all"][..], "--output /nowhere/at/all: cannot open it for writing"),
        (&["--output", "/dev/full"], "cannot write 1 lines to /dev/full"),
        (&["--output", "-", "--cgroup", "/proc"], "--cgroup /proc: is not in a cgroup2 file system (mounted at /"),
        (&["--output", "-", "--cgroup", "/nowhere"], "--cgroup /nowhere: No such file or directory"),
    ] {
        let output = once(&node, &[], options);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(expected), "{options:?}: {stderr}");
    }
}

/// Runs the agent to its end; if privileges are given, with setpriv.
fn once(node: &TestNode, privileges: &[&str], options: &[&str]) -> Output {
    let agent = Path::new(env!("CARGO_BIN_EXE_foretell-capture"));
    let mut command = if privileges.is_empty() {
        node.command(None, agent)
    } else {
        // Other users may not have access to the target folder.
        let copy = node.folder.path().join("foretell-capture");
        // Another process copies the file. A descriptor that is open for writing in this one would be inherited by processes
        // that other tests start meanwhile, and a file that is open for writing cannot be executed.
        assert!(Command::new("cp").arg(agent).arg(&copy).status().unwrap().success());
        fs::set_permissions(node.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = node.command(None, Path::new("setpriv"));
        command.args(privileges).arg(copy);
        command
    };
    if !options.contains(&"--cgroup") {
        command.arg("--cgroup").arg(&node.cgroup);
    }
    command.args(options).output().unwrap()
}
