//! Exceptions in the form in which they are asked: does one of them accept this flow's denial?

use jiff::Timestamp;

use crate::model::flow::Direction;
use crate::model::policy_ref::{PolicyKind, PolicyRef};
use crate::policy::flow_question::Question;
use crate::policy::peer::{PeerMatch, PeerSet};
use crate::policy::port::PortSet;
use crate::resource::exception::AuditException;

/// A compiled exception.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its namespace: it accepts denials of subjects there.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// From when it accepts nothing any more.
    pub expires_at: Option<Timestamp>,
    /// Whether the change under judgement adds or alters it.
    pub in_change: bool,
    refers_to: PolicyKind,
    policy_name: String,
    direction: Direction,
    peers: PeerSet,
    ports: PortSet,
}

/// The policy that a denial is laid at, as far as exceptions speak of it.
#[derive(Clone, Copy, Debug)]
pub struct DenyingPolicy<'a> {
    /// The policy.
    pub policy: &'a PolicyRef,
    /// The audit policy that it was promoted from, where it says so.
    pub promoted_from: Option<&'a PolicyRef>,
}

impl Exception {
    /// Compiles an exception.
    #[must_use]
    pub fn of(exception: &AuditException, in_change: bool) -> Self {
        let spec = &exception.spec;
        Self {
            namespace: exception.metadata.namespace.clone().unwrap_or_default(),
            name: exception.metadata.name.clone().unwrap_or_default(),
            reason: spec.reason.clone(),
            expires_at: spec.expires_at.as_ref().map(|time| time.0),
            in_change,
            refers_to: spec.policy_ref.kind,
            policy_name: spec.policy_ref.name.clone(),
            direction: spec.direction,
            peers: PeerSet::compile(Some(&spec.peers)),
            ports: PortSet::compile(spec.ports.as_deref()),
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_expired(&self, at: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= at)
    }

    /// Whether it speaks of a flow that a policy denies, whether it has ended or not.
    #[must_use]
    pub fn covers(&self, accused: &DenyingPolicy<'_>, question: &Question<'_>) -> bool {
        self.direction == question.direction
            && self.namespace == question.subject_namespace
            && self.speaks_of(accused)
            && self.peers.matches(&question.peer, question.subject_namespace) != PeerMatch::No
            && self.ports.contains(&question.port)
    }

    /// An audit policy and its enforced form are the same policy to it.
    fn speaks_of(&self, accused: &DenyingPolicy<'_>) -> bool {
        let names = |policy: &&PolicyRef| policy.name == self.policy_name;
        let mut forms = [Some(accused.policy), accused.promoted_from].into_iter().flatten().filter(names);
        match self.refers_to {
            PolicyKind::NetworkPolicy | PolicyKind::AuditNetworkPolicy => forms.any(|policy| {
                matches!(policy.kind, PolicyKind::NetworkPolicy | PolicyKind::AuditNetworkPolicy)
                    && policy.namespace == self.namespace
            }),
            PolicyKind::AuditClusterNetworkPolicy => {
                forms.any(|policy| policy.kind == PolicyKind::AuditClusterNetworkPolicy)
            }
            PolicyKind::AdminNetworkPolicy => forms.any(|policy| policy.kind == PolicyKind::AdminNetworkPolicy),
            PolicyKind::BaselineAdminNetworkPolicy => {
                forms.any(|policy| policy.kind == PolicyKind::BaselineAdminNetworkPolicy)
            }
            PolicyKind::ClusterNetworkPolicy => forms.any(|policy| policy.kind == PolicyKind::ClusterNetworkPolicy),
        }
    }
}
