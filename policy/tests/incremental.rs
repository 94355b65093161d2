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

use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::ownership::Ends;
use foretell_policy::cluster::traffic::Traffic;
use foretell_policy::engine::backends::Backend;
use foretell_policy::engine::end_decision::Permission;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::index::view::View;
use foretell_policy::engine::index::{BatchVerdicts, FlowKey, IndexSizes, Replay};
use foretell_policy::engine::live::Live;
use foretell_policy::engine::pair::{Dialled, Pair};
use foretell_policy::engine::verdict::Verdict;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::VerdictLine;
use foretell_policy::explain::evaluation::evaluate_in;
use foretell_policy::model::dialect::{Cni, Dialect};
use foretell_policy::model::flow::{Direction, Flow};
use foretell_policy::model::policy_id::PolicyId;
use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::policy::network_policy::Policy;
use foretell_policy::resource::object::Object;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use oracle::edicts::compiled as edicts;
use oracle::generate::scene;
use oracle::objects::{compiled, objects};
use oracle::scene::Scene;

/// What comes, or goes.
#[derive(Clone, Debug)]
enum Step {
    /// A pod of the second scene, in place of its namesake.
    Pod(Index),
    PodGoes(Index),
    Policy(Index),
    PolicyGoes(Index),
    Namespace(Index),
    NamespaceGoes(Index),
    /// The admin policies of the second scene, in place of all that there were.
    Administrators,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<Index>().prop_map(Step::Pod),
        2 => any::<Index>().prop_map(Step::PodGoes),
        3 => any::<Index>().prop_map(Step::Policy),
        2 => any::<Index>().prop_map(Step::PolicyGoes),
        1 => any::<Index>().prop_map(Step::Namespace),
        1 => any::<Index>().prop_map(Step::NamespaceGoes),
        1 => Just(Step::Administrators),
    ]
}

#[test]
fn what_changes_one_by_one_answers_as_what_is_compiled_afresh() {
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

/// What stands, in the order in which it came.
struct CurrentState {
    objects: Vec<Object>,
    policies: Vec<Arc<Policy>>,
    admin_policies: Vec<Arc<AdminPolicy>>,
}

fn run(first: &Scene, second: &Scene, steps: &[Step]) -> Result<(), String> {
    let mut current = CurrentState { objects: objects(first), policies: Vec::new(), admin_policies: edicts(first) };
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
        Step::Administrators => {
            current.admin_policies = edicts(second);
            live.set_tiers(current.admin_policies.clone());
        }
    }
}

fn same(one: &Object, other: &Object) -> bool {
    let id = |object: &Object| (object.id(), object.metadata().uid.clone());
    id(one) == id(other)
}

/// Two pods never have one UID, nor one hash.
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
    // What a pod that has gone told of its node stays known.
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
    leaves_nothing(live, current)?;
    compare_replay(&world, flows)?;
    compare_dialects(&cluster, current, flows)?;
    let bare: Vec<Flow> = flows.iter().cloned().map(nameless).collect();
    let keys: Vec<FlowKey> = bare.iter().filter_map(FlowKey::of).collect();
    let (mut of_live, mut of_afresh) = (BatchVerdicts::default(), BatchVerdicts::default());
    live.judge(&keys, &mut of_live);
    world.judge(&keys, &mut of_afresh);
    for (number, flow) in bare.iter().enumerate() {
        let expected = of_network_policies(&world, flow);
        let in_bulk = said(&of_afresh, number, |id| world.policy(id));
        let in_bulk_live = said(&of_live, number, |id| live.view().index.policy(id));
        if in_bulk != expected || in_bulk_live != expected {
            return Err(format!(
                "in bulk: flow {number} {flow:?}\nlive {in_bulk_live:#?}\nafresh {in_bulk:#?}\none by one {expected:#?}"
            ));
        }
    }
    Ok(())
}

/// What went left nothing: as much is held as of what stands.
fn leaves_nothing(live: &Live, current: &CurrentState) -> Result<(), String> {
    let mut afresh = Live::build(&current.objects);
    for policy in &current.policies {
        afresh.set_policy(policy);
    }
    // Of the lives of pods at one address that changed hands it depends who came first.
    let [held, expected] = [live, &afresh].map(|live| IndexSizes { lives: 0, ..live.sizes() });
    if held == expected { Ok(()) } else { Err(format!("live {held:#?}\nafresh {expected:#?}")) }
}

/// Under enforcers that deviate in everything that dialects know: flows in bulk, and a window against one policy at a time,
/// against flows one by one.
fn compare_dialects(cluster: &Cluster, current: &CurrentState, flows: &[Flow]) -> Result<(), String> {
    let bare: Vec<Flow> = flows.iter().cloned().map(nameless).collect();
    let keys: Vec<FlowKey> = bare.iter().filter_map(FlowKey::of).collect();
    for cni in [Cni::Cilium, Cni::KubeRouter] {
        let identities = Arc::new(Identities::as_recorded(cluster));
        let world = World::in_dialect(Dialect::of(cni), cluster, identities, current.policies.clone());
        compare_replay(&world, flows).map_err(|what| format!("{cni}: {what}"))?;
        let mut said_of_all = BatchVerdicts::default();
        world.judge(&keys, &mut said_of_all);
        for (number, flow) in bare.iter().enumerate() {
            let expected = of_network_policies(&world, flow);
            let in_bulk = said(&said_of_all, number, |id| world.policy(id));
            if in_bulk != expected {
                return Err(format!("{cni} in bulk: flow {number} {flow:?}\n{in_bulk:#?}\none by one {expected:#?}"));
            }
        }
    }
    Ok(())
}

/// A window against one policy at a time, and its flows one by one.
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
            let dialled = Dialled::from(&key.dst);
            let pair = Pair { src: key.src, dst: backend.end, protocol: key.protocol, port: backend.port, dialled };
            for direction in Direction::BOTH {
                let verdicts = world.verdicts(&pair, direction);
                expected.extend(verdicts.map(|(id, verdict)| (number, direction, id, format!("{verdict:?}"))));
            }
        }
    }
    let replay = Replay::of(&view, traffic.keys(), at);
    let mut told: Vec<(u32, Direction, PolicyId, String)> = Vec::new();
    for (id, _) in world.index().policies() {
        replay.against(world.index(), id, |number, direction, answer| {
            told.push((number, direction, id, format!("{:?}", answer.verdict())));
        });
    }
    expected.sort();
    told.sort();
    if told == expected { Ok(()) } else { Err(format!("replayed {told:#?}\none by one {expected:#?}")) }
}

/// A verdict, without what people are told.
type Told = (Direction, String, String);

/// What each policy says of a flow alone, and what becomes of it at each backend, all tiers together.
fn answers(view: &View<'_>, flow: &Flow) -> (Vec<Told>, Vec<Permission>) {
    let ends = view.cluster.resolve(flow);
    let dialled = Dialled::from(&ends.dst);
    let backends = view.backends(&ends, flow.protocol, flow.port, flow.start);
    let mut passages: Vec<Permission> = Vec::new();
    for Backend { end, port } in backends {
        let pair = Pair { src: ends.src, dst: end, protocol: flow.protocol, port, dialled };
        passages.extend(Direction::BOTH.map(|direction| view.decide(&pair, direction).permission()));
    }
    passages.sort();
    (told(evaluate_in(view, flow, 0).lines.iter()), passages)
}

fn of_network_policies(world: &World<'_>, flow: &Flow) -> Vec<Told> {
    let evaluated = evaluate_in(&world.view(), flow, 0);
    told(evaluated.lines.iter().filter(|line| line.admin_policies.is_none()))
}

fn told<'l, 'p: 'l>(lines: impl Iterator<Item = &'l VerdictLine<'p>>) -> Vec<Told> {
    let mut told: Vec<Told> = lines
        .map(|line| {
            let rule = format!("{:?} {:?} {:?} {:?}", line.verdict, line.rule, line.exempt, line.reason);
            (line.direction, line.policy.to_string(), rule)
        })
        .collect();
    told.sort();
    told
}

fn said<'a>(said: &BatchVerdicts, number: usize, policy: impl Fn(PolicyId) -> &'a Policy) -> Vec<Told> {
    let mut told = Vec::new();
    for direction in Direction::BOTH {
        for (id, answer) in said.of(number, direction) {
            let verdict = answer.verdict();
            let (name, rule, exempt, reason) = match verdict {
                Verdict::Allow { rule, .. } => ("Allow", Some(rule), None, None),
                Verdict::Exempt(exemption) => ("Allow", None, Some(exemption), None),
                Verdict::WouldDeny(reason) => ("WouldDeny", None, None, Some(reason.name())),
            };
            told.push((direction, policy(*id).reference.to_string(), format!("{name} {rule:?} {exempt:?} {reason:?}")));
        }
    }
    told.sort();
    told
}

fn nameless(mut flow: Flow) -> Flow {
    for end in [&mut flow.src, &mut flow.dst] {
        (end.pod_uid, end.namespace, end.pod) = (None, None, None);
    }
    flow
}
