//! The engine against a slow and obvious evaluation written apart from it, over random clusters, policies and flows.
//!
//! A case is one random scene: up to five pods, two nodes, two Services, four policies and four flows, all of which are judged.
//! `FORETELL_PROPERTY_CASES` sets how many (25,000 by default), `FORETELL_PROPERTY_SEED` repeats a run. A failure prints the
//! smallest scene that still fails: make a named test of it.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic rather than return errors")]

mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZero;
use std::ops::AddAssign;
use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use foretell_policy::cluster::ownership::{Destination, End};
use foretell_policy::cluster::workload::Workload;
use foretell_policy::engine::end_decision::EndDecision;
use foretell_policy::engine::end_decision::Permission;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::pair::{Dialled, Pair};
use foretell_policy::engine::verdict;
use foretell_policy::engine::verdict::BY_BLOCK_ALONE;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::{FlowVerdicts, evaluate};
use foretell_policy::explain::evaluation::{VerdictLine, VerdictName};
use foretell_policy::explain::explanation::ends::EndName;
use foretell_policy::explain::explanation::walk::walk;
use foretell_policy::explain::explanation::{ExplainQuery, PolicyOutcome, Reachability, explain};
use foretell_policy::model::dialect::Dialect;
use foretell_policy::model::flow::{Direction, Flow};
use foretell_policy::policy::network_policy::Failed;
use foretell_policy::policy::tier::TierName;
use foretell_policy::resource::admin::view::AdminAction;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use oracle::edicts::compiled;
use oracle::generate::scene;
use oracle::judge::{Judgement, Reason, Said, Together, judge};
use oracle::objects::{cluster, policies, reference};
use oracle::scene::Scene;
use oracle::tiers::End as Ending;
use oracle::ways::Ways;

#[test]
fn engine_and_oracle_never_disagree() {
    let cases: u32 = from_environment("FORETELL_PROPERTY_CASES").unwrap_or(25_000);
    let seed: u64 = from_environment("FORETELL_PROPERTY_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap_or(0));
    println!("FORETELL_PROPERTY_SEED={seed}");
    let threads = u32::try_from(thread::available_parallelism().map_or(1, NonZero::get)).unwrap();
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(cases.div_ceil(threads), seed.wrapping_add(u64::from(thread)))))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap_or_else(|_| panic!("seed {seed}: see above"))).collect()
    });
    let mut tally = Tally::default();
    for one in tallies {
        for (what, count) in one.0 {
            tally.note(what, count);
        }
    }
    println!("{:#?}", tally.0);
    tally.must_hold_everything(cases);
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

fn run(cases: u32, seed: u64) -> Tally {
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 50_000,
        ..Config::default()
    };
    let tally = std::cell::RefCell::new(Tally::default());
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&scene(), |scene| compare(&scene, &mut tally.borrow_mut()).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    tally.into_inner()
}

/// How often each outcome was met: a property that never meets one proves nothing of it.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn note(&mut self, what: &'static str, count: u64) {
        self.0.entry(what).or_default().add_assign(count);
    }

    fn must_hold_everything(&self, cases: u32) {
        let wanted = [
            "Allow",
            "AllowByBlock",
            "Exempt node",
            "Exempt self",
            "NoRules",
            "UnresolvedPeer",
            "NoRuleMatched",
            "over a Service",
            "unresolved subject",
            "ruled out alone",
            "unknown alone",
            "passed on alone",
            "ruled in alone",
            "ruled out",
            "ruled in",
            "unknown",
            "explained",
            "explained, and pods differ",
        ];
        for what in wanted {
            let met = self.0.get(what).copied().unwrap_or_default();
            assert!(met >= u64::from(cases / 200), "only {met} times: {what}");
        }
        for what in ENFORCERS.iter().map(|(_, counted)| *counted).chain(["allowed at the other end"]) {
            let met = self.0.get(what).copied().unwrap_or_default();
            assert!(met >= u64::from(cases / 1000), "only {met} times: {what}");
        }
    }
}

/// The enforcers as which a scene is judged besides, and what is counted of each: flows of which another thing is said there.
const ENFORCERS: [(&str, &str); 4] = [
    ("cilium", "otherwise under Cilium"),
    ("cilium,policy-cidr-match-mode=nodes", "otherwise under Cilium with nodes"),
    ("calico", "otherwise under Calico"),
    ("kube-router", "otherwise under kube-router"),
];

fn compare(scene: &Scene, tally: &mut Tally) -> Result<(), String> {
    compare_as("upstream", scene, tally)?;
    // Under one of them, by lot: to ask the oracle is what takes time.
    let lot: usize = scene.flows.iter().map(|flow| usize::from(flow.port) + usize::from(flow.start == flow.end)).sum();
    let (enforcer, counted) = ENFORCERS[(lot + scene.pods.len()) % ENFORCERS.len()];
    let mut there = Tally::default();
    compare_as(enforcer, scene, &mut there).map_err(|what| format!("as {enforcer}: {what}"))?;
    let at_other_end = "allowed at the other end";
    tally.note(at_other_end, there.0.get(at_other_end).copied().unwrap_or_default());
    for flow in &scene.flows {
        let (upstream, there) = (judge(scene, flow, Ways::default()), judge(scene, flow, Ways::of(enforcer)));
        tally.note(counted, u64::from(upstream.together != there.together || upstream.said != there.said));
    }
    Ok(())
}

fn compare_as(enforcer: &str, scene: &Scene, tally: &mut Tally) -> Result<(), String> {
    let cluster = cluster(scene);
    let (dialect, ways) = (enforcer.parse().unwrap(), Ways::of(enforcer));
    let identities = Arc::new(Identities::as_recorded(&cluster));
    let world = World::in_dialect(dialect, &cluster, identities, policies(scene)).with_admin_policies(compiled(scene));
    if let Some(flow) = scene.flows.first() {
        explanations_are_of_the_worst_pair(&world, flow, tally)?;
    }
    for (index, flow) in scene.flows.iter().enumerate() {
        let expected = judge(scene, flow, ways);
        let evaluated = evaluate(&world, flow, u64::try_from(index).unwrap());
        let explain = |what: String| format!("flow {index}: {what}\nexpected {expected:#?}\ngot {evaluated:#?}");
        compare_lines(scene, &expected, &evaluated, tally).map_err(explain)?;
        compare_together(&world, flow, &expected, tally).map_err(explain)?;

        let unresolved: BTreeSet<Direction> = evaluated.unresolved_subjects.iter().copied().collect();
        if unresolved != expected.unresolved_subjects {
            return Err(explain("unresolved subjects differ".to_owned()));
        }
        tally.note("unresolved subject", u64::try_from(unresolved.len()).unwrap());
    }
    Ok(())
}

fn compare_lines(
    scene: &Scene,
    expected: &Judgement,
    evaluated: &FlowVerdicts<'_>,
    tally: &mut Tally,
) -> Result<(), String> {
    let order = |line: &VerdictLine<'_>| (line.policy.namespace.clone(), line.policy.name.clone(), line.direction);
    if !evaluated.lines.is_sorted_by_key(order) {
        return Err("lines are out of order".to_owned());
    }
    let mut missing = expected.said.clone();
    for line in &evaluated.lines {
        let Some(policy) = scene.policies.iter().position(|policy| reference(policy) == *line.policy) else {
            compare_ruled(scene, expected, line, tally)?;
            continue;
        };
        let Some(said) = missing.remove(&(policy, line.direction)) else {
            return Err(format!("{} says something {}", line.policy, line.direction));
        };
        if !agree(&said, line) {
            return Err(format!("{} disagrees {}", line.policy, line.direction));
        }
        tally.note(name(&said), 1);
    }
    let ruled = evaluated.lines.iter().filter(|line| line.admin_policies.is_some()).count();
    if ruled != expected.ruled.len() {
        return Err(format!("{ruled} lines of administrators"));
    }
    match missing.first_key_value() {
        Some(((policy, direction), _)) => Err(format!("policy {policy} says nothing {direction}")),
        None => Ok(()),
    }
}

/// What an admin policy says, taken alone.
fn compare_ruled(scene: &Scene, expected: &Judgement, line: &VerdictLine<'_>, tally: &mut Tally) -> Result<(), String> {
    let edict = scene.edicts.iter().position(|edict| edict.name == line.policy.name).unwrap();
    let Some(ruled) = expected.ruled.get(&(edict, line.direction)) else {
        return Err(format!("{} says something {}", line.policy, line.direction));
    };
    let action = line.admin_policies.unwrap().action;
    let (end, name) = match (line.verdict, action) {
        (VerdictName::WouldDeny, AdminAction::Deny) => (Ending::Denied, "ruled out alone"),
        (VerdictName::Unknown, _) => (Ending::Unknown, "unknown alone"),
        (VerdictName::Allow, AdminAction::Pass) => (Ending::PassedOn, "passed on alone"),
        (VerdictName::Allow, AdminAction::Accept) => (Ending::Accepted, "ruled in alone"),
        other => return Err(format!("{} says {other:?}", line.policy)),
    };
    if end != ruled.end || !ruled.clauses.contains(&line.rule.unwrap()) {
        return Err(format!("{} disagrees {}: {ruled:?}", line.policy, line.direction));
    }
    tally.note(name, 1);
    Ok(())
}

fn name(said: &Said) -> &'static str {
    match said {
        Said::Deny { reason: Reason::NoRules, .. } => "NoRules",
        Said::Deny { reason: Reason::UnresolvedPeer, .. } => "UnresolvedPeer",
        Said::Deny { reason: Reason::NoRuleMatched, .. } => "NoRuleMatched",
        Said::AllowByBlock { .. } => "AllowByBlock",
        Said::Allow { .. } => "Allow",
        Said::Exempt("self") => "Exempt self",
        Said::Exempt(_) => "Exempt node",
    }
}

fn agree(said: &Said, line: &VerdictLine<'_>) -> bool {
    let message = line.message.as_deref().unwrap_or_default();
    if !tells_what_failed(line) {
        return false;
    }
    let allow = line.verdict == VerdictName::Allow && line.reason.is_none();
    match said {
        Said::Deny { nearest, .. } => {
            let field = if line.direction == Direction::Ingress { "ingress" } else { "egress" };
            let names = |index: &usize| message.contains(&format!("{field}[{index}]"));
            let names_nearest = nearest.is_empty() || nearest.iter().any(names);
            line.verdict == VerdictName::WouldDeny
                && line.rule.is_none()
                && line.exempt.is_none()
                && line.reason == Some(name(said))
                && names_nearest
        }
        Said::AllowByBlock { rules } => {
            allow && line.rule.is_some_and(|rule| rules.contains(&rule)) && message == BY_BLOCK_ALONE
        }
        Said::Allow { rules } => allow && line.rule.is_some_and(|rule| rules.contains(&rule)) && line.message.is_none(),
        Said::Exempt(why) => {
            allow && line.rule.is_none() && line.exempt.is_some_and(|exempt| exempt.to_string() == *why)
        }
    }
}

/// Whether a denial is laid at who enforces.
fn has_it_otherwise(message: &str) -> bool {
    ["for Cilium ", "for Calico ", "for kube-router "].iter().any(|title| message.contains(title))
}

/// A denial by rules says of the nearest one what failed, and of what failed why.
fn tells_what_failed(line: &VerdictLine<'_>) -> bool {
    let is_told_otherwise = || line.message.as_deref().is_some_and(has_it_otherwise);
    let Some(mismatch) = &line.nearest else {
        return !matches!(line.reason, Some("NoRuleMatched" | "UnresolvedPeer")) || is_told_otherwise();
    };
    let (peer, port) = (!mismatch.peers.is_empty(), !mismatch.ports.is_empty());
    let failed = match mismatch.failed {
        Failed::Peer => (true, false),
        Failed::Port => (false, true),
        Failed::PeerAndPort => (true, true),
    };
    line.message.as_deref().is_some_and(|message| message.contains(&mismatch.rule))
        && (peer, port) == failed
        && mismatch.peers.iter().all(|entry| !entry.causes.is_empty())
}

/// All policies together, at each end: for a Service at the backend that fares worst.
fn compare_together(world: &World<'_>, flow: &Flow, expected: &Judgement, tally: &mut Tally) -> Result<(), String> {
    let ends = world.cluster().resolve(flow);
    if matches!(ends.dst, Destination::Service { .. }) {
        tally.note("over a Service", 1);
    }
    let backends = world.view().backends(&ends, flow.protocol, flow.port, flow.start);
    for direction in Direction::BOTH {
        let standings = backends.iter().map(|backend| {
            let dialled = Dialled::from(&ends.dst);
            let pair = Pair { src: ends.src, dst: backend.end, protocol: flow.protocol, port: backend.port, dialled };
            let decision = world.decide(&pair, direction);
            (pair, decision)
        });
        let standings: Vec<(Pair, EndDecision)> = standings.collect();
        for (pair, decision) in &standings {
            if world.dialect() == Dialect::UPSTREAM {
                misses_are_the_engines(world, pair, direction, decision)?;
            }
            walk_ends_as_the_engine_says(world, pair, direction, decision)?;
        }
        let worst = standings.iter().map(|(_, decision)| together(decision)).min().unwrap();
        if worst != expected.together[&direction] {
            return Err(format!("together {worst:?} {direction}"));
        }
        tally.note(
            match worst {
                Together::RuledOut => "ruled out",
                Together::RuledIn => "ruled in",
                Together::Unknown => "unknown",
                Together::AllowedThere => "allowed at the other end",
                _ => "decided by NetworkPolicies",
            },
            1,
        );
    }
    Ok(())
}

/// What is worked out from the policy's text is what the engine knew from its rows of bits.
fn misses_are_the_engines(
    world: &World<'_>,
    pair: &Pair,
    direction: Direction,
    decision: &EndDecision,
) -> Result<(), String> {
    let EndDecision::Denied(denied) = decision else { return Ok(()) };
    let question = world.question(pair, direction);
    for (policy, reason) in denied {
        let mismatch = world.policy(*policy).mismatch(reason, &question).map(|mismatch| mismatch.failed);
        let known = match *reason {
            verdict::Reason::NoRules => None,
            verdict::Reason::UnresolvedPeer { failed, .. } | verdict::Reason::NoRuleMatched { failed, .. } => {
                Some(failed)
            }
        };
        if mismatch != known {
            return Err(format!("{} missed by {mismatch:?}, not {known:?}", world.policy(*policy).reference));
        }
    }
    Ok(())
}

/// The walk through the tiers comes to the engine's conclusion, and says of every denial by rules what failed.
fn walk_ends_as_the_engine_says(
    world: &World<'_>,
    pair: &Pair,
    direction: Direction,
    decision: &EndDecision,
) -> Result<(), String> {
    let walk = walk(&world.view(), pair, direction);
    let decided_by = match decision {
        EndDecision::Open | EndDecision::Unknown(_) => None,
        EndDecision::Exempt(_)
        | EndDecision::Allowed { .. }
        | EndDecision::AllowedAtOtherEnd { .. }
        | EndDecision::Denied(_) => Some(TierName::NETWORK_POLICY),
        EndDecision::Ruled(ruling) => Some(ruling.tier),
        EndDecision::ByPolicy(ruling) => Some(ruling.tier),
    };
    if (walk.answer, walk.decided_by) != (decision.permission().into(), decided_by) || walk.why.is_empty() {
        return Err(format!("{walk:#?}\nends otherwise than {decision:?}"));
    }
    let steps = walk.tiers.iter().filter(|tier| tier.tier == TierName::NETWORK_POLICY).flat_map(|tier| &tier.policies);
    for step in steps.filter(|step| step.outcome == PolicyOutcome::Denies) {
        let says_nothing =
            step.nearest.as_ref().is_some_and(|mismatch| mismatch.peers.is_empty() && mismatch.ports.is_empty());
        let says_why = step.message.starts_with("it has no ") || has_it_otherwise(&step.message);
        if says_nothing || (step.nearest.is_none() && !says_why) {
            return Err(format!("{step:#?}\nsays nothing of what failed"));
        }
    }
    Ok(())
}

/// May pods of one workload reach those of another? That is asked of every pair of them, where an explanation asks one of each kind
/// that policies can tell apart.
fn explanations_are_of_the_worst_pair(world: &World<'_>, flow: &Flow, tally: &mut Tally) -> Result<(), String> {
    let cluster = world.cluster();
    let mut ends: BTreeMap<&Workload, Vec<End>> = BTreeMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| pod.workload.kind != "Pod" && pod.life.contains(flow.start)) {
        let end = |ip: &IpAddr| {
            let ip = *ip;
            if pod.host_network { End::Host { node: pod.node, ip } } else { End::Pod { pod: id, ip } }
        };
        ends.entry(&pod.workload).or_default().extend(pod.addresses.iter().map(end));
    }
    for (from, clients) in &ends {
        for (to, servers) in &ends {
            let pairs = clients.iter().flat_map(|src| servers.iter().map(move |dst| (*src, *dst)));
            let pairs = pairs.filter(|(src, dst)| src.ip().is_ipv4() == dst.ip().is_ipv4());
            let (own, others): (Vec<_>, Vec<_>) =
                pairs.partition(|(src, dst)| src.pod().is_some() && src.pod() == dst.pod());
            let answers = if others.is_empty() { own } else { others }.into_iter().map(|(src, dst)| {
                let Flow { protocol, port, .. } = *flow;
                let pair = Pair { src, dst, protocol, port, dialled: Dialled::Backend };
                Direction::BOTH.map(|direction| world.decide(&pair, direction).permission().into()).into_iter().min()
            });
            let answers: Vec<Option<Reachability>> = answers.collect();
            let Some(worst) = answers.iter().min().copied().flatten() else { continue };
            let named = |workload: &Workload| EndName::Kind {
                namespace: workload.namespace.clone(),
                kind: workload.kind.clone(),
                name: workload.name.clone(),
            };
            let asked = ExplainQuery {
                from: named(from),
                to: named(to),
                protocol: flow.protocol,
                port: flow.port,
                at: flow.start,
            };
            let told = explain(world, &[], &asked).map_err(|error| error.to_string())?;
            let pairs: u64 = told.cases.iter().map(|case| case.pairs).sum();
            if told.answer != worst || pairs != answers.len() as u64 {
                return Err(format!("{from} to {to}: {worst:?} of {answers:?}\ngot {told:#?}"));
            }
            tally.note("explained", 1);
            tally.note("explained, and pods differ", u64::from(told.cases.len() > 1));
        }
    }
    Ok(())
}

fn together(decision: &EndDecision) -> Together {
    match decision {
        EndDecision::Open => Together::Open,
        EndDecision::Exempt(_) => Together::Exempt,
        EndDecision::Allowed { by_block_alone: true, .. } => Together::AllowedByBlock,
        EndDecision::Allowed { by_block_alone: false, .. } => Together::Allowed,
        EndDecision::AllowedAtOtherEnd { .. } => Together::AllowedThere,
        EndDecision::Denied(_) => Together::Denied,
        EndDecision::Ruled(ruling) if ruling.permission() == Permission::Allowed => Together::RuledIn,
        EndDecision::Ruled(_) => Together::RuledOut,
        EndDecision::ByPolicy(_) => unreachable!("no tier of the product decides so"),
        EndDecision::Unknown(_) => Together::Unknown,
    }
}
