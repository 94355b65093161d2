//! Connections and denials, as the report lists them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::party::Party;
use crate::explain::nearest::NearestRule;
use crate::report::denial::DenialId;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::policy_ref::PolicyRef;

/// A newly denied connection.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// Its id. It stays the same from run to run, and when the audit policy is promoted.
    pub id: DenialId,
    /// Whether it blocks.
    pub state: State,
    /// The policy that the denial is attributed to.
    pub policy: PolicyRef,
    /// Direction, seen from the subject.
    pub direction: Direction,
    /// The workload that the policy restricts.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
    /// The traffic of the window.
    pub seen: SeenTraffic,
    /// `NoRules`, `UnresolvedPeer` or `NoRuleMatched`; `DeniedByRule` if a rule of an admin policy denies it.
    pub reason: String,
    /// The rule that came nearest to allowing it, and which part of it did not match. Absent if there is no rule, or if a rule of
    /// an admin policy denies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestRule>,
    /// The reason in a few words, for a table: `ingress[0]: namespace label team=shop, not ops`. Empty in reports of versions
    /// that did not write it.
    #[serde(default)]
    pub summary: String,
    /// The reason as a sentence that names the rule.
    pub message: String,
    /// Which part of the change causes it.
    pub cause: CauseReport,
    /// Changed workloads, Namespaces and Services that cause it, each with its differences.
    pub caused_by: Vec<String>,
    /// Exceptions that accept it, `namespace/name`.
    pub accepted_by: Vec<String>,
    /// Expired exceptions that would accept it.
    pub expired_exceptions: Vec<String>,
}

/// Whether a denial blocks. Only [`State::Unresolved`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is in use, and exceptions in force do not cover all of the traffic in use.
    Unresolved,
    /// Exceptions in force cover all of the traffic in use.
    Accepted,
    /// It may be in use: which end listens was not recorded, so the direction is a guess.
    Guessed,
    /// Only refused and unanswered attempts were recorded.
    NotInUse,
    /// The workload that the policy restricts no longer exists.
    Gone,
}

/// Which part of a change causes a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CauseReport {
    /// A policy that is added or changed.
    Policy,
    /// A policy that allowed it is removed, or no longer allows it.
    Removal,
    /// Changed labels, ports or Services: policies see an end differently.
    Identity,
}

/// A connection that the report lists for information. It blocks nothing.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The changed policy.
    pub policy: PolicyRef,
    /// Direction, seen from the subject.
    pub direction: Direction,
    /// The workload that the policy selects.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
    /// The traffic of the window.
    pub seen: SeenTraffic,
    /// The policy and rule that allow it; if it is already denied, the policies that deny it.
    pub note: String,
}

/// The traffic of a connection in the window. What was recorded at both ends counts once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenTraffic {
    /// Established connections and answered exchanges of datagrams.
    pub in_use: u64,
    /// The same, if which end listens is a guess.
    pub guessed: u64,
    /// Refused attempts.
    pub refused: u64,
    /// Unanswered attempts.
    pub unanswered: u64,
    /// Packets of all of these.
    pub packets: u64,
    /// Bytes of all of these.
    pub bytes: u64,
    /// Start of the first connection in use; if none is in use, of the first attempt.
    #[schemars(with = "String")]
    pub first_seen: Timestamp,
    /// End of the last connection in use; if none is in use, of the last attempt.
    #[schemars(with = "String")]
    pub last_seen: Timestamp,
}
