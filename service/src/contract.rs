//! What the evaluator's HTTP API takes and gives, beside what `foretell-policy` defines: flows, previews and reports.

use foretell_policy::model::flow::{Direction, Protocol};
use foretell_policy::report::data::{Denial, Evidence, NodeEvidence};
use foretell_policy::report::policies::Verdicts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The audience of tokens for the evaluator.
pub const AUDIENCE: &str = "foretell-evaluator";

/// Header: which agent sends, which is its node's name.
pub const AGENT: &str = "foretell-agent";
/// Header: which run of it, so that a number means one batch.
pub const BOOT: &str = "foretell-boot";
/// Header: the batch's number in this run, from 1. Batches come in order; one that comes again counts once.
pub const SEQUENCE: &str = "foretell-sequence";

/// Answer to `POST /v1/flows`: the batch is in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Flows in it.
    pub flows: u64,
    /// Reports in it.
    pub reports: u64,
    /// Whether it had been counted before, and was not now.
    pub duplicate: bool,
}

/// `GET /v1/policies`: an audit policy, judged alone over what is enforced.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySummary {
    /// `AuditNetworkPolicy` or `AuditClusterNetworkPolicy`.
    pub kind: String,
    /// Its namespace; empty for a cluster policy.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The generation that was judged.
    pub generation: i64,
    /// When.
    pub evaluated_at: Timestamp,
    /// Running pods that it selects.
    pub selected_pods: u64,
    /// Relations in use, by what it says of them.
    pub verdicts: Verdicts,
    /// What enforcing it would newly deny.
    pub denials: Vec<Denial>,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// `GET /v1/denials`: a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DenialPage {
    /// Ordered by id.
    pub denials: Vec<Denial>,
    /// What to ask for with `cursor` for the next page; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/evidence`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceAnswer {
    /// How far answers can be trusted.
    pub evidence: Evidence,
    /// The nodes.
    pub nodes: Vec<NodeEvidence>,
}

/// A row of `GET /audit/verdicts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "kguardian's names, of which each says what it is")]
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
    /// When it was seen last.
    pub observed_at: Timestamp,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// Connections.
    pub count: u64,
}
