//! A compiled admin policy: AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.

use std::fmt;

use ipnet::IpNet;

use crate::policy::admin_peer::{AdminPeerMatch, AdminPeerMatcher, Unknown};
use crate::policy::admin_pods::AdminPods;
use crate::policy::admin_port::AdminPortSet;
use crate::policy::question::AdminQuestion;
use crate::policy::tier::{MatchedRule, TierName};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::labels::Labels;
use foretell_objects::model::list::write_list;
use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::model::words::rule_name;
use foretell_objects::resource::admin_view;
use foretell_objects::resource::admin_view::{AdminAction, AdminPolicyView};
use foretell_objects::resource::object::id::ObjectId;
use foretell_objects::resource::object::{Kind, Object};

/// A compiled admin policy. Traffic that none of its rules matches goes to the next policy: unlike a NetworkPolicy it does not
/// isolate the pods that it selects.
#[derive(Clone, Debug)]
pub struct AdminPolicy {
    /// Kind and name of the policy.
    pub reference: PolicyRef,
    /// The policy's tier: `Admin` or `Baseline`.
    pub tier: TierName,
    /// Its place in the order of its tier.
    pub precedence: Precedence,
    subject: AdminPods,
    ingress: Vec<AdminRule>,
    egress: Vec<AdminRule>,
}

/// The place of a policy in the order of its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precedence {
    /// The policy with the lower number comes first. The order of policies with equal numbers is undefined.
    Priority(i32),
    /// A BaselineAdminNetworkPolicy has no priority. Its order relative to ClusterNetworkPolicies of the tier is undefined.
    Alone,
}

/// A rule: peers and ports must both match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminRule {
    /// What the rule does with traffic that it matches.
    pub action: AdminAction,
    /// The rule matches a peer if one of these does.
    pub peers: Vec<AdminPeerMatcher>,
    /// The destination ports that it matches.
    pub ports: AdminPortSet,
    /// Its name in the manifest.
    pub name: Option<String>,
}

/// The rules of one policy that match a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstMatch {
    /// Index and action of the first rule that certainly matches.
    pub surely: Option<(usize, AdminAction)>,
    /// Rules that may match, in order: those before `surely`, or all if there is none.
    pub perhaps: Vec<(usize, AdminAction, Unknown)>,
}

impl AdminPolicy {
    /// Compiles an object. `None`: it is not an admin policy.
    #[must_use]
    pub fn of(object: &Object) -> Option<Self> {
        let view = AdminPolicyView::of(object)?;
        let ObjectId { name, .. } = object.id();
        let kind = match view.kind {
            Kind::BaselineAdminNetworkPolicy => PolicyKind::BaselineAdminNetworkPolicy,
            Kind::ClusterNetworkPolicy => PolicyKind::ClusterNetworkPolicy,
            _ => PolicyKind::AdminNetworkPolicy,
        };
        let rules = |direction| view.rules(direction).iter().map(AdminRule::compile).collect();
        Some(Self {
            reference: PolicyRef { kind, namespace: String::new(), name },
            tier: if view.tier == "Baseline" { TierName::BASELINE } else { TierName::ADMIN },
            precedence: view.priority.map_or(Precedence::Alone, Precedence::Priority),
            subject: match (&view.subject.namespaces, &view.subject.pods) {
                (Some(namespaces), _) => AdminPods::of_namespaces(namespaces),
                (None, Some(pods)) => AdminPods::compile(pods),
                // Validation refuses a subject without a selector.
                (None, None) => return None,
            },
            ingress: rules(Direction::Ingress),
            egress: rules(Direction::Egress),
        })
    }

    /// Whether it selects a pod of the pod network with these labels in a namespace with `namespace_labels`.
    #[must_use]
    pub fn selects(&self, namespace_labels: &Labels, labels: &Labels) -> bool {
        self.subject.matches(namespace_labels, labels)
    }

    /// The pods that it selects.
    pub(crate) fn subject(&self) -> &AdminPods {
        &self.subject
    }

    /// Whether it may deny some traffic of the pods that it selects: itself, or by keeping a later rule from accepting it.
    #[must_use]
    pub fn can_deny(&self) -> bool {
        self.ingress.iter().chain(&self.egress).any(|rule| rule.action != AdminAction::Accept)
    }

    /// Its rules for a direction.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[AdminRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// All networks in its egress rules.
    pub fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.egress.iter().flat_map(|rule| &rule.peers).flat_map(AdminPeerMatcher::networks).copied()
    }

    /// Evaluates its rules in order. The caller has checked that it selects the subject.
    #[must_use]
    pub fn first_match(&self, question: &AdminQuestion<'_>) -> FirstMatch {
        let mut found = FirstMatch::default();
        for (index, rule) in self.rules(question.direction).iter().enumerate() {
            match rule.matches(question) {
                AdminPeerMatch::Yes => {
                    found.surely = Some((index, rule.action));
                    break;
                }
                AdminPeerMatch::Unknown(why) => found.perhaps.push((index, rule.action, why)),
                AdminPeerMatch::No => {}
            }
        }
        found
    }

    /// A rule's position and, if it has one, its name: `egress[2] "to the outside"`.
    #[must_use]
    pub fn rule_name(&self, direction: Direction, rule: usize) -> String {
        let position = rule_name(direction, rule);
        match self.rules(direction).get(rule).and_then(|rule| rule.name.as_deref()) {
            Some(name) => format!("{position} {name:?}"),
            None => position,
        }
    }

    /// Describes a rule that matches too, where the order of this policy and the deciding one is undefined:
    /// `AdminNetworkPolicy lets, priority 5 accepts it by ingress[0], and the order of the two is not defined`.
    #[must_use]
    pub fn describe_tie(&self, tied: &MatchedRule, direction: Direction) -> String {
        let verb = match tied.action {
            AdminAction::Accept => "accepts it",
            AdminAction::Pass => "passes it on",
            AdminAction::Deny => "denies it too",
        };
        let rule = self.rule_name(direction, tied.by.rule);
        format!("{} {verb} by {rule}, and the order of the two is not defined", self.title())
    }

    /// Kind, name and priority: `AdminNetworkPolicy guard, priority 10`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.precedence {
            Precedence::Priority(priority) => format!("{}, priority {priority}", self.reference),
            Precedence::Alone => self.reference.to_string(),
        }
    }
}

impl AdminRule {
    fn compile(rule: &admin_view::Rule<'_>) -> Self {
        Self {
            action: AdminAction::read(rule.action),
            peers: rule.each_peer().filter_map(|peer| AdminPeerMatcher::compile(&peer)).collect(),
            ports: AdminPortSet::compile(rule.ports),
            name: rule.name.map(str::to_owned),
        }
    }

    fn matches(&self, question: &AdminQuestion<'_>) -> AdminPeerMatch {
        if !self.ports.matches(&question.port) {
            return AdminPeerMatch::No;
        }
        self.peers.iter().map(|peer| peer.matches(question)).max().unwrap_or(AdminPeerMatch::No)
    }

    /// The rule without its name, which has no effect on traffic.
    #[must_use]
    pub fn unnamed(self) -> Self {
        Self { name: None, ..self }
    }
}

/// `every pod of namespaces with team=a, or 10.0.0.0/8 on TCP 443`
impl fmt::Display for AdminRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.peers, ", or ")?;
        write!(f, " on {}", self.ports)
    }
}
