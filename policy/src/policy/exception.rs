//! Compiled exceptions, which decide whether the denial of a flow is accepted.

use jiff::Timestamp;

use crate::policy::flow_question::Question;
use crate::policy::peer::{PeerMatch, PeerSet};
use crate::policy::port::PortSet;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::resource::exception::AuditException;

/// A compiled exception.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Namespace of the exception. It accepts denials at pods of this namespace only.
    pub namespace: String,
    /// Name of the exception.
    pub name: String,
    /// The reason given in its spec.
    pub reason: String,
    /// The exception is effective before this time. `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// Whether the change being judged adds or modifies it.
    pub in_change: bool,
    refers_to: PolicyKind,
    policy_name: String,
    direction: Direction,
    peers: PeerSet,
    ports: PortSet,
}

/// The policy to which a denial is attributed, with the names by which an exception may refer to it.
#[derive(Clone, Copy, Debug)]
pub struct DenyingPolicy<'a> {
    /// The policy.
    pub policy: &'a PolicyRef,
    /// The audit policy that it was promoted from, if it has the annotation `foretell.dev/promoted-from`.
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

    /// Whether it has expired at a time.
    #[must_use]
    pub fn has_expired(&self, at: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= at)
    }

    /// Whether it accepts the denial of a flow by a policy. Its expiry is not checked.
    #[must_use]
    pub fn covers(&self, denying: &DenyingPolicy<'_>, question: &Question<'_>) -> bool {
        self.direction == question.direction
            && self.namespace == question.subject_namespace
            && self.names(denying)
            && self.peers.matches(&question.peer, question.subject_namespace) != PeerMatch::No
            && self.ports.contains(&question.port)
    }

    /// Whether its `policyRef` refers to the policy. An audit policy and the NetworkPolicy promoted from it count as one.
    fn names(&self, denying: &DenyingPolicy<'_>) -> bool {
        let has_its_name = |policy: &&PolicyRef| policy.name == self.policy_name;
        let mut forms = [Some(denying.policy), denying.promoted_from].into_iter().flatten().filter(has_its_name);
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
