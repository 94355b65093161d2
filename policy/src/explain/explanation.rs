//! Whether one connection is allowed, with the walk through the tiers at both of its ends. `foretell explain` prints this as JSON
//! and renders its text from it. The entry point is [`query::explain`].
//!
//! `schemaVersion` is [`SCHEMA_VERSION`]; within a version fields are added, never renamed or removed.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::end_decision::Permission;
use crate::explain::nearest::RuleMismatch;
use crate::policy::tier::TierName;
use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::policy_ref::PolicyRef;

mod audits;
pub mod ends;
mod pair_class;
pub mod query;
mod sentence;
pub mod walk;

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 2;

/// The answer to a query, with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Version of this form.
    pub schema_version: u32,
    /// Whether the connection is allowed; if pairs of pods differ, the answer of the worst pair.
    pub answer: Reachability,
    /// Exit status of `foretell explain`: 0 allowed, 1 denied, 2 unknown.
    pub exit_status: u8,
    /// The answer with its reason, as one sentence.
    pub sentence: String,
    /// The enforcer as which policies were read, as `--cni` accepts it: `upstream`, `cilium`, ...
    #[schemars(with = "String")]
    pub cni: Dialect,
    /// Remarks on the answer, each a sentence.
    pub notes: Vec<String>,
    /// The unambiguous name of the client.
    pub from: String,
    /// The unambiguous name of the server.
    pub to: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port that the client connects to.
    pub port: u16,
    /// The time: names refer to pods that run at this time.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The pairs of pods, in groups with the same result, the worst first.
    pub cases: Vec<PairGroup>,
    /// What each audit policy that selects one of the ends would decide if it alone were promoted.
    pub audits: Vec<AuditStep>,
}

/// Whether a connection is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reachability {
    /// It is denied.
    No,
    /// It is unknown whether it is allowed.
    Unknown,
    /// It is allowed.
    Yes,
}

impl Reachability {
    /// The exit status of `foretell explain`.
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

/// Pairs of clients and servers with the same result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairGroup {
    /// Whether these connections are allowed.
    pub answer: Reachability,
    /// The number of pairs of a client's address and a server's. Pods of a Service that policies cannot distinguish count as one.
    pub pairs: u64,
    /// An example of the clients: `namespace/Pod/name`, or an address.
    pub client: String,
    /// An example of the servers.
    pub server: String,
    /// The port at that server. Behind a Service it may differ from the port that the client connects to.
    pub port: u16,
    /// The walk at the client.
    pub egress: Walk,
    /// The walk at the server.
    pub ingress: Walk,
}

/// The walk through the tiers at one end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Walk {
    /// Whether this end allows the connection.
    pub answer: Reachability,
    /// The tier that decides. Absent if no tier decides, so that the connection is allowed by default, or if the answer is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<TierName>,
    /// The reason, as part of a sentence.
    pub why: String,
    /// The tiers in their order; empty if no policy can select this end.
    pub tiers: Vec<TierStep>,
}

/// The answer of a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierStep {
    /// The name of the tier.
    pub tier: TierName,
    /// The tier's answer, assuming that undecidable rules do not match.
    pub outcome: TierOutcome,
    /// Its policies that select this end, in the order in which they are evaluated.
    pub policies: Vec<PolicyStep>,
    /// A remark, for example on two rules whose order is undefined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl TierStep {
    /// A tier without policies that select this end, or one that is not reached.
    pub(crate) fn without_policies(tier: TierName, outcome: TierOutcome) -> Self {
        Self { tier, outcome, policies: Vec::new(), note: None }
    }
}

/// The answer of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TierOutcome {
    /// The connection is allowed at this end.
    Accepts,
    /// The connection is denied.
    Denies,
    /// The next tier decides.
    Passes,
    /// An earlier tier decided.
    NotReached,
}

/// The answer of a policy, in isolation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStep {
    /// The policy.
    pub policy: PolicyRef,
    /// The priority of an admin policy, if its kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Its answer.
    pub outcome: PolicyOutcome,
    /// The rule that allows, matches or may match the connection: `ingress[1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The reason, as a sentence.
    pub message: String,
    /// If no rule of a NetworkPolicy allows the connection: the nearest rule, and why it does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<RuleMismatch>,
}

/// The answer of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PolicyOutcome {
    /// A rule allows or accepts the connection.
    Allows,
    /// A rule of an admin policy denies the connection, or no rule of a NetworkPolicy allows it.
    Denies,
    /// A rule of an admin policy passes the connection on to the next tier.
    PassesOn,
    /// No rule of an admin policy matches.
    NoMatch,
    /// It is unknown whether a rule matches.
    Unknown,
    /// No NetworkPolicy can deny the connection.
    Exempt,
}

/// What an audit policy would decide if it were promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditStep {
    /// The direction in which it restricts the end that it selects.
    pub direction: Direction,
    /// Its answer, in isolation.
    #[serde(flatten)]
    pub step: PolicyStep,
    /// The answer if this policy were promoted and nothing else changed.
    pub answer_if_promoted: Reachability,
    /// Whether that differs from the current answer.
    pub changes_answer: bool,
}
