//! The report as data: what `foretell check` prints as JSON, and what every other rendering shows.
//!
//! `schemaVersion` is [`SCHEMA_VERSION`]. Within a version fields are added, never renamed or removed, and no value gets
//! another meaning; a reader ignores what it does not know.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::change::plan::IdentityChange;
use crate::cluster::party::Party;
use crate::explain::nearest::NearestRule;
use crate::model::dialect::Dialect;
use crate::model::flow::{Direction, Protocol};
use crate::model::policy_ref::PolicyRef;
use crate::report::denial::DenialId;
use crate::report::dialects::DialectReport;
use crate::report::policies::PolicyReport;

/// Version of the report's JSON form.
pub const SCHEMA_VERSION: u32 = 2;

/// What a change of policies would do to the traffic of a window, and whether it may merge.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of this form.
    pub schema_version: u32,
    /// Whether the change may merge.
    pub decision: Decision,
    /// Exit status of `foretell check`: 0 may merge; 1 blocked or pending; 2 could not decide.
    pub exit_status: u8,
    /// The decision as a sentence.
    pub headline: String,
    /// Why, each a sentence.
    pub reasons: Vec<String>,
    /// The revision or folder that the change is against.
    pub base: String,
    /// The revision or folder of the change.
    pub head: String,
    /// The clock: expiry, ages and the window's end.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Whose meaning of policies it was judged by, as `--cni` takes it: `upstream`, `cilium`, ...
    #[serde(default)]
    #[schemars(with = "String")]
    pub cni: Dialect,
    /// Judged as upstream: connections in use of which a common enforcer makes something else. Nothing of it blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dialects: Vec<DialectReport>,
    /// What the change touches and could not be judged; each makes the decision `undecided`.
    pub undecided: Vec<UndecidedPart>,
    /// Enforced policies that the change adds, changes, removes or promotes.
    pub policies: Vec<PolicyReport>,
    /// Audit policies that the change adds, changes or removes: a preview, which never blocks.
    pub previews: Vec<PolicyReport>,
    /// Workloads, Namespaces and Services of which selectors, rules or clients see something else after the change.
    pub identities: Vec<IdentityChange>,
    /// Exceptions that accept a denial of this report, those that the change itself brings first.
    pub exceptions: Vec<ExceptionReport>,
    /// What is newly denied by the enforced part of the change, in every state: the unresolved ones first, they block.
    pub denials: Vec<Denial>,
    /// Newly allowed connections.
    pub newly_allowed: Vec<Connection>,
    /// How far the answer can be trusted.
    pub evidence: Evidence,
    /// Files of the change that the answer does not speak of.
    pub not_judged: Vec<NotJudgedFile>,
    /// Whatever else is to be said, each a sentence.
    pub notes: Vec<String>,
}

/// Whether a change may merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// Nothing in use is newly denied, as far as is known.
    MayMerge,
    /// It denies traffic in use that nobody has accepted.
    Blocked,
    /// Traffic was not watched for long enough yet.
    Pending,
    /// Something that the answer depends on is not known.
    Undecided,
}

impl Decision {
    /// The exit status that tells it.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::MayMerge => 0,
            Self::Blocked | Self::Pending => 1,
            Self::Undecided => 2,
        }
    }
}

/// Something that the change touches and that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndecidedPart {
    /// Files with document, or what else it is about.
    pub places: Vec<String>,
    /// What and why.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}

/// A file that the answer does not speak of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotJudgedFile {
    /// Path from the root of the repository.
    pub file: String,
    /// Why.
    pub why: String,
}

/// A newly denied connection.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// Its id, the same from run to run and over a promotion.
    pub id: DenialId,
    /// Whether it holds the change up.
    pub state: State,
    /// The policy at which it is laid.
    pub policy: PolicyRef,
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
    /// What was seen of it.
    pub seen: SeenTraffic,
    /// `NoRules`, `UnresolvedPeer` or `NoRuleMatched`; where an administrators' rule denies it, `DeniedByRule`.
    pub reason: String,
    /// The rule that came nearest to allowing it, and what of it failed; absent where there is no rule, or where an
    /// administrators' rule denies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestRule>,
    /// The reason as a sentence that names the rule.
    pub message: String,
    /// What of the change causes it.
    pub cause: CauseReport,
    /// Changed workloads, Namespaces and Services that cause it.
    pub caused_by: Vec<String>,
    /// Exceptions that accept it, `namespace/name`.
    pub accepted_by: Vec<String>,
    /// Exceptions that accepted it and have expired.
    pub expired_exceptions: Vec<String>,
}

/// Whether a denial holds the change up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is in use, and no live exception covers all of that.
    Unresolved,
    /// Live exceptions cover all that is in use.
    Accepted,
    /// It is in use only by guess: which end listens was not seen.
    Guessed,
    /// Only refused and unanswered attempts were seen.
    NotInUse,
    /// The workload that would be denied is gone: nobody is left to be denied.
    Gone,
}

/// What of a change causes a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CauseReport {
    /// A policy that is added or changed.
    Policy,
    /// A policy that allowed it is removed, or no longer does.
    Removal,
    /// What selectors see of an end.
    Identity,
}

/// A connection that is told and blocks nothing.
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
    /// What was seen of it.
    pub seen: SeenTraffic,
    /// What lets it pass; of a connection that is denied already, who denies it.
    pub note: String,
}

/// What was seen of a connection in the window. Seen at both ends it counts once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenTraffic {
    /// Established connections and answered exchanges of datagrams.
    pub in_use: u64,
    /// The same, where which end listens was guessed.
    pub guessed: u64,
    /// Refused attempts.
    pub refused: u64,
    /// Unanswered attempts.
    pub unanswered: u64,
    /// Packets, of all of these.
    pub packets: u64,
    /// Bytes, of all of these.
    pub bytes: u64,
    /// When the first was seen; of those in use, if any are.
    #[schemars(with = "String")]
    pub first_seen: Timestamp,
    /// When the last was seen; of those in use, if any are.
    #[schemars(with = "String")]
    pub last_seen: Timestamp,
}

/// An exception that accepts a denial.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionReport {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Why it accepts.
    pub reason: String,
    /// From when it does so no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// Whether the change itself brings or alters it.
    pub in_change: bool,
    /// The denials that it accepts.
    pub accepts: Vec<DenialId>,
}

/// How far the answer can be trusted.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Whether anything is known of who watched: `false` where no report and no flow names a node.
    pub known: bool,
    /// Start of the window.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// End of the window.
    #[schemars(with = "String")]
    pub to: Timestamp,
    /// How long the subjects' nodes must have been watched, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_seconds: Option<i64>,
    /// Flows of the window.
    pub flows: u64,
    /// Flows that were given and lie outside it.
    pub flows_outside_window: u64,
    /// Lines that could not be read and were skipped.
    pub bad_lines: u64,
    /// Distinct connections of the window between pods and addresses.
    pub distinct: u64,
    /// Of these: with an end that is a pod of which the snapshot knows nothing.
    pub unresolved: u64,
    /// Running pods that the enforced part of the change concerns.
    pub subjects: u64,
    /// Nodes that were watched, or that run pods which the change concerns.
    pub nodes: Vec<NodeEvidence>,
}

/// What is known of one node.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeEvidence {
    /// Its name.
    pub node: String,
    /// Pods on it that an enforced change concerns.
    pub subjects: u64,
    /// First watched; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// Last watched; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// How long it was watched, gaps left out.
    pub watched_seconds: i64,
    /// Interruptions.
    pub gaps: u64,
    /// What was lost in the window, by cause.
    pub lost: BTreeMap<String, u64>,
}

impl Report {
    /// The unresolved denials: what blocks.
    pub fn unresolved(&self) -> impl Iterator<Item = &Denial> {
        self.denials.iter().filter(|denial| denial.state == State::Unresolved)
    }

    /// The JSON Schema of the report.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}
