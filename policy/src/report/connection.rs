//! Connections and denials, as the report lists them.

use std::net::IpAddr;

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
    /// Direction, seen from the subject.
    pub direction: Direction,
    /// The workload that is restricted.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
    /// The traffic of the window.
    pub seen: SeenTraffic,
    /// If the peer is a range: the addresses of the range that were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<SeenAddresses>,
    /// The policies that the denial is attributed to, each with its reason. The one that is nearest to allowing the connection
    /// comes first. Never empty.
    pub policies: Vec<DenyingPolicy>,
    /// Other policies that restrict the subject and do not allow the connection. An exception for one of them counts as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_policies: Vec<PolicyRef>,
    /// Changed workloads, Namespaces and Services that cause it, each with its differences.
    pub caused_by: Vec<String>,
    /// Exceptions that accept it, `namespace/name`.
    pub accepted_by: Vec<String>,
    /// Expired exceptions that would accept it.
    pub expired_exceptions: Vec<String>,
}

impl Denial {
    /// Adds the policies of another judgement of the same connection. The worse state counts.
    pub fn unite(&mut self, other: Self) {
        self.state = self.state.min(other.state);
        self.policies.extend(other.policies);
        for (own, others) in [
            (&mut self.caused_by, other.caused_by),
            (&mut self.accepted_by, other.accepted_by),
            (&mut self.expired_exceptions, other.expired_exceptions),
        ] {
            let new: Vec<String> = others.into_iter().filter(|it| !own.contains(it)).collect();
            own.extend(new);
        }
        let new: Vec<PolicyRef> =
            other.other_policies.into_iter().filter(|it| !self.other_policies.contains(it)).collect();
        self.other_policies.extend(new);
    }
}

/// A policy that a denial is attributed to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DenyingPolicy {
    /// The policy.
    pub policy: PolicyRef,
    /// Which part of the change causes it.
    pub cause: DenialCause,
    /// `NoRules`, `UnresolvedPeer` or `NoRuleMatched`; `DeniedByRule` if a rule of an admin policy denies it.
    pub reason: String,
    /// The rule that came nearest to allowing it, and which part of it did not match. Absent if there is no rule, or if a rule of
    /// an admin policy denies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestRule>,
    /// The reason in a few words, for a table: `ingress[0]: namespace label team=shop, not ops`.
    pub summary: String,
    /// The reason as a sentence that names the rule.
    pub message: String,
}

/// The addresses of a range that were seen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenAddresses {
    /// How many.
    pub count: u64,
    /// Some of them.
    pub samples: Vec<IpAddr>,
}

/// Whether a denial blocks. Only [`State::Unresolved`] does. The worst is the first.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DenialCause {
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
    /// If the peer is a range: the addresses of the range that were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<SeenAddresses>,
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
