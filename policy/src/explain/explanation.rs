//! Whether one connection may be made, with the walk through the tiers at both of its ends: what `foretell explain` prints as
//! JSON, and what its text shows.
//!
//! `schemaVersion` is [`SCHEMA_VERSION`]; within a version fields are added, never renamed or removed.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::end_decision::Permission;
use crate::explain::nearest::RuleMismatch;
use crate::model::dialect::Dialect;
use crate::model::flow::{Direction, Protocol};
use crate::model::policy_ref::PolicyRef;
use crate::policy::tier::TierName;

mod asked;
mod audits;
pub mod ends;
mod sentence;
pub mod walk;

pub use crate::explain::explanation::asked::{ExplainQuery, explain};

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 2;

/// The answer to one question, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Version of this form.
    pub schema_version: u32,
    /// Whether the connection may be made; of pods that differ, of those that fare worst.
    pub answer: Reachability,
    /// Exit status of `foretell explain`: 0 it may, 1 it may not, 2 that cannot be told.
    pub exit_status: u8,
    /// The answer and why, as one sentence.
    pub sentence: String,
    /// Whose meaning of policies it was judged by, as `--cni` takes it: `upstream`, `cilium`, ...
    #[schemars(with = "String")]
    pub cni: Dialect,
    /// What is to be known of it, each a sentence.
    pub notes: Vec<String>,
    /// Who would open the connection.
    pub from: String,
    /// Who would answer.
    pub to: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port that is dialled.
    pub port: u16,
    /// When: pods that live then are meant.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The pods at both ends, in groups that fare alike; those that fare worst first.
    pub cases: Vec<PairGroup>,
    /// What the audit policies that select one of the ends would say if they were promoted, each by itself.
    pub audits: Vec<AuditStep>,
}

/// Whether a connection may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reachability {
    /// It may not.
    No,
    /// That cannot be told.
    Unknown,
    /// It may.
    Yes,
}

impl Reachability {
    /// The exit status that tells it.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Unknown => 2,
        }
    }
}

impl From<Permission> for Reachability {
    fn from(permission: Permission) -> Self {
        match permission {
            Permission::Denied => Self::No,
            Permission::Unknown => Self::Unknown,
            Permission::Allowed => Self::Yes,
        }
    }
}

/// Clients and servers that fare alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairGroup {
    /// Whether these connections may be made.
    pub answer: Reachability,
    /// How many pairs of a client's address and a server's fare so. Of a Service's pods that policies cannot tell apart one
    /// counts.
    pub pairs: u64,
    /// One of the clients: `namespace/Pod/name`, or an address.
    pub client: String,
    /// One of the servers.
    pub server: String,
    /// The port at that server: behind a Service it may be another than the one that is dialled.
    pub port: u16,
    /// What leaves the client.
    pub egress: Walk,
    /// What arrives at the server.
    pub ingress: Walk,
}

/// The walk through the tiers at one end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Walk {
    /// Whether the connection passes this end.
    pub answer: Reachability,
    /// The tier that decides; absent: none does, so that it passes by default, or it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<TierName>,
    /// Why, as part of a sentence.
    pub why: String,
    /// The tiers in their order; none where no policy can select this end.
    pub tiers: Vec<TierStep>,
}

/// What a tier makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierStep {
    /// Which.
    pub tier: TierName,
    /// What it says, where no rule takes the connection of which that is not known.
    pub outcome: TierOutcome,
    /// Its policies that select this end, in the order in which they are asked.
    pub policies: Vec<PolicyStep>,
    /// What else is to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl TierStep {
    /// A tier of which no policy selects this end, or that is not asked.
    pub(crate) fn without_policies(tier: TierName, outcome: TierOutcome) -> Self {
        Self { tier, outcome, policies: Vec::new(), note: None }
    }
}

/// What a tier says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TierOutcome {
    /// It passes for good.
    Accepts,
    /// It is denied for good.
    Denies,
    /// The next tier is to say.
    Passes,
    /// An earlier tier has decided.
    NotAsked,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStep {
    /// Which.
    pub policy: PolicyRef,
    /// Of an admin policy, if its kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// What it says.
    pub outcome: PolicyOutcome,
    /// The rule that allows, takes or may take it: `ingress[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why, as a sentence.
    pub message: String,
    /// Where no rule of a NetworkPolicy allows it: the one that came nearest, and what of it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<RuleMismatch>,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PolicyOutcome {
    /// A rule allows or accepts it.
    Allows,
    /// A rule of an admin policy denies it, or no rule of a NetworkPolicy allows it.
    Denies,
    /// A rule of an admin policy leaves it to the tiers that follow.
    PassesOn,
    /// No rule of an admin policy takes it.
    NoMatch,
    /// Whether a rule takes it is not known.
    Unknown,
    /// No NetworkPolicy can deny it.
    Exempt,
}

/// What an audit policy would say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditStep {
    /// Of which traffic of the end that it selects.
    pub direction: Direction,
    /// What it says, alone.
    #[serde(flatten)]
    pub step: PolicyStep,
    /// The answer if this policy were promoted and all else stayed.
    pub answer_if_promoted: Reachability,
    /// Whether that is another answer.
    pub changes_answer: bool,
}
