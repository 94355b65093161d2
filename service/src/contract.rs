//! Wire types of the evaluator's HTTP API. `foretell-policy` defines the rest: flows, previews and reports.

use foretell_objects::model::flow::{Direction, Protocol};
use foretell_policy::report::connection::Denial;
use foretell_policy::report::data::{Evidence, NodeEvidence};
use foretell_policy::report::policies::Verdicts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Audience of tokens for the evaluator.
pub const AUDIENCE: &str = "foretell-evaluator";

/// Header: the agent that sends a batch, by its node's name.
pub const AGENT: &str = "foretell-agent";
/// Header: the run of the agent. A sequence number identifies one batch of a run.
pub const BOOT: &str = "foretell-boot";
/// Header: the batch's number in this run, from 1. Batches arrive in order; a repeated one counts once.
pub const SEQUENCE: &str = "foretell-sequence";

/// Answer to `POST /v1/flows`. The batch is in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Number of flows in the batch.
    pub flows: u64,
    /// Number of node reports in the batch.
    pub reports: u64,
    /// Whether the batch was counted before; it is not counted again.
    pub duplicate: bool,
}

/// `GET /v1/policies`: an audit policy, judged as if it alone were added to the enforced policies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySummary {
    /// `AuditNetworkPolicy` or `AuditClusterNetworkPolicy`.
    pub kind: String,
    /// Namespace; empty for a cluster policy.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// The generation that was judged.
    pub generation: i64,
    /// When it was judged.
    pub evaluated_at: Timestamp,
    /// Number of running pods that it selects.
    pub selected_pods: u64,
    /// Connections in use, by the policy's verdict.
    pub verdicts: Verdicts,
    /// What enforcing it would newly deny.
    pub denials: Vec<Denial>,
    /// Further remarks, each a sentence.
    pub notes: Vec<String>,
}

/// `GET /v1/denials`: a page of denials.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DenialPage {
    /// Ordered by id.
    pub denials: Vec<Denial>,
    /// Value of `cursor` for the next page; absent: this is the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/evidence`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceAnswer {
    /// How long and how completely traffic was watched.
    pub evidence: Evidence,
    /// The same for each node.
    pub nodes: Vec<NodeEvidence>,
}

/// A row of `GET /audit/verdicts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "column names of kguardian's table")]
pub struct VerdictRow {
    pub id: i64,
    pub policy_uid: String,
    pub policy_generation: i64,
    pub policy_namespace: String,
    pub policy_name: String,
    pub direction: Direction,
    pub src_namespace: Option<String>,
    pub src_pod: Option<String>,
    pub src_ip: String,
    pub dst_namespace: Option<String>,
    pub dst_pod: Option<String>,
    pub dst_ip: String,
    pub dst_port: u16,
    pub protocol: Protocol,
    pub reason: String,
    /// `Allow` or `WouldDeny`.
    pub verdict: String,
    /// When the traffic was last seen.
    pub observed_at: Timestamp,
    /// When the traffic was first seen.
    pub first_seen: Timestamp,
    /// Number of connections.
    pub count: u64,
}
