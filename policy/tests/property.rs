//! Compares the engine with a slow and simple evaluation that is implemented separately, over random clusters, policies and flows.
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

use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::{Direction, Flow};
use foretell_objects::resource::admin_view::AdminAction;
use foretell_policy::cluster::ownership::{Destination, End};
use foretell_policy::cluster::workload::Workload;
use foretell_policy::engine::backends::Backend;
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
use foretell_policy::explain::explanation::query::{ExplainQuery, explain};
use foretell_policy::explain::explanation::walk::walk;
use foretell_policy::explain::explanation::{PolicyOutcome, Reachability};
use foretell_policy::policy::network_policy::Failed;
use foretell_policy::policy::tier::TierName;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use oracle::admin_policies::compiled;
use oracle::deviations::Deviations;
use oracle::generate::scene;
use oracle::judge::{Judgement, PolicyVerdict, Reason, Together, judge};
use oracle::objects::{cluster, policies, reference};
use oracle::scene::Scene;
use oracle::tiers::End as Ending;

#[test]
fn engine_and_oracle_always_agree() {
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
    tally.assert_all_outcomes_occur(cases);
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

/// How often each outcome occurred. A run in which an outcome never occurs proves nothing about it.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn note(&mut self, what: &'static str, count: u64) {
        self.0.entry(what).or_default().add_assign(count);
    }

    fn assert_all_outcomes_occur(&self, cases: u32) {
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
            // A rule that matches nodes by their namespace is rare, and most of them may reach the pod anyway.
            let rare = what == "otherwise under OVN-Kubernetes";
            let least = if rare { cases / 10_000 } else { cases / 1000 };
            assert!(met >= u64::from(least), "only {met} times: {what}");
        }
    }
}

/// Further enforcers as which scenes are judged, each with the name under which flows that it treats differently are counted.
const ENFORCERS: [(&str, &str); 6] = [
    ("cilium", "otherwise under Cilium"),
    ("cilium,policy-cidr-match-mode=nodes", "otherwise under Cilium with nodes"),
    ("calico", "otherwise under Calico"),
    ("kube-router", "otherwise under kube-router"),
    ("aws-vpc-cni", "otherwise under the VPC CNI"),
    ("ovn-kubernetes", "otherwise under OVN-Kubernetes"),
];

fn compare(scene: &Scene, tally: &mut Tally) -> Result<(), String> {
    compare_as("upstream", scene, tally)?;
    // One of them is picked at random, because the oracle is slow.
    let random: usize =
        scene.flows.iter().map(|flow| usize::from(flow.port) + usize::from(flow.start == flow.end)).sum();
    let (enforcer, counted) = ENFORCERS[(random + scene.pods.len()) % ENFORCERS.len()];
    let mut there = Tally::default();
    compare_as(enforcer, scene, &mut there).map_err(|what| format!("as {enforcer}: {what}"))?;
    let at_other_end = "allowed at the other end";
    tally.note(at_other_end, there.0.get(at_other_end).copied().unwrap_or_default());
    for flow in &scene.flows {
        let (upstream, there) =
            (judge(scene, flow, Deviations::default()), judge(scene, flow, Deviations::of(enforcer)));
        tally.note(counted, u64::from(upstream.together != there.together || upstream.verdicts != there.verdicts));
    }
    Ok(())
}

fn compare_as(enforcer: &str, scene: &Scene, tally: &mut Tally) -> Result<(), String> {
    let cluster = cluster(scene);
    let (dialect, deviations) = (enforcer.parse().unwrap(), Deviations::of(enforcer));
    let identities = Arc::new(Identities::as_recorded(&cluster));
    let world = World::in_dialect(dialect, &cluster, identities, policies(scene)).with_admin_policies(compiled(scene));
    if let Some(flow) = scene.flows.first() {
        explanations_are_of_the_worst_pair(&world, flow, tally)?;
    }
    for (index, flow) in scene.flows.iter().enumerate() {
        let expected = judge(scene, flow, deviations);
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
    let mut missing = expected.verdicts.clone();
    for line in &evaluated.lines {
        let Some(policy) = scene.policies.iter().position(|policy| reference(policy) == *line.policy) else {
            compare_ruled(scene, expected, line, tally)?;
            continue;
        };
        let Some(verdict) = missing.remove(&(policy, line.direction)) else {
            return Err(format!("{} has a verdict on {}", line.policy, line.direction));
        };
        if !agree(&verdict, line) {
            return Err(format!("{} disagrees {}", line.policy, line.direction));
        }
        tally.note(name(&verdict), 1);
    }
    let ruled = evaluated.lines.iter().filter(|line| line.admin_policies.is_some()).count();
    if ruled != expected.ruled.len() {
        return Err(format!("{ruled} lines of admin policies"));
    }
    match missing.first_key_value() {
        Some(((policy, direction), _)) => Err(format!("policy {policy} has no verdict on {direction}")),
        None => Ok(()),
    }
}

/// Compares the verdict of an admin policy in isolation.
fn compare_ruled(scene: &Scene, expected: &Judgement, line: &VerdictLine<'_>, tally: &mut Tally) -> Result<(), String> {
    let admin_policy =
        scene.admin_policies.iter().position(|admin_policy| admin_policy.name == line.policy.name).unwrap();
    let Some(ruled) = expected.ruled.get(&(admin_policy, line.direction)) else {
        return Err(format!("{} has a verdict on {}", line.policy, line.direction));
    };
    let action = line.admin_policies.unwrap().action;
    let (end, name) = match (line.verdict, action) {
        (VerdictName::WouldDeny, AdminAction::Deny) => (Ending::Denied, "ruled out alone"),
        (VerdictName::Unknown, _) => (Ending::Unknown, "unknown alone"),
        (VerdictName::Allow, AdminAction::Pass) => (Ending::PassedOn, "passed on alone"),
        (VerdictName::Allow, AdminAction::Accept) => (Ending::Accepted, "ruled in alone"),
        other => return Err(format!("{} has the verdict {other:?}", line.policy)),
    };
    if end != ruled.end || !ruled.rules.contains(&line.rule.unwrap()) {
        return Err(format!("{} disagrees {}: {ruled:?}", line.policy, line.direction));
    }
    tally.note(name, 1);
    Ok(())
}

fn name(verdict: &PolicyVerdict) -> &'static str {
    match verdict {
        PolicyVerdict::Deny { reason: Reason::NoRules, .. } => "NoRules",
        PolicyVerdict::Deny { reason: Reason::UnresolvedPeer, .. } => "UnresolvedPeer",
        PolicyVerdict::Deny { reason: Reason::NoRuleMatched, .. } => "NoRuleMatched",
        PolicyVerdict::AllowByBlock { .. } => "AllowByBlock",
        PolicyVerdict::Allow { .. } => "Allow",
        PolicyVerdict::Exempt("self") => "Exempt self",
        PolicyVerdict::Exempt(_) => "Exempt node",
    }
}

fn agree(verdict: &PolicyVerdict, line: &VerdictLine<'_>) -> bool {
    let message = line.message.as_deref().unwrap_or_default();
    if !explains_mismatch(line) {
        return false;
    }
    let allow = line.verdict == VerdictName::Allow && line.reason.is_none();
    match verdict {
        PolicyVerdict::Deny { nearest, .. } => {
            let field = if line.direction == Direction::Ingress { "ingress" } else { "egress" };
            let names = |index: &usize| message.contains(&format!("{field}[{index}]"));
            let names_nearest = nearest.is_empty() || nearest.iter().any(names);
            line.verdict == VerdictName::WouldDeny
                && line.rule.is_none()
                && line.exempt.is_none()
                && line.reason == Some(name(verdict))
                && names_nearest
        }
        PolicyVerdict::AllowByBlock { rules } => {
            allow && line.rule.is_some_and(|rule| rules.contains(&rule)) && message == BY_BLOCK_ALONE
        }
        PolicyVerdict::Allow { rules } => {
            allow && line.rule.is_some_and(|rule| rules.contains(&rule)) && line.message.is_none()
        }
        PolicyVerdict::Exempt(why) => {
            allow && line.rule.is_none() && line.exempt.is_some_and(|exempt| exempt.to_string() == *why)
        }
    }
}

/// Whether a message attributes a denial to the enforcer.
fn names_enforcer(message: &str) -> bool {
    let titles = ["Cilium", "Calico", "kube-router", "the Amazon VPC CNI", "OVN-Kubernetes"];
    titles.iter().any(|title| message.contains(&format!("for {title} ")))
}

/// Whether a denial by rules states the nearest rule and why it does not match.
fn explains_mismatch(line: &VerdictLine<'_>) -> bool {
    let names_an_enforcer = || line.message.as_deref().is_some_and(names_enforcer);
    let Some(mismatch) = &line.nearest else {
        return !matches!(line.reason, Some("NoRuleMatched" | "UnresolvedPeer")) || names_an_enforcer();
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

/// Compares the joint decision of all policies at each end; for a Service that on the backend with the strictest decision.
fn compare_together(world: &World<'_>, flow: &Flow, expected: &Judgement, tally: &mut Tally) -> Result<(), String> {
    let ends = world.cluster().resolve(flow);
    if matches!(ends.dst, Destination::Service { .. }) {
        tally.note("over a Service", 1);
    }
    let backends = world.view().backends(&ends, flow.protocol, flow.port, flow.start);
    for direction in Direction::BOTH {
        let decisions = backends.iter().map(|backend| {
            let Backend { end: dst, port, dialled } = *backend;
            let pair = Pair { src: ends.src, dst, protocol: flow.protocol, port, dialled };
            let decision = world.decide(&pair, direction);
            (pair, decision)
        });
        let decisions: Vec<(Pair, EndDecision)> = decisions.collect();
        for (pair, decision) in &decisions {
            if world.dialect() == Dialect::UPSTREAM {
                mismatch_agrees_with_the_verdict(world, pair, direction, decision)?;
            }
            walk_agrees_with_the_decision(world, pair, direction, decision)?;
        }
        let worst = decisions.iter().map(|(_, decision)| together(decision)).min().unwrap();
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

/// The mismatch that is computed from the policy agrees with the verdict of the index.
fn mismatch_agrees_with_the_verdict(
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
            return Err(format!(
                "{}: the mismatch is {mismatch:?}, the verdict states {known:?}",
                world.policy(*policy).reference
            ));
        }
    }
    Ok(())
}

/// The walk through the tiers ends with the decision of the engine, and explains every denial by rules.
fn walk_agrees_with_the_decision(
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
        return Err(format!("{walk:#?}\ndoes not end with {decision:?}"));
    }
    let steps = walk.tiers.iter().filter(|tier| tier.tier == TierName::NETWORK_POLICY).flat_map(|tier| &tier.policies);
    for step in steps.filter(|step| step.outcome == PolicyOutcome::Denies) {
        let is_empty =
            step.nearest.as_ref().is_some_and(|mismatch| mismatch.peers.is_empty() && mismatch.ports.is_empty());
        let has_reason = step.message.starts_with("it has no ") || names_enforcer(&step.message);
        if is_empty || (step.nearest.is_none() && !has_reason) {
            return Err(format!("{step:#?}\ndoes not explain the mismatch"));
        }
    }
    Ok(())
}

/// Compares the explanation of a query from one workload to another, which judges one pair of each kind that policies can
/// distinguish, with the decisions on all pairs.
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
            let query = ExplainQuery {
                from: named(from),
                to: named(to),
                protocol: flow.protocol,
                port: flow.port,
                at: flow.start,
            };
            let explanation = explain(world, &[], &query).map_err(|error| error.to_string())?;
            let pairs: u64 = explanation.cases.iter().map(|case| case.pairs).sum();
            if explanation.answer != worst || pairs != answers.len() as u64 {
                return Err(format!("{from} to {to}: {worst:?} of {answers:?}\ngot {explanation:#?}"));
            }
            tally.note("explained", 1);
            tally.note("explained, and pods differ", u64::from(explanation.cases.len() > 1));
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
