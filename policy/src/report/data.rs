//! The report as data: what `foretell check` prints as JSON, and what every other form of the report is rendered from.
//!
//! `schemaVersion` is [`SCHEMA_VERSION`]. Within a version fields are added, never renamed or removed, and no value changes its
//! meaning. A reader must ignore fields that it does not know.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::change::plan::IdentityChange;
use crate::report::connection::{Connection, Denial, State};
use crate::report::denial::DenialId;
use crate::report::dialects::DialectReport;
use crate::report::policies::{FixReport, PolicyReport};
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::policy_ref::PolicyRef;

/// Version of the report's JSON form.
pub const SCHEMA_VERSION: u32 = 2;

/// What a change would do to the traffic of a window, and whether it may merge.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of the JSON form: [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// Whether the change may merge.
    pub decision: Decision,
    /// Exit status of `foretell check`: 0 may merge; 1 blocked or pending; 2 could not decide.
    pub exit_status: u8,
    /// The decision as a sentence, without a full stop.
    pub headline: String,
    /// What to do next, as a sentence.
    #[serde(default)]
    pub next_step: String,
    /// The reasons for the decision that the headline does not give, each a sentence.
    pub reasons: Vec<String>,
    /// The revision or folder that the change is compared with.
    pub base: String,
    /// The revision or folder of the change.
    pub head: String,
    /// The time that counts as now: the end of the window, and the clock for expiry and ages.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The enforcer whose reading of policies was applied, as `--cni` accepts it: `upstream`, `cilium`, ...
    #[serde(default)]
    #[schemars(with = "String")]
    pub cni: Dialect,
    /// If `cni` is `upstream`: connections in use that a common enforcer would treat differently. Informational; never blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dialects: Vec<DialectReport>,
    /// What the change touches and could not be evaluated. Any entry makes the decision `undecided`.
    pub undecided: Vec<UndecidedPart>,
    /// Enforced policies that the change adds, changes, removes or promotes.
    pub policies: Vec<PolicyReport>,
    /// Audit policies that the change adds, changes or removes, as a preview. Never blocks.
    pub previews: Vec<PolicyReport>,
    /// Workloads, Namespaces and Services that selectors, rules or clients see differently after the change.
    pub identities: Vec<IdentityChange>,
    /// Enforced policies of the base that the snapshot does not hold as the base has them, and that traffic in use contradicts.
    /// They count as the snapshot has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftReport>,
    /// Exceptions that accept a denial of this report. Those that the change adds or alters come first, used or not.
    pub exceptions: Vec<ExceptionReport>,
    /// What the enforced part of the change newly denies, in every state. The unresolved ones come first; they block.
    pub denials: Vec<Denial>,
    /// Changes of policies, and new policies, that together allow the unresolved denials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<FixReport>,
    /// Connections that the change newly allows.
    pub newly_allowed: Vec<Connection>,
    /// How complete the recorded traffic is.
    pub evidence: Evidence,
    /// Files of the change that the report does not cover.
    pub not_judged: Vec<NotJudgedFile>,
    /// Other remarks, each a sentence without a full stop.
    pub notes: Vec<String>,
}

/// Whether a change may merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// No connection in use is newly denied, or exceptions accept each one that is.
    MayMerge,
    /// A connection in use is newly denied, and no exception accepts it.
    Blocked,
    /// The nodes concerned have not been watched for the required time.
    Pending,
    /// Something that the answer depends on is missing, unreadable or not evaluated.
    Undecided,
}

impl Decision {
    /// The exit status of `foretell check` for this decision.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::MayMerge => 0,
            Self::Blocked | Self::Pending => 1,
            Self::Undecided => 2,
        }
    }
}

/// A file of the change that the report does not cover.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotJudgedFile {
    /// Path from the root of the repository.
    pub file: String,
    /// Why it was not evaluated.
    pub why: String,
}

/// An enforced policy of the base that is not in force: the snapshot does not hold it as the base has it, and connections are in use
/// that it would deny.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftReport {
    /// The policy.
    pub policy: PolicyRef,
    /// Its place in the files of the base, as text.
    pub place: String,
    /// Whether the snapshot holds a policy of this name, with another spec.
    pub in_snapshot: bool,
    /// How many connections in use it would deny.
    pub connections: u64,
}

/// An exception that accepts a denial.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionReport {
    /// Namespace of the exception, and of the subjects whose denials it accepts.
    pub namespace: String,
    /// Name of the exception.
    pub name: String,
    /// The reason that its author gives.
    pub reason: String,
    /// When it expires; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// Whether the change adds or alters it.
    pub in_change: bool,
    /// The denials that it accepts.
    pub accepts: Vec<DenialId>,
}

/// How complete the recorded traffic is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Whether it is known which nodes were watched. `false` if no report and no flow names a node.
    pub known: bool,
    /// Start of the window.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// End of the window.
    #[schemars(with = "String")]
    pub to: Timestamp,
    /// How long the nodes of subjects must have been watched, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_seconds: Option<i64>,
    /// Flow records in the window.
    pub flows: u64,
    /// Flow records outside the window, which do not count.
    pub flows_outside_window: u64,
    /// From the start of the first flow record outside the window to the end of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_window: Option<TimeSpan>,
    /// Connections on secondary networks, which are not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_networks: Option<SecondaryNetworks>,
    /// Unreadable lines that were skipped.
    pub bad_lines: u64,
    /// Distinct connections in the window, between pods and addresses.
    pub connections: u64,
    /// Of these: connections with an end that is a pod which is not in the snapshot.
    pub unresolved: u64,
    /// Running pods that the enforced part of the change affects.
    pub subjects: u64,
    /// Nodes that were watched, and nodes that run affected pods.
    pub nodes: Vec<NodeEvidence>,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeSpan {
    /// Its start.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// Its end.
    #[schemars(with = "String")]
    pub to: Timestamp,
}

/// Traffic on networks beside the pods' default network. NetworkPolicies do not hold for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecondaryNetworks {
    /// Names of the networks, as the pods' status has them.
    pub names: Vec<String>,
    /// Distinct connections, between addresses.
    pub connections: u64,
}

/// How one node was watched.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeEvidence {
    /// Name of the node.
    pub node: String,
    /// Pods on it that an enforced change affects.
    pub subjects: u64,
    /// Start of the first watched time; absent: the node was not watched in the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// End of the last watched time; absent: the node was not watched in the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// How long it was watched, without gaps, in seconds.
    pub watched_seconds: i64,
    /// How often watching was interrupted.
    pub gaps: u64,
    /// Events that the agent lost in the window, by cause.
    pub lost: BTreeMap<String, u64>,
}

impl Report {
    /// The denials that block.
    pub fn unresolved(&self) -> impl Iterator<Item = &Denial> {
        self.denials.iter().filter(|denial| denial.state == State::Unresolved)
    }

    /// The JSON Schema of the report.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}
