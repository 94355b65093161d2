//! The result of judging all audit policies.

use std::sync::Arc;

use foretell_policy::report::data::Evidence;
use foretell_service::contract::PolicySummary;

use crate::judge::assembled::Assembled;
use crate::judge::promotion::Promotion;
use crate::judge::verdicts::Verdicts;
use crate::objects::{AuditPolicy, Unreadable};

/// The result of judging all audit policies.
pub struct Judged {
    /// The cluster that they were judged on.
    pub assembled: Arc<Assembled>,
    /// The policies that the engine can read.
    pub policies: Vec<JudgedPolicy>,
    /// The policies that it cannot read.
    pub refused: Vec<(AuditPolicy, Unreadable)>,
    /// How long and how completely traffic was watched.
    pub evidence: Evidence,
    /// Verdicts on the traffic of the window.
    pub verdicts: Verdicts,
}

/// The result for one audit policy.
#[derive(Clone, Debug)]
pub struct JudgedPolicy {
    /// What it would deny.
    pub summary: PolicySummary,
    /// Whether it can be enforced.
    pub promotion: Promotion,
}
