//! How common enforcers would treat the change, if it is judged by the upstream specification.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cluster::detected::{recognise, remark};
use crate::engine::effect::Worlds;
use crate::judge::assessment::AssessmentInputs;
use crate::judge::assessment::dialects::{DialectEffects, DifferenceKey, TouchedTraffic};
use crate::judge::judgement::Judgement;
use crate::judge::judgement::denials::seen;
use crate::policy::network_policy::{Policy, Restriction, Rule};
use crate::policy::peer::{PeerMatcher, PeerSet};
use crate::report::dialects::{DialectDifference, DialectReport};
use foretell_objects::model::dialect::deviations::Deviation;
use foretell_objects::model::dialect::{Cni, Dialect};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;

/// The enforcers that the change is compared under if the cluster's enforcer is not given.
const COMMON: [Cni; 3] = [Cni::Cilium, Cni::Calico, Cni::KubeRouter];

/// How many connections are listed for each deviation. All are counted.
const MOST: usize = 20;

impl Judgement<'_> {
    /// Connections in use that a common enforcer would treat differently. An enforcer's reading is evaluated only if the policies
    /// contain something that it reads differently, and only for traffic to which that can make a difference.
    pub(super) fn dialects(&self) -> Vec<DialectReport> {
        if !self.inputs.dialect.is_upstream() || !self.plan.is_enforced() {
            return Vec::new();
        }
        let changed: BTreeSet<PolicyRef> = self.plan.enforced.iter().map(|change| change.reference.clone()).collect();
        let inputs = AssessmentInputs {
            worlds: Worlds { before: self.before, after: self.after, at: self.inputs.at },
            changed: &changed,
            exceptions: &self.plan.exceptions,
            ranges: &self.ranges,
            promoted_from: &self.plan.promoted_from,
        };
        let policies: Vec<&Policy> = self.before.policies().chain(self.after.policies()).map(Arc::as_ref).collect();
        let mut in_use: Option<Vec<TouchedTraffic<'_>>> = None;
        let mut reports = Vec::new();
        for dialect in COMMON.map(Dialect::of) {
            let deviations: Vec<Deviation> = dialect.deviations().filter(|it| may_matter(*it, &policies)).collect();
            if deviations.is_empty() {
                continue;
            }
            let in_use = in_use.get_or_insert_with(|| inputs.in_use(self.inputs.traffic));
            let may_differ =
                |(key, _): &&TouchedTraffic<'_>| deviations.iter().any(|deviation| inputs.may_differ(*deviation, key));
            let traffic: Vec<TouchedTraffic<'_>> = in_use.iter().filter(may_differ).copied().collect();
            if !traffic.is_empty() {
                reports.extend(self.dialect(dialect, &inputs, &traffic));
            }
        }
        reports
    }

    fn dialect(
        &self,
        dialect: Dialect,
        inputs: &AssessmentInputs<'_>,
        traffic: &[TouchedTraffic<'_>],
    ) -> Vec<DialectReport> {
        let [before, after] = [self.before, self.after].map(|world| world.with_dialect(dialect));
        let enforcer = Worlds { before: &before, after: &after, at: self.inputs.at };
        let mut reports: Vec<DialectReport> = Vec::new();
        for (key, found) in inputs.differing(enforcer, traffic) {
            let Some(difference) = self.difference(&key, &found) else { continue };
            let name = key.deviation.name();
            if reports.last().is_none_or(|report| report.deviation != name) {
                reports.push(DialectReport {
                    cni: dialect.to_string(),
                    title: dialect.cni.title().to_owned(),
                    deviation: name.to_owned(),
                    what: key.deviation.to_string(),
                    source: key.deviation.source(dialect.cni).to_owned(),
                    connections: 0,
                    differences: Vec::new(),
                });
            }
            if let Some(report) = reports.last_mut() {
                report.connections += 1;
                if report.differences.len() < MOST {
                    report.differences.push(difference);
                }
            }
        }
        reports
    }

    fn difference(&self, key: &DifferenceKey, found: &DialectEffects) -> Option<DialectDifference> {
        (!self.is_gone(&key.subject)).then_some(())?;
        Some(DialectDifference {
            direction: key.direction,
            subject: key.subject.clone(),
            peer: key.peer.clone(),
            protocol: key.protocol,
            port: key.port,
            seen: seen(&found.sums)?,
            upstream: found.upstream,
            enforcer: found.enforcer,
        })
    }

    /// A remark if the cluster runs another enforcer than the one whose reading is applied.
    pub(super) fn enforcer_note(&self) -> Option<String> {
        remark(&recognise(self.inputs.cluster, self.inputs.at)?, self.inputs.dialect)
    }
}

/// Whether policies contain anything that a deviation affects.
fn may_matter(deviation: Deviation, policies: &[&Policy]) -> bool {
    let restricts =
        |direction| policies.iter().any(|policy| matches!(policy.restriction(direction), Restriction::Only(_)));
    let rules = |direction: Direction| {
        policies.iter().flat_map(move |policy| match policy.restriction(direction) {
            Restriction::Only(rules) => rules.as_slice(),
            Restriction::None => &[],
        })
    };
    let blocks = |rule: &Rule| match &rule.peers {
        PeerSet::Everyone => (0, 0),
        PeerSet::AnyOf(matchers) => matchers.iter().fold((0, 0), |(blocks, excepts), matcher| match matcher {
            PeerMatcher::Pods { .. } => (blocks, excepts),
            PeerMatcher::Block { except, .. } => (blocks + 1, excepts + except.len()),
        }),
    };
    let any = |test: &dyn Fn(&Rule) -> bool| Direction::BOTH.into_iter().any(|direction| rules(direction).any(test));
    match deviation {
        Deviation::BlocksLeavePods | Deviation::BlocksLeaveNodes => any(&|rule| blocks(rule).0 > 0),
        Deviation::OwnNodeIsJudged => restricts(Direction::Egress),
        Deviation::ExceptsOfTheRule => any(&|rule| matches!(blocks(rule), (2.., 1..))),
        Deviation::NamedPortsOfTheNamespace => rules(Direction::Egress).any(|rule| rule.ports.has_names()),
        Deviation::EitherEndOnOneNode => restricts(Direction::Egress) && restricts(Direction::Ingress),
    }
}
