//! The cost of the agent: nanoseconds per packet in the kernel's accounting, and the throughput of TCP requests with the agent
//! compared to that without. Run `cargo bench -p foretell-capture` as root.
//!
//! Measured on two shared virtual cores, Linux 6.18, clang 14, while the machine ran other builds: accounting and an ICMP
//! packet 33-39 ns; in addition to that, TCP data 18-22 ns with packet and byte counts (4-8 ns in a design without them), UDP
//! of a known flow 70-77 ns, a new flow 590-650 ns; throughput ratio 0.98-1.04, which is within the noise.
#![allow(clippy::unwrap_used, reason = "a failed measurement panics")]

#[path = "../tests/capture/node/mod.rs"]
mod node;

use std::collections::BTreeSet;
use std::process::Command;

use node::{Pod, TestNode, pod_process};

const A: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000a";
const B: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000b";
const ROUNDS: usize = 15;
const PACKETS: u32 = 50_000;

fn main() {
    if node::is_pod_process() {
        pod_process::serve();
        return;
    }
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    b.run("tcp-listen 10.244.0.2:8080");
    b.run("udp-listen 10.244.0.2:8080 silent");
    cost_of_a_packet(&node, &mut a);
    for pod in [&a, &b] {
        // Real-time priority keeps other processes out of the comparison. Without the permission it is only noisier.
        let _ = Command::new("chrt").args(["--all-tasks", "--fifo", "--pid", "1", &pod.id().to_string()]).status();
    }
    throughput(&node, &mut a);
}

fn cost_of_a_packet(node: &TestNode, a: &mut Pod) {
    let agent = node.agent(&["--log", "warn,foretell_capture::run=info", "--max-flows", "262144"]);
    let programs = agent.programs();
    let _stats = aya::sys::enable_stats(aya::sys::Stats::RunTime).unwrap();
    let mut measure = |name: &str, commands: &[String]| {
        let before = accounted(&programs);
        for command in commands {
            a.run(command);
        }
        let after = accounted(&programs);
        let (nanoseconds, packets) = (after.0 - before.0, after.1 - before.1);
        println!("{name}: {} ns per packet over {packets} packets", nanoseconds / packets);
    };
    // The programs only read its IP header, so this is the cost of the kernel's accounting.
    measure("ICMP, skipped", &[format!("icmp-send 10.244.0.1 10.244.0.2 {PACKETS}")]);
    measure("TCP data", &[format!("tcp-rounds 10.244.0.1 10.244.0.2:8080 {PACKETS}")]);
    measure("UDP of a known flow", &[format!("udp-flood 10.244.0.1:0 10.244.0.2:8080 {PACKETS} 1")]);
    measure("UDP, each a new flow", &[format!("udp-flood 10.244.0.1:0 10.244.0.3:10000 {PACKETS} 50000")]);
    let output = agent.stop();
    println!("lost during the measurement: {:?}", output.reports.iter().map(|report| &report.lost).collect::<Vec<_>>());
}

/// Nanoseconds and packets since the programs were loaded.
fn accounted(programs: &BTreeSet<u32>) -> (u64, u64) {
    aya::programs::loaded_programs().filter_map(Result::ok).filter(|program| programs.contains(&program.id())).fold(
        (0, 0),
        |(time, count), program| {
            let nanoseconds = u64::try_from(program.run_time().as_nanos()).unwrap();
            (time + nanoseconds, count + program.run_count())
        },
    )
}

/// Alternates short measurements with and without the agent, because the load of the machine varies.
fn throughput(node: &TestNode, a: &mut Pod) {
    let mut turn = || a.try_run("tcp-rate 10.244.0.1 10.244.0.2:8080 300").unwrap().parse::<f64>().unwrap();
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let before = turn();
            let agent = node.agent(&["--log", "warn"]);
            let watched = turn();
            agent.stop();
            watched * 2.0 / (before + turn())
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "TCP requests per second, ratio with the agent to without: median {:.3} of {ROUNDS} (quartiles {:.3} and {:.3})",
        ratios[ROUNDS / 2],
        ratios[ROUNDS / 4],
        ratios[ROUNDS * 3 / 4]
    );
}
