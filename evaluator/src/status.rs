//! What the policies' statuses say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foretell_policy::cluster::party::Party;
use foretell_policy::model::flow::Direction;
use foretell_policy::model::words::count;
use foretell_policy::report::data::{Denial, State as DenialState};
use foretell_policy::resource::audit::{AuditPolicyStatus, Evaluation, MOST_OFFENDERS, TopOffender};
use foretell_service::contract::PolicySummary;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::judge::Judged;
use crate::objects::AuditPolicy;
use crate::state::State;

/// How often statuses are looked through.
const EVERY: Duration = Duration::from_secs(1);
/// A status that says nothing new is renewed this rarely: its time tells that the evaluator lives.
const RENEW: Duration = Duration::from_mins(5);
const MANAGER: &str = "foretell-evaluator";

/// Keeps the statuses as it was judged last, until it is told to stop.
///
/// # Errors
/// Never: what the API server does not take is said, and tried again.
pub async fn keep(state: Arc<State>, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
    let mut written: BTreeMap<String, (AuditPolicyStatus, std::time::Instant)> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let Some(judged) = state.judged.load_full() else { continue };
        let audited = state.objects().audited().clone();
        written.retain(|uid, _| audited.values().any(|policy| policy.uid == *uid));
        for (id, policy) in &audited {
            let Some(status) = status(&judged, id, policy, written.get(&policy.uid).map(|it| &it.0)) else { continue };
            let is_known = written
                .get(&policy.uid)
                .is_some_and(|(known, since)| says_the_same(known, &status) && since.elapsed() < RENEW);
            if is_known {
                continue;
            }
            match apply(&client, id, &status).await {
                Ok(()) => {
                    written.insert(policy.uid.clone(), (status, std::time::Instant::now()));
                }
                Err(kube::Error::Api(error)) if error.code == 404 => debug!(policy.name = %id.2, "It is gone"),
                Err(error) => {
                    let (kind, namespace, name) = id;
                    warn!(policy.name = %name, "Cannot write the status of {kind} {namespace}/{name}: {error}");
                }
            }
        }
    }
}

type Id = (String, String, String);

async fn apply(client: &Client, (kind, namespace, name): &Id, status: &AuditPolicyStatus) -> kube::Result<()> {
    let kind = GroupVersionKind::gvk("kguardian.dev", "v1alpha1", kind);
    let plural = if namespace.is_empty() { "auditclusternetworkpolicies" } else { "auditnetworkpolicies" };
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    let api: Api<DynamicObject> = match namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        "status": status,
    });
    api.patch_status(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await.map(|_| ())
}

/// Whether two statuses differ in the time of judging alone.
fn says_the_same(one: &AuditPolicyStatus, other: &AuditPolicyStatus) -> bool {
    let timeless = |status: &AuditPolicyStatus| {
        let mut status = status.clone();
        if let Some(evaluation) = &mut status.evaluation {
            (evaluation.last_evaluated, evaluation.window_start) = (None, None);
        }
        status
    };
    timeless(one) == timeless(other)
}

/// `None`: it was not judged in this generation yet.
fn status(
    judged: &Judged,
    id: &Id,
    policy: &AuditPolicy,
    former: Option<&AuditPolicyStatus>,
) -> Option<AuditPolicyStatus> {
    let known = former.map_or_else(|| conditions(&policy.status), |status| status.conditions.clone());
    let condition = |kind: &str, status: &str, reason: &str, message: String| {
        let former = known.iter().find(|condition| condition.type_ == kind && condition.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: Some(policy.generation),
            last_transition_time: former.map_or_else(|| Time(now()), |former| former.last_transition_time.clone()),
        }
    };
    if let Some((_, refused)) =
        judged.refused.iter().find(|(known, _)| known.uid == policy.uid && known.generation == policy.generation)
    {
        return Some(AuditPolicyStatus {
            observed_generation: Some(policy.generation),
            conditions: vec![
                condition("Ready", "False", "Invalid", refused.problem.clone()),
                condition("Reconciling", "False", "Invalid", String::new()),
                condition("Stalled", "True", "Invalid", refused.problem.clone()),
                condition("Promotable", "False", "Invalid", "an invalid policy cannot be enforced".to_owned()),
            ],
            evaluation: None,
        });
    }
    let (kind, namespace, name) = id;
    let summary = judged.policies.iter().find(|summary| {
        summary.uid == policy.uid
            && summary.generation == policy.generation
            && (&summary.kind, &summary.namespace, &summary.name) == (kind, namespace, name)
    })?;
    let unresolved = summary.denials.iter().filter(|denial| denial.state == DenialState::Unresolved).count() as u64;
    let (promotable, reason, message) = if unresolved == 0 {
        ("True", "NothingInUseDenied", "enforcing it would deny nothing that was in use in the window".to_owned())
    } else {
        let denials = count(unresolved, "denial of traffic in use is", "denials of traffic in use are");
        ("False", "UnresolvedDenials", format!("{denials} covered by no exception"))
    };
    Some(AuditPolicyStatus {
        observed_generation: Some(policy.generation),
        conditions: vec![
            condition("Ready", "True", "Evaluated", "its current generation is evaluated".to_owned()),
            condition("Reconciling", "False", "Evaluated", String::new()),
            condition("Stalled", "False", "Evaluated", String::new()),
            condition("Promotable", promotable, reason, message),
        ],
        evaluation: Some(evaluation(judged, summary, unresolved)),
    })
}

fn evaluation(judged: &Judged, summary: &PolicySummary, unresolved: u64) -> Evaluation {
    let verdicts = summary.verdicts;
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

/// A workload stands for its pods: those of today have other names tomorrow.
fn end(party: &Party) -> String {
    match party {
        Party::Workload { namespace, kind, name } => format!("{namespace}/{kind}/{name}"),
        Party::Address { cidr, .. } => cidr.addr().to_string(),
    }
}

fn conditions(status: &Value) -> Vec<Condition> {
    serde_json::from_value(status["conditions"].clone()).unwrap_or_default()
}

fn now() -> Timestamp {
    seconds(Timestamp::now())
}

/// As exact as Kubernetes keeps it.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
