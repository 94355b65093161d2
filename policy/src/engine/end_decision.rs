//! What all policies of a world together decide about a flow at one of its ends.

use crate::engine::verdict::{Exemption, Reason};
use crate::model::policy_id::PolicyId;
use crate::model::policy_ref::PolicyRef;
use crate::policy::admin_peer::Unknown;
use crate::policy::tier::{MatchedRule, TierName};
use crate::resource::admin::view::AdminAction;

/// What all policies of a world together make of a flow, at one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndDecision {
    /// No pod that policies select stands there, or none restricts it.
    Open,
    /// No policy can deny it.
    Exempt(Exemption),
    /// This policy allows it.
    Allowed {
        /// Which.
        policy: PolicyId,
        /// By which of its rules.
        rule: usize,
        /// No policy allows it but by an `ipBlock` that takes in a pod or a node.
        by_block_alone: bool,
    },
    /// Policies restrict it here and none allows it; but this one allows it at the other end, which is enough for the enforcer.
    AllowedAtOtherEnd {
        /// Which.
        policy: PolicyId,
        /// By which of its rules.
        rule: usize,
    },
    /// Policies restrict it and none allows it.
    Denied(Vec<(PolicyId, Reason)>),
    /// A rule of an admin policy accepts or denies it.
    Ruled(Ruling),
    /// A policy of another tier accepts or denies it.
    ByPolicy(Box<PolicyRuling>),
    /// It cannot be told: that depends on whether a rule takes the flow, which traffic does not tell.
    Unknown(Box<Undecidable>),
}

impl EndDecision {
    /// Whether the flow passes this end.
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

    /// Whether the flow surely passes this end.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.permission() == Permission::Allowed
    }
}

/// Whether a flow passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// It does not.
    Denied,
    /// That cannot be told.
    Unknown,
    /// It does.
    Allowed,
}

impl Permission {
    /// Whether a flow passes that has to pass both of two ends.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }
}

/// A flow of which it cannot be told whether it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecidable {
    /// Rules that may take it, in the order in which they are asked, each with what becomes of the flow if it is the first
    /// that does. At least one ends otherwise than the rest.
    pub doubts: Vec<(TierName, Doubt, Permission)>,
    /// How the flow stands if none of them takes it.
    pub otherwise: EndDecision,
}

impl Undecidable {
    /// The first doubt on which it depends.
    #[must_use]
    pub fn first(&self) -> Option<(TierName, Doubt)> {
        let differs = |(_, _, permission): &&(TierName, Doubt, Permission)| *permission != self.otherwise.permission();
        self.doubts.iter().find(differs).or(self.doubts.first()).map(|(tier, doubt, _)| (*tier, *doubt))
    }
}

/// A rule that decides about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// In which tier.
    pub tier: TierName,
    /// The rule, and whether it accepts or denies.
    pub taken: MatchedRule,
    /// A rule that says something else and might as well have been asked first.
    pub tied: Option<MatchedRule>,
}

/// A rule that may take a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The rule, and what would be done with the flow.
    pub taken: MatchedRule,
    /// Why it is not known whether it does.
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
    /// What it decides.
    pub permission: Permission,
    /// Why, as a clause that follows the name of the policy: `10.0.0.0/8 is on its list`.
    pub reason: String,
}

impl Ruling {
    /// Whether the flow passes.
    #[must_use]
    pub fn permission(&self) -> Permission {
        permission(self.taken.action)
    }
}

/// What becomes of a flow where nothing comes after an action.
#[must_use]
pub fn permission(action: AdminAction) -> Permission {
    match action {
        AdminAction::Accept | AdminAction::Pass => Permission::Allowed,
        AdminAction::Deny => Permission::Denied,
    }
}
