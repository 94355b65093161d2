//! Judges all audit policies over the window.

use std::collections::BTreeMap;
use std::sync::Arc;

use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::resource::object::{Kind, Object};
use foretell_policy::change::revisions::{Change, Place, Sourced};
use foretell_policy::engine::identities::Identities;
use foretell_policy::policy::network_policy::Policy;
use foretell_policy::report::policies::PolicyReport;
use foretell_service::contract::PolicySummary;
use jiff::{SignedDuration, Timestamp};

use crate::judge::assembled::Assembled;
use crate::judge::judged::{Judged, JudgedPolicy};
use crate::judge::promotion::{Subjects, promotion};
use crate::judge::report::{Question, report};
use crate::judge::verdicts::verdicts;
use crate::objects::AuditPolicy;
use crate::window::Window;

/// Judges each audit policy as if it alone were added to the enforced ones: a report on a change that adds them all previews
/// each of them. `min_window` is how long the nodes of its pods must have been watched before a policy can be promoted.
#[must_use]
pub fn judge_policies(
    assembled: Arc<Assembled>,
    window: &Window,
    from: Timestamp,
    min_window: SignedDuration,
    audit_policies: &BTreeMap<PolicyRef, AuditPolicy>,
) -> Judged {
    let change = adding_audit_policies(&assembled.objects);
    let question = Question { change: &change, from, min_window: Some(min_window), preview: None };
    let mut report = report(&assembled, window, &question);
    let previews = std::mem::take(&mut report.previews);
    let identities = Identities::as_recorded(&assembled.cluster);
    let compiled: BTreeMap<PolicyRef, Policy> =
        assembled.objects.iter().filter_map(Policy::of).map(|policy| (policy.reference.clone(), policy)).collect();
    let policies = previews.into_iter().filter_map(|preview| {
        let known = audit_policies.get(&preview.policy)?;
        let subjects = Subjects::of(compiled.get(&preview.policy)?, &assembled.cluster, &identities, assembled.at);
        let promotion = promotion(&report, &preview, &subjects);
        Some(JudgedPolicy { summary: summary(preview, known, assembled.at), promotion })
    });
    let policies = policies.collect();
    let refused = assembled.unreadable.iter().filter_map(|unreadable| {
        let known = audit_policies.get(&unreadable.key.audit_policy()?)?;
        Some((known.clone(), unreadable.clone()))
    });
    let refused = refused.collect();
    let verdicts = verdicts(&assembled, window, audit_policies);
    Judged { policies, refused, evidence: report.evidence, verdicts, assembled }
}

fn adding_audit_policies(objects: &[Object]) -> Change {
    let is_audit_policy =
        |object: &&Object| matches!(object.kind(), Kind::AuditNetworkPolicy | Kind::AuditClusterNetworkPolicy);
    let place = Place { file: "the cluster".to_owned(), document: 1, item: String::new() };
    let sourced = |object: &Object| Sourced { object: object.clone(), place: place.clone() };
    Change { after: objects.iter().filter(is_audit_policy).map(sourced).collect(), ..Change::default() }
}

fn summary(preview: PolicyReport, known: &AuditPolicy, at: Timestamp) -> PolicySummary {
    let PolicyReport { policy, selected_pods, verdicts, denials, notes, .. } = preview;
    PolicySummary {
        kind: policy.kind.to_string(),
        namespace: policy.namespace,
        name: policy.name,
        uid: known.uid.clone(),
        generation: known.generation,
        evaluated_at: at,
        selected_pods,
        verdicts,
        denials,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::scene::{Scene, audit_policy, flow, noon, reference, spec};

    use super::*;

    #[test]
    fn each_policy_is_judged_as_if_it_were_the_only_one() {
        let policies = [audit_policy("web", &spec("web", &[])), audit_policy("all", &spec("web", &["batch"]))];
        let mut scene = Scene::new(&policies).flow(&flow("batch", "web", 8080));
        let judged = scene.judge(SignedDuration::ZERO);
        let found: Vec<_> = judged
            .policies
            .iter()
            .map(|JudgedPolicy { summary, .. }| (summary.name.as_str(), summary.selected_pods, summary.denials.len()))
            .collect();
        assert_eq!(found, [("all", 1, 0), ("web", 1, 1)]);
        let summary = &judged.policies[1].summary;
        assert_eq!((summary.kind.as_str(), summary.namespace.as_str()), ("AuditNetworkPolicy", "shop"));
        assert_eq!((summary.uid.as_str(), summary.generation, summary.evaluated_at), ("uid-web", 1, noon()));
        assert_eq!((summary.verdicts.would_deny, summary.verdicts.newly_denied), (1, 1));
        assert!(judged.refused.is_empty());
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_refused_and_the_others_are_judged() {
        let mut broken = audit_policy("broken", &spec("web", &[]));
        broken["spec"]["policyTypes"] = json!(["Sideways"]);
        let judged = Scene::new(&[audit_policy("web", &spec("web", &[])), broken]).judge(SignedDuration::ZERO);
        assert_eq!(judged.policies.len(), 1);
        let (policy, unreadable) = &judged.refused[0];
        assert_eq!((judged.refused.len(), policy.uid.as_str()), (1, "uid-broken"));
        assert_eq!(unreadable.key.audit_policy(), Some(reference("broken")));
        assert!(unreadable.problem.contains("Sideways"), "{}", unreadable.problem);
    }
}
