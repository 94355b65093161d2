//! A cluster that changes one object at a time against the same objects compiled afresh, in random order: whatever came and
//! went, the answers are the same. And flows in bulk against flows one by one, which the other property holds against the
//! oracle.
//!
//! `FORETELL_PROPERTY_CASES` sets how many times (the fifth part of it), `FORETELL_PROPERTY_SEED` repeats a run.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic rather than return errors")]
#![allow(dead_code, reason = "the oracle is shared with another test")]

mod oracle;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use foretell_objects::model::dialect::{Cni, Dialect};
use foretell_objects::model::flow::{Direction, Flow};
use foretell_objects::resource::object::Object;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::ownership::Ends;
use foretell_policy::cluster::traffic::Traffic;
use foretell_policy::engine::backends::Backend;
use foretell_policy::engine::end_decision::Permission;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::index::batch::{BatchVerdicts, FlowKey};
use foretell_policy::engine::index::replay::Replay;
use foretell_policy::engine::index::sizes::IndexSizes;
use foretell_policy::engine::index::view::View;
use foretell_policy::engine::live::Live;
use foretell_policy::engine::pair::Pair;
use foretell_policy::engine::policy_id::PolicyId;
use foretell_policy::engine::verdict::Verdict;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::VerdictLine;
use foretell_policy::explain::evaluation::evaluate_in;
use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::policy::network_policy::Policy;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use oracle::admin_policies::compiled as compiled_admin_policies;
use oracle::generate::scene;
use oracle::objects::{compiled, objects};
use oracle::scene::Scene;

/// A change of the cluster.
#[derive(Clone, Debug)]
enum Step {
    /// Adds a pod of the second scene, in place of one of the same name.
    Pod(Index),
    PodGoes(Index),
    Policy(Index),
    PolicyGoes(Index),
    Namespace(Index),
    NamespaceGoes(Index),
    /// Replaces all admin policies by those of the second scene.
    AdminPolicies,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<Index>().prop_map(Step::Pod),
        2 => any::<Index>().prop_map(Step::PodGoes),
        3 => any::<Index>().prop_map(Step::Policy),
        2 => any::<Index>().prop_map(Step::PolicyGoes),
        1 => any::<Index>().prop_map(Step::Namespace),
        1 => any::<Index>().prop_map(Step::NamespaceGoes),
        1 => Just(Step::AdminPolicies),
    ]
}

#[test]
fn a_cluster_changed_step_by_step_answers_as_one_built_from_the_result() {
    let cases: u32 = from_environment("FORETELL_PROPERTY_CASES").unwrap_or(20_000) / 5;
    let seed: u64 = from_environment("FORETELL_PROPERTY_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap_or(0));
    println!("FORETELL_PROPERTY_SEED={seed}");
    let config = Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 1..12);
    let outcome = TestRunner::new(config).run(&(scene(), scene(), steps), |(first, second, steps)| {
        run(&first, &second, &steps).map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

/// The current objects, in the order in which they were added.
struct CurrentState {
    objects: Vec<Object>,
    policies: Vec<Arc<Policy>>,
    admin_policies: Vec<Arc<AdminPolicy>>,
}

fn run(first: &Scene, second: &Scene, steps: &[Step]) -> Result<(), String> {
    let mut current =
        CurrentState { objects: objects(first), policies: Vec::new(), admin_policies: compiled_admin_policies(first) };
    let mut live = Live::build(&current.objects);
    live.set_tiers(current.admin_policies.clone());
    for policy in first.policies.iter().map(|policy| Arc::new(compiled(policy))) {
        live.set_policy(&policy);
        current.policies.push(policy);
    }
    let coming = objects(second);
    let flows: Vec<Flow> = first.flows.iter().chain(&second.flows).cloned().collect();
    compare(&live, &current, &flows)?;
    for step in steps {
        take(step, &mut live, &mut current, &coming, second);
        compare(&live, &current, &flows).map_err(|what| format!("after {step:?}: {what}"))?;
    }
    Ok(())
}

fn take(step: &Step, live: &mut Live, current: &mut CurrentState, coming: &[Object], second: &Scene) {
    let pods = |objects: &[Object]| -> Vec<Object> {
        objects.iter().filter(|object| matches!(object, Object::Pod(_))).cloned().collect()
    };
    let namespaces = |objects: &[Object]| -> Vec<Object> {
        objects.iter().filter(|object| matches!(object, Object::Namespace(_))).cloned().collect()
    };
    let pick = |index: &Index, from: Vec<Object>| (!from.is_empty()).then(|| from[index.index(from.len())].clone());
    match step {
        Step::Pod(index) => {
            let Some(object @ Object::Pod(_)) = pick(index, pods(coming)) else { return };
            let Object::Pod(pod) = &object else { return };
            if current.objects.iter().any(|other| shares_an_id(other, &object)) {
                return;
            }
            live.set_pod(pod);
            current.objects.retain(|other| !same(other, &object));
            current.objects.push(object);
        }
        Step::PodGoes(index) => {
            let Some(object) = pick(index, pods(&current.objects)) else { return };
            let metadata = object.metadata();
            let (namespace, name) = (metadata.namespace.clone().unwrap(), metadata.name.clone().unwrap());
            live.remove_pod(&namespace, &name, metadata.uid.as_deref());
            current.objects.retain(|other| !same(other, &object));
        }
        Step::Policy(index) => {
            let policy = Arc::new(compiled(&second.policies[index.index(second.policies.len())]));
            live.set_policy(&policy);
            current.policies.retain(|other| other.reference != policy.reference);
            current.policies.push(policy);
        }
        Step::PolicyGoes(index) => {
            if current.policies.is_empty() {
                return;
            }
            let gone = current.policies.remove(index.index(current.policies.len()));
            live.remove_policy(&gone.reference);
        }
        Step::Namespace(index) => {
            let Some(object) = pick(index, namespaces(coming)) else { return };
            let metadata = object.metadata();
            live.set_namespace(metadata.name.as_deref().unwrap(), metadata.labels.clone().unwrap_or_default());
            current.objects.retain(|other| !same(other, &object));
            current.objects.push(object);
        }
        Step::NamespaceGoes(index) => {
            let Some(object) = pick(index, namespaces(&current.objects)) else { return };
            live.remove_namespace(object.metadata().name.as_deref().unwrap());
            current.objects.retain(|other| !same(other, &object));
        }
        Step::AdminPolicies => {
            current.admin_policies = compiled_admin_policies(second);
            live.set_tiers(current.admin_policies.clone());
        }
    }
}

fn same(one: &Object, other: &Object) -> bool {
    let id = |object: &Object| (object.id(), object.metadata().uid.clone());
    id(one) == id(other)
}

/// Whether two objects are pods with the same UID or hash, which is impossible.
fn shares_an_id(one: &Object, other: &Object) -> bool {
    let ids = |object: &Object| {
        let metadata = object.metadata();
        let hash = metadata.annotations.as_ref().and_then(|all| all.get("kubernetes.io/config.hash")).cloned();
        [metadata.uid.clone(), hash]
    };
    let are_pods = matches!((one, other), (Object::Pod(_), Object::Pod(_)));
    let meet = ids(one).into_iter().zip(ids(other)).any(|(one, other)| one.is_some() && one == other);
    are_pods && meet && !same(one, other)
}

fn compare(live: &Live, current: &CurrentState, flows: &[Flow]) -> Result<(), String> {
    let mut cluster = Cluster::build(&current.objects);
    // An address of a node that is known from a pod stays known when the pod is gone.
    for (node, addresses) in live.view().cluster.nodes().iter() {
        cluster.add_node_addresses(node, &addresses.collect::<Vec<IpAddr>>());
    }
    let world = World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), current.policies.clone())
        .with_admin_policies(current.admin_policies.clone());
    for (number, flow) in flows.iter().enumerate() {
        let (lives, afresh) = (answers(&live.view(), flow), answers(&world.view(), flow));
        if lives != afresh {
            return Err(format!("flow {number} {flow:?}\nlive {lives:#?}\nafresh {afresh:#?}"));
        }
    }
    has_no_leaks(live, current)?;
    compare_replay(&world, flows)?;
    compare_dialects(&cluster, current, flows)?;
    let bare: Vec<Flow> = flows.iter().cloned().map(nameless).collect();
    let keys: Vec<FlowKey> = bare.iter().filter_map(FlowKey::of).collect();
    let (mut of_live, mut of_afresh) = (BatchVerdicts::default(), BatchVerdicts::default());
    live.judge(&keys, &mut of_live);
    world.judge(&keys, &mut of_afresh);
    for (number, flow) in bare.iter().enumerate() {
        let expected = of_network_policies(&world, flow);
        let in_batch = batch_verdicts(&of_afresh, number, |id| world.policy(id));
        let in_live_batch = batch_verdicts(&of_live, number, |id| live.view().index.policy(id));
        if in_batch != expected || in_live_batch != expected {
            return Err(format!(
                "in bulk: flow {number} {flow:?}\nlive {in_live_batch:#?}\nafresh {in_batch:#?}\none by one {expected:#?}"
            ));
        }
    }
    Ok(())
}

/// Removed objects leave nothing: the index has the same sizes as one that is built from the current objects.
fn has_no_leaks(live: &Live, current: &CurrentState) -> Result<(), String> {
    let mut afresh = Live::build(&current.objects);
    for policy in &current.policies {
        afresh.set_policy(policy);
    }
    // Which lifetimes of pods at a reused address are listed depends on the order of changes.
    let [held, expected] = [live, &afresh].map(|live| IndexSizes { lifetimes: 0, ..live.sizes() });
    if held == expected { Ok(()) } else { Err(format!("live {held:#?}\nafresh {expected:#?}")) }
}

/// Compares batch verdicts and the replay of a window with verdicts on single flows, under enforcers that together have all
/// deviations.
fn compare_dialects(cluster: &Cluster, current: &CurrentState, flows: &[Flow]) -> Result<(), String> {
    const ENFORCERS: [Cni; 5] = [Cni::Cilium, Cni::KubeRouter, Cni::Calico, Cni::AwsVpcCni, Cni::OvnKubernetes];
    let bare: Vec<Flow> = flows.iter().cloned().map(nameless).collect();
    let keys: Vec<FlowKey> = bare.iter().filter_map(FlowKey::of).collect();
    // Two of them each time, because worlds are built anew for each.
    let first: usize = flows.iter().map(|flow| usize::from(flow.port)).sum();
    for cni in [ENFORCERS[first % 5], ENFORCERS[(first + 2) % 5]] {
        let identities = Arc::new(Identities::as_recorded(cluster));
        let world = World::in_dialect(Dialect::of(cni), cluster, identities, current.policies.clone());
        compare_replay(&world, flows).map_err(|what| format!("{cni}: {what}"))?;
        let mut batch = BatchVerdicts::default();
        world.judge(&keys, &mut batch);
        for (number, flow) in bare.iter().enumerate() {
            let expected = of_network_policies(&world, flow);
            let in_batch = batch_verdicts(&batch, number, |id| world.policy(id));
            if in_batch != expected {
                return Err(format!("{cni} in bulk: flow {number} {flow:?}\n{in_batch:#?}\none by one {expected:#?}"));
            }
        }
    }
    Ok(())
}

/// Compares the replay of a window by one policy at a time with verdicts on single flows.
fn compare_replay(world: &World<'_>, flows: &[Flow]) -> Result<(), String> {
    let (view, at) = (world.view(), flows[0].start);
    let mut traffic = Traffic::default();
    for flow in flows {
        traffic.add(flow, view.cluster, flow.start, flow.end);
    }
    let mut expected = Vec::new();
    for (number, key) in (0..).zip(traffic.keys()) {
        let ends = Ends { src: key.src, dst: key.dst };
        for backend in view.backends(&ends, key.protocol, key.port, at) {
            let Backend { end, port, dialled } = backend;
            let pair = Pair { src: key.src, dst: end, protocol: key.protocol, port, dialled };
            for direction in Direction::BOTH {
                let verdicts = world.verdicts(&pair, direction);
                expected.extend(verdicts.map(|(id, verdict)| (number, direction, id, format!("{verdict:?}"))));
            }
        }
    }
    let replay = Replay::of(&view, traffic.keys(), at);
    let mut verdicts: Vec<(u32, Direction, PolicyId, String)> = Vec::new();
    for (id, _) in world.index().policies() {
        replay.against(&view, id, |number, direction, answer| {
            verdicts.push((number, direction, id, format!("{:?}", answer.verdict())));
        });
    }
    expected.sort();
    verdicts.sort();
    if verdicts == expected { Ok(()) } else { Err(format!("replayed {verdicts:#?}\none by one {expected:#?}")) }
}

/// A verdict as text, without its message.
type VerdictText = (Direction, String, String);

/// The verdict of each policy on a flow, and its permission by all tiers together at each backend.
fn answers(view: &View<'_>, flow: &Flow) -> (Vec<VerdictText>, Vec<Permission>) {
    let ends = view.cluster.resolve(flow);
    let backends = view.backends(&ends, flow.protocol, flow.port, flow.start);
    let mut permissions: Vec<Permission> = Vec::new();
    for Backend { end, port, dialled } in backends {
        let pair = Pair { src: ends.src, dst: end, protocol: flow.protocol, port, dialled };
        permissions.extend(Direction::BOTH.map(|direction| view.decide(&pair, direction).permission()));
    }
    permissions.sort();
    (line_verdicts(evaluate_in(view, flow, 0).lines.iter()), permissions)
}

fn of_network_policies(world: &World<'_>, flow: &Flow) -> Vec<VerdictText> {
    let evaluated = evaluate_in(&world.view(), flow, 0);
    line_verdicts(evaluated.lines.iter().filter(|line| line.admin_policies.is_none()))
}

fn line_verdicts<'l, 'p: 'l>(lines: impl Iterator<Item = &'l VerdictLine<'p>>) -> Vec<VerdictText> {
    let mut verdicts: Vec<VerdictText> = lines
        .map(|line| {
            let rule = format!("{:?} {:?} {:?} {:?}", line.verdict, line.rule, line.exempt, line.reason);
            (line.direction, line.policy.to_string(), rule)
        })
        .collect();
    verdicts.sort();
    verdicts
}

fn batch_verdicts<'a>(
    batch: &BatchVerdicts,
    number: usize,
    policy: impl Fn(PolicyId) -> &'a Policy,
) -> Vec<VerdictText> {
    let mut verdicts = Vec::new();
    for direction in Direction::BOTH {
        for (id, answer) in batch.of(number, direction) {
            let verdict = answer.verdict();
            let (name, rule, exempt, reason) = match verdict {
                Verdict::Allow { rule, .. } => ("Allow", Some(rule), None, None),
                Verdict::Exempt(exemption) => ("Allow", None, Some(exemption), None),
                Verdict::WouldDeny(reason) => ("WouldDeny", None, None, Some(reason.name())),
            };
            verdicts.push((
                direction,
                policy(*id).reference.to_string(),
                format!("{name} {rule:?} {exempt:?} {reason:?}"),
            ));
        }
    }
    verdicts.sort();
    verdicts
}

fn nameless(mut flow: Flow) -> Flow {
    for end in [&mut flow.src, &mut flow.dst] {
        (end.pod_uid, end.namespace, end.pod) = (None, None, None);
    }
    flow
}
