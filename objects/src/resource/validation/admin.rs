//! Admin policies, checked by the rules of their definitions: bounds of lists and numbers, exactly one of several fields, and
//! the CEL rules.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::model::flow::Direction;
use crate::resource::admin::{Pods, Subject};
use crate::resource::admin_view::{AdminPolicyView, Peer, Peers, Ports, Rule};
use crate::resource::object::fault::FieldError;
use crate::resource::object::path::Path;
use crate::resource::object::{Kind, Object};
use crate::resource::validation::{Strictness, selector};

mod peers;
mod ports;

const PRIORITIES: std::ops::RangeInclusive<i32> = 0..=1000;
const LONGEST_NAME: usize = 100;

/// The policy being checked, and the faults found so far.
struct Check<'a> {
    policy: &'a AdminPolicyView<'a>,
    strictness: Strictness,
    faults: &'a mut Vec<FieldError>,
}

pub(super) fn check(object: &Object, strictness: Strictness, faults: &mut Vec<FieldError>) {
    let Some(policy) = AdminPolicyView::of(object) else { return };
    if policy.kind == Kind::BaselineAdminNetworkPolicy {
        let name = object.metadata().name.as_deref().unwrap_or_default();
        if !name.is_empty() && name != "default" {
            let problem = format!("{name:?}: there is one BaselineAdminNetworkPolicy, and it is named default");
            faults.push(Path::Field(&Path::Root("metadata"), "name").fault(problem));
        }
    }
    let spec = Path::Root("spec");
    let mut check = Check { policy: &policy, strictness, faults };
    check.head(&spec);
    check.subject(policy.subject, &Path::Field(&spec, "subject"));
    for direction in [Direction::Ingress, Direction::Egress] {
        let path = Path::Field(&spec, direction.field());
        let rules = policy.rules(direction);
        check.count(rules.len(), 0..=check.most(), &path);
        for (n, rule) in rules.iter().enumerate() {
            check.rule(rule, &Path::Item(&path, n));
        }
    }
}

impl Check<'_> {
    /// The largest number of items in a list.
    fn most(&self) -> usize {
        if self.policy.kind == Kind::ClusterNetworkPolicy { 25 } else { 100 }
    }

    fn fault(&mut self, path: &Path<'_>, problem: impl Into<String>) {
        self.faults.push(path.fault(problem));
    }

    fn count(&mut self, count: usize, allowed: std::ops::RangeInclusive<usize>, path: &Path<'_>) {
        let (least, most) = (*allowed.start(), *allowed.end());
        if count < least {
            self.fault(path, "an empty list matches nothing: write at least one entry");
        } else if count > most {
            self.fault(path, format!("{count} entries: at most {most} are allowed"));
        }
    }

    fn head(&mut self, spec: &Path<'_>) {
        let (tier, priority) = (self.policy.tier, self.policy.priority);
        if !matches!(tier, "Admin" | "Baseline") {
            self.fault(&Path::Field(spec, "tier"), format!("{tier:?} is not a tier: write Admin or Baseline"));
        }
        if let Some(priority) = priority.filter(|priority| !PRIORITIES.contains(priority)) {
            let (first, last) = (PRIORITIES.start(), PRIORITIES.end());
            let problem = format!("{priority} is not a priority: write a number from {first} to {last}");
            self.fault(&Path::Field(spec, "priority"), problem);
        }
    }

    fn subject(&mut self, subject: &Subject, path: &Path<'_>) {
        match (&subject.namespaces, &subject.pods) {
            (None, None) => self.fault(path, "selects no pods: write namespaces or pods; namespaces: {} selects all"),
            (Some(_), Some(_)) => self.fault(path, "write namespaces or pods, not both"),
            (Some(namespaces), None) => self.selector(namespaces, &Path::Field(path, "namespaces")),
            (None, Some(pods)) => self.pods(pods, &Path::Field(path, "pods")),
        }
    }

    fn selector(&mut self, labels: &LabelSelector, path: &Path<'_>) {
        selector::check(labels, self.strictness, path, self.faults);
    }

    fn pods(&mut self, pods: &Pods, path: &Path<'_>) {
        let namespaces = Path::Field(path, "namespaceSelector");
        match &pods.namespace_selector {
            Some(selector) => self.selector(selector, &namespaces),
            None if self.policy.kind == Kind::ClusterNetworkPolicy => {}
            None => self.fault(&namespaces, "required but missing: {} selects all namespaces"),
        }
        self.selector(&pods.pod_selector, &Path::Field(path, "podSelector"));
    }

    fn rule(&mut self, rule: &Rule<'_>, path: &Path<'_>) {
        if let Some(name) = rule.name.filter(|name| name.chars().count() > LONGEST_NAME) {
            let problem = format!("{} characters: write at most {LONGEST_NAME}", name.chars().count());
            self.fault(&Path::Field(path, "name"), problem);
        }
        let actions = self.policy.actions();
        if !actions.contains(&rule.action) {
            let known = match actions {
                [first, second] => format!("{first} or {second}"),
                [first, second, ..] => format!("{first}, {second} or {}", actions[actions.len() - 1]),
                _ => String::new(),
            };
            let problem = format!("{:?} is not an action of {}: write {known}", rule.action, self.policy.kind);
            self.fault(&Path::Field(path, "action"), problem);
        }
        let (field, count) = match rule.peers {
            Peers::From(peers) => ("from", peers.len()),
            Peers::To(peers) => ("to", peers.len()),
        };
        let peers = Path::Field(path, field);
        self.count(count, 1..=self.most(), &peers);
        for (n, peer) in rule.each_peer().enumerate() {
            self.peer(&peer, &Path::Item(&peers, n));
        }
        self.ports(rule.ports, path);
        self.names_of_ports(rule, path);
    }

    /// Refuses named ports for peers that are not pods, since only pods have named ports.
    fn names_of_ports(&mut self, rule: &Rule<'_>, path: &Path<'_>) {
        let other = |peer: &Peer<'_>| {
            let Peer { nodes, networks, domain_names, .. } = peer;
            nodes.is_some() || networks.is_some() || domain_names.is_some()
        };
        let named = match rule.ports {
            Ports::Any => false,
            Ports::Ports(ports) => ports.iter().any(|port| port.named_port.is_some()),
            Ports::Protocols(ports) => ports.iter().any(|port| port.destination_named_port.is_some()),
        };
        if named && rule.each_peer().any(|peer| other(&peer)) {
            let problem = "nodes, networks and domainNames have no named ports: write their numbers, or another rule";
            self.fault(path, problem);
        }
    }
}

/// Texts that repeat an earlier one, with their indices.
fn repeated(texts: &[String]) -> impl Iterator<Item = (usize, &String)> {
    let mut seen = BTreeSet::new();
    texts.iter().enumerate().filter(move |(_, text)| !seen.insert(text.as_str()))
}
