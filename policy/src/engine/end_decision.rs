//! The joint decision of all policies of a world about a flow at one of its ends.

use crate::engine::policy_id::PolicyId;
use crate::engine::verdict::{Exemption, Reason};
use crate::policy::admin_peer::Unknown;
use crate::policy::tier::{MatchedRule, TierName};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::resource::admin_view::AdminAction;

/// The joint decision of all policies of a world about a flow at one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndDecision {
    /// The end is not a pod, or no policy restricts it.
    Open,
    /// No NetworkPolicy can deny the flow.
    Exempt(Exemption),
    /// A NetworkPolicy allows the flow.
    Allowed {
        /// The policy.
        policy: PolicyId,
        /// Index of the rule that allows it.
        rule: usize,
        /// All policies that allow it do so only by an `ipBlock` that contains the address of a pod or node.
        by_block_alone: bool,
    },
    /// Policies restrict the flow here and none allows it, but a policy allows it at the other end, which the enforcer accepts.
    AllowedAtOtherEnd {
        /// The policy that allows it at the other end.
        policy: PolicyId,
        /// Index of the rule that allows it.
        rule: usize,
    },
    /// NetworkPolicies restrict the flow and none allows it. The reason of each.
    Denied(Vec<(PolicyId, Reason)>),
    /// A rule of an admin policy accepts or denies the flow.
    Ruled(Ruling),
    /// A policy of another tier accepts or denies the flow.
    ByPolicy(Box<PolicyRuling>),
    /// Unknown: the decision depends on whether a rule matches the flow, which recorded traffic does not show.
    Unknown(Box<Undecidable>),
}

impl EndDecision {
    /// Whether the flow is allowed at this end.
    #[must_use]
    pub fn permission(&self) -> Permission {
        match self {
            Self::Open | Self::Exempt(_) | Self::Allowed { .. } | Self::AllowedAtOtherEnd { .. } => Permission::Allowed,
            Self::Denied(_) => Permission::Denied,
            Self::Ruled(ruling) => ruling.permission(),
            Self::ByPolicy(ruling) => ruling.permission,
            Self::Unknown(_) => Permission::Unknown,
        }
    }

    /// Whether the flow is certainly allowed at this end.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.permission() == Permission::Allowed
    }
}

/// Whether a flow is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// The flow is denied.
    Denied,
    /// Recorded traffic does not show whether the flow is allowed.
    Unknown,
    /// The flow is allowed.
    Allowed,
}

impl Permission {
    /// The permission of a flow that has to be allowed at both ends.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }
}

/// Why it is unknown whether a flow is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecidable {
    /// Rules that may match the flow, in the order in which they are evaluated, each with the permission that follows if it is
    /// the first rule that matches. At least one permission differs from that of `otherwise`.
    pub doubts: Vec<(TierName, Doubt, Permission)>,
    /// The decision if none of the rules matches.
    pub otherwise: EndDecision,
}

impl Undecidable {
    /// The first rule that changes the decision if it matches, with its tier.
    #[must_use]
    pub fn first(&self) -> Option<(TierName, Doubt)> {
        let differs = |(_, _, permission): &&(TierName, Doubt, Permission)| *permission != self.otherwise.permission();
        self.doubts.iter().find(differs).or(self.doubts.first()).map(|(tier, doubt, _)| (*tier, *doubt))
    }
}

/// A rule of an admin policy that decides about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The tier of the policy.
    pub tier: TierName,
    /// The rule, and whether it accepts or denies.
    pub matched: MatchedRule,
    /// A rule of equal precedence with a different action. The order of the two is undefined.
    pub tied: Option<MatchedRule>,
}

/// A rule that may match a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The rule, and its action.
    pub matched: MatchedRule,
    /// Why it is unknown whether the rule matches.
    pub why: Unknown,
}

/// A decision of a policy that is neither a NetworkPolicy nor an admin policy. It names the policy, so that a denial can be
/// attributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRuling {
    /// The tier of the policy.
    pub tier: TierName,
    /// The policy that decides.
    pub policy: PolicyRef,
    /// Its decision.
    pub permission: Permission,
    /// Why, as a clause that follows the name of the policy: `10.0.0.0/8 is on its list`.
    pub reason: String,
}

impl Ruling {
    /// Whether the rule allows the flow.
    #[must_use]
    pub fn permission(&self) -> Permission {
        permission(self.matched.action)
    }
}

/// The permission that follows from an action if no later tier decides.
#[must_use]
pub fn permission(action: AdminAction) -> Permission {
    match action {
        AdminAction::Accept | AdminAction::Pass => Permission::Allowed,
        AdminAction::Deny => Permission::Denied,
    }
}
