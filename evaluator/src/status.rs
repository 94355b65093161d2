//! The status of an audit policy.

use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::count;
use foretell_objects::resource::audit::{AuditPolicyStatus, Evaluation, MOST_OFFENDERS, TopOffender};
use foretell_policy::cluster::party::Party;
use foretell_policy::report::connection::Denial;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::Value;

use crate::judge::judged::{Judged, JudgedPolicy};
use crate::judge::promotion::Promotion;
use crate::objects::AuditPolicy;

/// Reason of the condition `Promotable` while traffic has not been watched for long enough.
const INSUFFICIENT_EVIDENCE: &str = "InsufficientEvidence";
/// Most reasons in a message. The API server refuses one longer than 32,768 bytes, and each node may give a reason.
const MOST_REASONS: usize = 5;

/// The status of a policy at `now`; `None`: this generation was not judged yet. `former` is the status that was last written by
/// this process.
pub(crate) fn status(
    judged: &Judged,
    reference: &PolicyRef,
    policy: &AuditPolicy,
    former: Option<&AuditPolicyStatus>,
    now: Timestamp,
) -> Option<AuditPolicyStatus> {
    let known = former.map_or_else(|| conditions(&policy.status), |status| status.conditions.clone());
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let former = known.iter().find(|condition| condition.type_ == kind && condition.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(policy.generation),
            last_transition_time: former
                .map_or_else(|| Time(seconds(now)), |former| former.last_transition_time.clone()),
        }
    };
    let mut refused = judged.refused.iter();
    if let Some((_, refused)) =
        refused.find(|(known, _)| known.uid == policy.uid && known.generation == policy.generation)
    {
        return Some(AuditPolicyStatus {
            observed_generation: Some(policy.generation),
            conditions: vec![
                condition("Ready", "False", "Invalid", &refused.problem),
                condition("Reconciling", "False", "Invalid", ""),
                condition("Stalled", "True", "Invalid", &refused.problem),
                condition("Promotable", "False", "Invalid", "an invalid policy cannot be enforced"),
            ],
            evaluation: None,
        });
    }
    let judged_policy = judged.policies.iter().find(|JudgedPolicy { summary, .. }| {
        summary.uid == policy.uid
            && summary.generation == policy.generation
            && summary.kind == reference.kind.to_string()
            && summary.namespace == reference.namespace
            && summary.name == reference.name
    })?;
    let (promotable, reason, message) = promotable(&judged_policy.promotion);
    Some(AuditPolicyStatus {
        observed_generation: Some(policy.generation),
        conditions: vec![
            condition("Ready", "True", "Evaluated", "the current generation is evaluated"),
            condition("Reconciling", "False", "Evaluated", ""),
            condition("Stalled", "False", "Evaluated", ""),
            condition("Promotable", promotable, reason, &message),
        ],
        evaluation: Some(evaluation(judged, judged_policy)),
    })
}

/// Status, reason and message of the condition `Promotable`.
fn promotable(promotion: &Promotion) -> (&'static str, &'static str, String) {
    match promotion {
        Promotion::Allowed => {
            ("True", "NothingInUseDenied", "enforcing it denies nothing that was in use in the window".to_owned())
        }
        Promotion::Denies { unresolved } => {
            let denials = count(*unresolved, "denial of traffic in use is", "denials of traffic in use are");
            ("False", "UnresolvedDenials", format!("{denials} covered by no exception"))
        }
        Promotion::InsufficientEvidence { reasons } => {
            let shown = reasons.iter().take(MOST_REASONS).map(String::as_str).collect::<Vec<_>>().join(" ");
            let message = match reasons.len().saturating_sub(MOST_REASONS) {
                0 => shown,
                more => format!("{shown} And {more} more."),
            };
            ("Unknown", INSUFFICIENT_EVIDENCE, message)
        }
    }
}

/// Whether two statuses differ at most in what changes with time alone.
pub(crate) fn says_the_same(one: &AuditPolicyStatus, other: &AuditPolicyStatus) -> bool {
    let timeless = |status: &AuditPolicyStatus| {
        let mut status = status.clone();
        if let Some(evaluation) = &mut status.evaluation {
            (evaluation.last_evaluated, evaluation.window_start) = (None, None);
        }
        // Its message says for how long each node has been watched.
        let growing = status.conditions.iter_mut().filter(|condition| condition.reason == INSUFFICIENT_EVIDENCE);
        growing.for_each(|condition| condition.message.clear());
        status
    };
    timeless(one) == timeless(other)
}

fn evaluation(judged: &Judged, policy: &JudgedPolicy) -> Evaluation {
    let summary = &policy.summary;
    let verdicts = summary.verdicts;
    let unresolved = match policy.promotion {
        Promotion::Denies { unresolved } => unresolved,
        Promotion::Allowed | Promotion::InsufficientEvidence { .. } => 0,
    };
    Evaluation {
        last_evaluated: Some(Time(seconds(summary.evaluated_at))),
        window_start: Some(Time(seconds(judged.evidence.from))),
        flows_evaluated: Some(verdicts.allow + verdicts.exempt + verdicts.would_deny),
        flows_would_deny: Some(verdicts.would_deny),
        unresolved_denials: Some(unresolved),
        top_offenders: offenders(&summary.denials),
    }
}

fn offenders(denials: &[Denial]) -> Vec<TopOffender> {
    let mut denials: Vec<&Denial> = denials.iter().filter(|denial| denial.seen.in_use > 0).collect();
    denials.sort_by(|a, b| b.seen.in_use.cmp(&a.seen.in_use).then_with(|| a.id.cmp(&b.id)));
    let offender = |denial: &&Denial| {
        let (src, dst) = match denial.direction {
            Direction::Ingress => (&denial.peer, &denial.subject),
            Direction::Egress => (&denial.subject, &denial.peer),
        };
        TopOffender {
            src_pod: Some(end(src)),
            dst_pod: Some(end(dst)),
            dst_port: Some(denial.port.into()),
            protocol: Some(denial.protocol.to_string()),
            direction: Some(denial.direction.to_string()),
            count: Some(denial.seen.in_use),
        }
    };
    denials.iter().take(MOST_OFFENDERS).map(offender).collect()
}

/// The workload instead of its pods: their names change.
fn end(party: &Party) -> String {
    match party {
        Party::Workload { namespace, kind, name } => format!("{namespace}/{kind}/{name}"),
        Party::Address { cidr, .. } => cidr.addr().to_string(),
        Party::Range { .. } => party.to_string(),
    }
}

fn conditions(status: &Value) -> Vec<Condition> {
    serde_json::from_value(status["conditions"].clone()).unwrap_or_default()
}

/// Rounds down to seconds, the precision of Kubernetes.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use foretell_objects::model::flow::{Flow, Outcome};
    use foretell_policy::report::connection::State;
    use jiff::SignedDuration;
    use serde_json::json;

    use crate::scene::{Scene, at, audit_policy, flow, noon, reference, spec};

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn known(scene: &Scene, name: &str) -> AuditPolicy {
        scene.objects.audit_policies()[&reference(name)].clone()
    }

    fn status_of(scene: &mut Scene, name: &str) -> AuditPolicyStatus {
        let judged = scene.judge(HOUR);
        status(&judged, &reference(name), &known(scene, name), None, noon()).unwrap()
    }

    /// Status and reason of each condition.
    fn conditions_of(status: &AuditPolicyStatus) -> Vec<(&str, &str, &str)> {
        status.conditions.iter().map(|it| (it.type_.as_str(), it.status.as_str(), it.reason.as_str())).collect()
    }

    fn evaluated<'a>(promotable: &'a str, reason: &'a str) -> [(&'a str, &'a str, &'a str); 4] {
        [
            ("Ready", "True", "Evaluated"),
            ("Reconciling", "False", "Evaluated"),
            ("Stalled", "False", "Evaluated"),
            ("Promotable", promotable, reason),
        ]
    }

    #[test]
    fn promotable_needs_evidence_and_no_unresolved_denial() {
        let scene = |callers: &[&str]| {
            Scene::new(&[audit_policy("web", &spec("web", callers))]).flow(&flow("batch", "web", 8080))
        };
        for (mut scene, promotable, reason, message) in [
            (
                scene(&["batch"]).watched("n1", "10:00:00", "12:00:00"),
                "True",
                "NothingInUseDenied",
                "enforcing it denies nothing",
            ),
            (
                scene(&["batch"]).watched("n1", "11:59:00", "12:00:00"),
                "Unknown",
                "InsufficientEvidence",
                "Node n1 was watched for 1m of the required 1h",
            ),
            (scene(&["batch"]), "Unknown", "InsufficientEvidence", ""),
            (
                scene(&[]).watched("n1", "11:59:00", "12:00:00"),
                "False",
                "UnresolvedDenials",
                "1 denial of traffic in use is covered by no exception",
            ),
        ] {
            let status = status_of(&mut scene, "web");
            assert_eq!(conditions_of(&status), evaluated(promotable, reason));
            let found = &status.conditions[3].message;
            assert!(!found.is_empty() && found.contains(message), "{found}");
            assert!(status.conditions.iter().all(|it| it.observed_generation == Some(1)));
            let evaluation = status.evaluation.unwrap();
            assert_eq!(evaluation.unresolved_denials, Some(u64::from(promotable == "False")));
            assert_eq!(evaluation.flows_evaluated, Some(1));
        }
    }

    #[test]
    fn an_invalid_policy_is_stalled_and_not_promotable() {
        let mut broken = audit_policy("web", &spec("web", &[]));
        broken["spec"]["policyTypes"] = json!(["Sideways"]);
        let status = status_of(&mut Scene::new(&[broken]), "web");
        let expected = [
            ("Ready", "False", "Invalid"),
            ("Reconciling", "False", "Invalid"),
            ("Stalled", "True", "Invalid"),
            ("Promotable", "False", "Invalid"),
        ];
        assert_eq!(conditions_of(&status), expected);
        assert!(status.conditions[0].message.contains("Sideways") && status.evaluation.is_none());
    }

    #[test]
    fn a_generation_or_an_object_that_was_not_judged_has_no_status() {
        let mut scene = Scene::new(&[audit_policy("web", &spec("web", &[]))]);
        let judged = scene.judge(HOUR);
        let policy = known(&scene, "web");
        let is_known =
            |reference: &PolicyRef, policy: &AuditPolicy| status(&judged, reference, policy, None, noon()).is_some();
        assert!(is_known(&reference("web"), &policy));
        assert!(!is_known(&reference("web"), &AuditPolicy { generation: 2, ..policy.clone() }));
        assert!(!is_known(&reference("web"), &AuditPolicy { uid: "another".to_owned(), ..policy.clone() }));
        assert!(!is_known(&reference("other"), &policy));
    }

    #[test]
    fn a_condition_keeps_its_transition_time_while_its_status_stays() {
        let mut scene = Scene::new(&[audit_policy("web", &spec("web", &[]))]);
        let judged = scene.judge(HOUR);
        let mut policy = known(&scene, "web");
        let earlier = "2026-11-20T00:00:00Z";
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "It", "message": "", "lastTransitionTime": earlier});
        policy.status = json!({"conditions": [condition("Ready", "True"), condition("Stalled", "True")]});
        let first = status(&judged, &reference("web"), &policy, None, at("12:00:00.5")).unwrap();
        let times = |status: &AuditPolicyStatus| -> Vec<String> {
            status.conditions.iter().map(|it| it.last_transition_time.0.to_string()).collect()
        };
        let now = "2026-11-21T12:00:00Z";
        assert_eq!(times(&first), [earlier, now, now, now], "Ready stays, Stalled changes, the others are new");
        let second = status(&judged, &reference("web"), &policy, Some(&first), at("13:00:00")).unwrap();
        assert_eq!(times(&second), times(&first), "the status that this process wrote counts");
    }

    #[test]
    fn a_status_is_written_again_only_if_more_than_time_has_passed() {
        let mut scene = Scene::new(&[audit_policy("web", &spec("web", &["batch"]))])
            .flow(&flow("batch", "web", 8080))
            .watched("n1", "11:59:00", "12:00:00");
        let before = status_of(&mut scene, "web");
        let mut later = before.clone();
        let evaluation = later.evaluation.as_mut().unwrap();
        (evaluation.last_evaluated, evaluation.window_start) = (Some(Time(at("13:00:00"))), Some(Time(noon())));
        later.conditions[3].message = "Node n1 was watched for 1h 1m".to_owned();
        assert!(says_the_same(&before, &later));
        let mut changed = before.clone();
        changed.conditions[0].message = "another".to_owned();
        assert!(!says_the_same(&before, &changed), "another message");
        let mut changed = before.clone();
        changed.evaluation.as_mut().unwrap().flows_would_deny = Some(1);
        assert!(!says_the_same(&before, &changed), "another count");
        let mut scene = scene.watched("n1", "10:00:00", "12:00:00");
        assert!(!says_the_same(&before, &status_of(&mut scene, "web")), "promotable now");
    }

    #[test]
    fn a_message_lists_a_few_reasons_and_the_number_of_the_others() {
        let reasons = |count: usize| (0..count).map(|number| format!("R{number}.")).collect();
        let message = |count| promotable(&Promotion::InsufficientEvidence { reasons: reasons(count) }).2;
        assert_eq!(message(1), "R0.");
        assert_eq!(message(5), "R0. R1. R2. R3. R4.");
        assert_eq!(message(7), "R0. R1. R2. R3. R4. And 2 more.");
    }

    #[test]
    fn offenders_are_the_denials_in_use_with_the_most_connections_first() {
        let often = Flow { connections: 9, ..flow("scraper", "web", 81) };
        let refused = Flow { outcome: Some(Outcome::Refused), ..flow("batch", "web", 82) };
        let mut scene = Scene::new(&[audit_policy("web", &spec("web", &[]))])
            .flow(&flow("batch", "web", 80))
            .flow(&often)
            .flow(&refused)
            .flow(&flow("elsewhere", "web", 83));
        let judged = scene.judge(HOUR);
        let denials = &judged.policies[0].summary.denials;
        assert!(denials.iter().any(|denial| denial.state == State::NotInUse), "{denials:?}");
        let found = offenders(denials);
        let ends: Vec<_> = found
            .iter()
            .map(|it| (it.src_pod.as_deref().unwrap(), it.dst_pod.as_deref().unwrap(), it.dst_port, it.count))
            .collect();
        assert_eq!(ends[0], ("shop/Pod/scraper", "shop/Pod/web", Some(81), Some(9)));
        assert_eq!(ends.len(), 3, "a refused attempt is not in use");
        assert!(ends.contains(&("203.0.113.9", "shop/Pod/web", Some(83), Some(3))));
        let many: Vec<Denial> = std::iter::repeat_n(denials[0].clone(), MOST_OFFENDERS + 1).collect();
        assert_eq!(offenders(&many).len(), MOST_OFFENDERS);
    }
}
