//! The engine's figures against their targets, in one table: `make bench`.
//!
//! The clusters and the traffic are generated (`generated`), from one seed, and made before the measurement, as are the objects that read them. Each
//! figure is the best and the median of several rounds on one thread: other work on the machine makes rounds slower and none
//! faster. `FORETELL_BENCH_SEED` sets another seed.
//!
//! Measured on one of two cores (Xeon, 2 MB of second-level cache each) of a virtual machine under other load, seed
//! 20261121. "The engine before" evaluated the text of each rule for each flow, on the same data.
//!
//! | what | best | median | target | the engine before |
//! |---|---|---|---|---|
//! | all verdicts, large | 3.69 million flows/s (54.0 million verdicts/s) | 3.54 | 3 million | 0.15 million, with sentences 0.03 million |
//! | all verdicts, small | 7.33 million flows/s (101 million verdicts/s) | 6.85 | 6 million | 0.94 million, with sentences 0.09 million |
//! | compile 5,000 policies over 20,000 pods | 224 ms, 75 MB | 252 ms | 500 ms, 150 MB | 331 to 445 ms |
//! | a pod added, changed, relabelled | 9 to 14 us | 20 to 31 us | 100 us | rebuilt |
//! | a namespaced policy added or changed | 1 to 2 us | 5 to 8 us | 1 ms | rebuilt |
//! | a cluster policy added or changed | 21 to 34 us | 45 to 50 us | 1 ms | rebuilt |
//! | replay 1,000,000 flows against a namespaced policy | 0.2 us | 4 us, slowest 0.3 ms | 50 ms | 60 to 72 ms, report included |
//! | the same against a cluster policy | 0.7 ms | 0.9 ms, slowest 45 ms | 50 ms | one of 270,000 denials: 9 s, report included |
//! | the whole preview of a namespaced one, with its report | 4 ms | 6 ms | - | 120 to 130 ms |
//!
//! Joint decisions of all policies, from which effects follow, are computed flow by flow and with every reason: 0.80 million flows/s
//! on the large cluster, 0.36 under 10 admin policies, 0.20 under 100.
//!
//! When others fill the caches the same rounds reach 2.0 to 2.9 million flows a second on the large cluster.
//!
//! Where the time goes: a flow takes 145 ns in the small cluster, all of which lies in the caches next to the core: about two
//! fifths for looking up its ends, two fifths for gathering bits, one fifth for the verdicts. In the large
//! one it takes 280 ns. The difference is memory: a flow touches some thirty lines of 64 bytes, spread over about 4 MB, where a
//! load that waits for the one before took 24 to 40 ns (5 to 7 ns in 512 kB, 10 to 20 in 2 MB), and most of them do not wait for one
//! another.
//!
//! Results of others on a cluster, policies and traffic of these sizes, on one core of such a machine, measured apart: kguardian's
//! matcher 3,261 flows/s (small: 27,920; all verdicts), kube-network-policies' engine 17,061 (78,385; accept or deny only),
//! policy-assistant's matcher 11,545 (accept or deny only, with everything resolved outside the clock).
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a benchmark of data that is made here")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foretell_objects::model::flow::{Direction, Flow};
use foretell_objects::resource::object::Object;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::traffic::Traffic;
use foretell_policy::engine::backends::Backend;
use foretell_policy::engine::effect::Worlds;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::index::batch::{BatchVerdicts, FlowKey};
use foretell_policy::engine::index::replay::Replay;
use foretell_policy::engine::live::Live;
use foretell_policy::engine::pair::{Dialled, Pair};
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::evaluate;
use foretell_policy::judge::assessment::outside::OutsideRanges;
use foretell_policy::judge::assessment::{AssessmentInputs, assess};
use foretell_policy::policy::network_policy::Policy;

mod generated;

use generated::{Generated, LARGE, SEED, SMALL, Size};

/// Distinct flows of the window that is replayed.
const WINDOW: usize = 1_000_000;
/// Flows that are judged before the verdicts are cleared.
const BATCH: usize = 1024;

fn main() {
    let seed = std::env::var("FORETELL_BENCH_SEED").map_or(SEED, |text| text.parse().unwrap());
    println!("seed {seed}");
    println!("{:<66} {:>16} {:>16} {:>14}  others", "what", "best", "median", "target");
    judging(&SMALL, seed, "6,000,000/s", "kguardian 27,920; kube-network-policies 78,385 (accept/deny)");
    judging(&LARGE, seed, "3,000,000/s", "kguardian 3,261; kube-network-policies 17,061 (accept/deny)");
    let generated = Generated::new(&LARGE, seed);
    deciding(&generated);
    compiling(&generated);
    changing(&generated);
    replaying(&generated);
    memory();
}

fn row(what: &str, mut rounds: Vec<f64>, unit: Unit, target: &str, others: &str) {
    rounds.sort_by(f64::total_cmp);
    let median = rounds[rounds.len() / 2];
    let best = match unit {
        Unit::PerSecond => rounds[rounds.len() - 1],
        Unit::Seconds | Unit::Megabytes => rounds[0],
    };
    println!("{what:<66} {:>16} {:>16} {target:>14}  {others}", unit.show(best), unit.show(median));
}

#[derive(Clone, Copy)]
enum Unit {
    PerSecond,
    Seconds,
    Megabytes,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Megabytes => format!("{value:.0} MB"),
            Self::Seconds if value < 1e-6 => format!("{:.1} ns", value * 1e9),
            Self::Seconds if value < 1e-3 => format!("{:.1} us", value * 1e6),
            Self::Seconds => format!("{:.1} ms", value * 1e3),
        }
    }
}

fn timed<T>(rounds: usize, mut run: impl FnMut() -> T) -> Vec<f64> {
    let time = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed().as_secs_f64()
    };
    (0..rounds).map(time).collect()
}

fn rates(count: usize, times: &[f64]) -> Vec<f64> {
    times.iter().map(|time| count as f64 / time).collect()
}

fn judging(size: &Size, seed: u64, target: &str, others: &str) {
    let generated = Generated::new(size, seed);
    let flows = generated.flows(size.flows);
    let keys: Vec<FlowKey> = flows.iter().filter_map(FlowKey::of).collect();
    let cluster = Cluster::build(&generated.objects);
    let identities = Arc::new(Identities::as_recorded(&cluster));
    let world = World::new(&cluster, Arc::clone(&identities), generated.compiled());
    let mut verdicts = BatchVerdicts::default();
    let (mut answers, mut denials, mut full_lookups) = (0, 0, 0);
    for keys in keys.chunks(BATCH) {
        verdicts.clear();
        world.judge(keys, &mut verdicts);
        answers += verdicts.answers().len();
        denials += verdicts.answers().iter().filter(|(_, answer)| answer.denies()).count();
        full_lookups += verdicts.full_lookups();
    }
    println!(
        "{}: {} pods of {} identities, {} policies, {} flows, {:.1} verdicts a flow, {:.0} % denials, {full_lookups} by full lookup",
        size.name,
        cluster.pods().count(),
        identities.all().len(),
        world.policies().count(),
        flows.len(),
        answers as f64 / flows.len() as f64,
        100.0 * denials as f64 / answers as f64,
    );
    let times = timed(30, || {
        for keys in keys.chunks(BATCH) {
            verdicts.clear();
            world.judge(keys, &mut verdicts);
            black_box(&verdicts);
        }
    });
    row(&format!("all verdicts, {}: flows", size.name), rates(flows.len(), &times), Unit::PerSecond, target, others);
    row(&format!("all verdicts, {}: verdicts", size.name), rates(answers, &times), Unit::PerSecond, "", "");
    let some = &flows[..flows.len() / 10];
    let times = timed(5, || some.iter().map(|flow| evaluate(&world, flow, 0).lines.len()).sum::<usize>());
    row(&format!("the same with sentences, {}", size.name), rates(some.len(), &times), Unit::PerSecond, "", "");
}

/// The joint decisions of all policies about flows at both ends, with their reasons.
fn deciding(generated: &Generated) {
    let cluster = Cluster::build(&generated.objects);
    let bare = World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), generated.compiled());
    let flows = generated.flows(LARGE.flows / 10);
    for count in [0, 10, 100] {
        let world = bare.clone().with_admin_policies(Generated::admin_policies(count));
        let view = world.view();
        let times = timed(5, || {
            let mut denied = 0;
            for flow in &flows {
                let ends = cluster.resolve(flow);
                let dialled = Dialled::at(&ends.dst, flow.port);
                for Backend { end, port, .. } in view.backends(&ends, flow.protocol, flow.port, flow.start) {
                    let pair = Pair { src: ends.src, dst: end, protocol: flow.protocol, port, dialled };
                    let passes = Direction::BOTH.iter().all(|direction| view.decide(&pair, *direction).passes());
                    denied += u32::from(!passes);
                }
            }
            denied
        });
        let what = format!("all policies together, under {count} of admin_policies, large: flows");
        row(&what, rates(flows.len(), &times), Unit::PerSecond, "", "");
    }
}

fn compiling(generated: &Generated) {
    let mut megabytes = Vec::new();
    let times = timed(5, || {
        let before = resident();
        // Kept until the end, so that each round requests new memory instead of reusing freed memory.
        let cluster = Box::leak(Box::new(Cluster::build(&generated.objects)));
        let world = World::new(cluster, Arc::new(Identities::as_recorded(cluster)), generated.compiled());
        world.judge(&[], &mut BatchVerdicts::default());
        std::mem::forget(world);
        megabytes.push(resident() - before);
    });
    row("compile 5,000 policies over 20,000 pods, from objects", times, Unit::Seconds, "500 ms", "-");
    // The first rounds use memory that was freed after the objects were made.
    let last = megabytes.split_off(2);
    row("  memory that it takes", last, Unit::Megabytes, "150 MB", "-");
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Removes and restores each item, one at a time.
fn each<T>(things: &[T], mut change: impl FnMut(&T)) -> Vec<f64> {
    let time = |thing| {
        let start = Instant::now();
        change(thing);
        start.elapsed().as_secs_f64()
    };
    things.iter().map(time).collect()
}

fn changing(generated: &Generated) {
    let all: Vec<Object> = generated.objects.iter().chain(&generated.policies).cloned().collect();
    let mut live = Live::build(&all);
    let pods = all.iter().filter_map(|object| match object {
        Object::Pod(pod) => Some((**pod).clone()),
        _ => None,
    });
    let pods: Vec<_> = pods.step_by(37).collect();
    let worst = |times: &[f64]| Duration::from_secs_f64(times.iter().copied().fold(0.0, f64::max));
    let tell = |what: &str, times: Vec<f64>, target: &str| {
        let slowest = format!("slowest of {}: {:?}", times.len(), worst(&times));
        row(what, times, Unit::Seconds, target, &slowest);
    };
    tell("a pod changed: the same again", each(&pods, |pod| _ = live.set_pod(pod)), "100 us");
    let name = |pod: &foretell_objects::resource::kubernetes::Pod| {
        let metadata = &pod.metadata;
        (metadata.namespace.clone().unwrap(), metadata.name.clone().unwrap(), metadata.uid.clone())
    };
    let removed = each(&pods, |pod| {
        let (namespace, name, uid) = name(pod);
        live.remove_pod(&namespace, &name, uid.as_deref());
    });
    tell("a pod removed", removed, "100 us");
    tell("a pod added", each(&pods, |pod| _ = live.set_pod(pod)), "100 us");
    let relabelled: Vec<_> = pods
        .iter()
        .cloned()
        .map(|mut pod| {
            pod.metadata.labels.get_or_insert_default().insert("version".to_owned(), "new".to_owned());
            pod
        })
        .collect();
    tell("a pod changed: labels that no other has", each(&relabelled, |pod| _ = live.set_pod(pod)), "100 us");
    let compiled = generated.compiled();
    let (wide, namespaced): (Vec<_>, Vec<_>) = compiled.into_iter().partition(|policy| policy.namespace().is_none());
    for (kind, policies) in [("namespaced", namespaced.into_iter().step_by(10).collect::<Vec<_>>()), ("cluster", wide)]
    {
        let policies: &[Arc<Policy>] = &policies;
        tell(&format!("a {kind} policy changed"), each(policies, |policy| _ = live.set_policy(policy)), "1 ms");
        let removed = each(policies, |policy| live.remove_policy(&policy.reference));
        tell(&format!("a {kind} policy removed"), removed, "1 ms");
        tell(&format!("a {kind} policy added"), each(policies, |policy| _ = live.set_policy(policy)), "1 ms");
    }
}

fn replaying(generated: &Generated) {
    let cluster = Cluster::build(&generated.objects);
    let policies = generated.compiled();
    let world = World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), policies.clone());
    let flows: Vec<Flow> = generated.flows(WINDOW);
    let at = flows[0].start;
    let mut traffic = Traffic::default();
    for flow in &flows {
        traffic.add(flow, &cluster, at, at);
    }
    let replay = Replay::of(&world.view(), traffic.keys(), at);
    println!("window: {} distinct flows", traffic.distinct());
    let (wide, namespaced): (Vec<_>, Vec<_>) =
        world.index().policies().partition(|(_, policy)| policy.namespace().is_none());
    let namespaced = namespaced.into_iter().step_by(7).collect();
    for (what, policies) in [("namespaced", namespaced), ("cluster", wide)] {
        let (mut times, mut most) = (Vec::new(), (0.0, 0, String::new()));
        for (id, policy) in policies {
            let (mut answers, mut denials) = (0, 0);
            let rounds = timed(3, || {
                (answers, denials) = (0, 0);
                replay.against(&world.view(), id, |_, _, answer| {
                    answers += 1;
                    denials += u32::from(answer.denies());
                });
                denials
            });
            let best = rounds.into_iter().fold(f64::MAX, f64::min);
            times.push(best);
            if best > most.0 {
                most = (best, answers, policy.reference.to_string());
            }
        }
        let slowest = format!("slowest: {} for {} answers, {}", Unit::Seconds.show(most.0), most.1, most.2);
        row(&format!("replay against one changed {what} policy"), times, Unit::Seconds, "50 ms", &slowest);
    }
    let mut reports = Vec::new();
    let (mut before, mut after) = (world.clone(), world);
    for policy in policies.iter().skip(2000).step_by(300) {
        before.remove(&policy.reference);
        after.remove(&policy.reference);
        let start = Instant::now();
        after.set(policy);
        let changed = BTreeSet::from([policy.reference.clone()]);
        let worlds = Worlds { before: &before, after: &after, at };
        let ranges = OutsideRanges::default();
        let promoted_from = BTreeMap::new();
        let case = AssessmentInputs {
            worlds,
            changed: &changed,
            exceptions: &[],
            ranges: &ranges,
            promoted_from: &promoted_from,
        };
        black_box(assess(&case, &traffic));
        reports.push(start.elapsed().as_secs_f64());
        before.set(policy);
    }
    row("the whole preview of a namespaced one: effects, denials, sentences", reports, Unit::Seconds, "", "");
}

/// The latency of memory: loads that each depend on the previous one, within this many bytes.
fn memory() {
    for kilobytes in [32, 512, 2048, 4096, 65536] {
        let count = kilobytes * 1024 / 4;
        // A full cycle through all places in a scattered order, as a linear congruence gives it.
        let next: Vec<u32> = (0..count)
            .map(|index: usize| u32::try_from((index * 1_664_525 + 1_013_904_223) % count).unwrap())
            .collect();
        let steps = 2_000_000;
        let times = timed(5, || {
            let mut place = 0;
            for _ in 0..steps {
                place = next[place as usize];
            }
            place
        });
        let each = times.into_iter().map(|time| time / f64::from(steps)).collect();
        row(&format!("memory: a load that waits for the one before, in {kilobytes} kB"), each, Unit::Seconds, "", "");
    }
}
