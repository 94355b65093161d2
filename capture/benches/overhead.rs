//! What watching costs: nanoseconds a packet by the kernel's own accounting, and the throughput of TCP requests and answers
//! with the agent beside that without. `cargo bench -p foretell-capture`, as root.
//!
//! Taken on two shared virtual cores, Linux 6.18, clang 14, while the machine built other things: accounting and an ICMP packet
//! 33-39 ns; above that TCP data 18-22 ns with its packet and byte counts (a design without them measured 4-8 ns), UDP of a
//! known flow 70-77 ns, a new flow 590-650 ns; throughput ratio 0.98-1.04, which is to say within the noise.
#![allow(clippy::unwrap_used, reason = "a measurement that fails says so by panicking")]

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::collections::BTreeSet;
use std::process::Command;

use stage::{Pod, Stage, actor};

const A: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000a";
const B: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000b";
const ROUNDS: usize = 15;
const PACKETS: u32 = 50_000;

fn main() {
    if stage::is_actor() {
        actor::serve();
        return;
    }
    if stage::skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    b.must("tcp-listen 10.244.0.2:8080");
    b.must("udp-listen 10.244.0.2:8080 silent");
    cost_of_a_packet(&stage, &mut a);
    for pod in [&a, &b] {
        // So that whatever else the machine does stays out of the comparison; without the permission it is only noisier.
        let _ = Command::new("chrt").args(["--all-tasks", "--fifo", "--pid", "1", &pod.id().to_string()]).status();
    }
    throughput(&stage, &mut a);
}

fn cost_of_a_packet(stage: &Stage, a: &mut Pod) {
    let agent = stage.agent(&["--log", "warn,foretell_capture::run=info", "--max-flows", "262144"]);
    let programs = agent.programs();
    let _stats = aya::sys::enable_stats(aya::sys::Stats::RunTime).unwrap();
    let mut measure = |name: &str, commands: &[String]| {
        let before = accounted(&programs);
        for command in commands {
            a.must(command);
        }
        let after = accounted(&programs);
        let (nanoseconds, packets) = (after.0 - before.0, after.1 - before.1);
        println!("{name}: {} ns a packet over {packets} packets", nanoseconds / packets);
    };
    // Reads the IP header and lets it be: what is left is the kernel's accounting.
    measure("ICMP, not watched", &[format!("icmp-send 10.244.0.1 10.244.0.2 {PACKETS}")]);
    measure("TCP data", &[format!("tcp-rounds 10.244.0.1 10.244.0.2:8080 {PACKETS}")]);
    measure("UDP of a known flow", &[format!("udp-flood 10.244.0.1:0 10.244.0.2:8080 {PACKETS} 1")]);
    measure("UDP, each a new flow", &[format!("udp-flood 10.244.0.1:0 10.244.0.3:10000 {PACKETS} 50000")]);
    let record = agent.stop();
    println!("lost meanwhile: {:?}", record.reports.iter().map(|report| &report.lost).collect::<Vec<_>>());
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

/// Side by side in short turns, as the machine has other things to do too.
fn throughput(stage: &Stage, a: &mut Pod) {
    let mut turn = || a.tell("tcp-rate 10.244.0.1 10.244.0.2:8080 300").unwrap().parse::<f64>().unwrap();
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let before = turn();
            let agent = stage.agent(&["--log", "warn"]);
            let watched = turn();
            agent.stop();
            watched * 2.0 / (before + turn())
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "TCP request and answer, with the agent against without: median {:.3} of {ROUNDS} (quartiles {:.3} and {:.3})",
        ratios[ROUNDS / 2],
        ratios[ROUNDS / 4],
        ratios[ROUNDS * 3 / 4]
    );
}
