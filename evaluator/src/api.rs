//! What may be asked, and by which path.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::evaluate;
use foretell_policy::model::flow::{Direction, Endpoint, Flow, Protocol};
use foretell_policy::policy::network_policy::Policy;
use foretell_policy::report::data::{Denial, Report};
use foretell_policy::report::preview::Preview;
use foretell_service::contract::{DenialPage, EvidenceAnswer, PolicySummary};
use foretell_service::query::pairs;
use foretell_service::refusal::Refusal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::judge::{Judged, preview};
use crate::state::State;
use crate::{ingest, verdicts};

/// Bytes of a change.
const LARGEST_CHANGE: usize = 32 << 20;
/// Bytes of one flow that is asked about.
const LARGEST_QUESTION: usize = 64 << 10;
/// Denials on a page where nothing else is asked for, and at most.
const PAGE: (usize, usize) = (100, 1000);

/// Whether a denial is asked for.
type Test = Box<dyn Fn(&Denial) -> bool + Send>;

/// All that is asked of the evaluator; who may is not told here.
pub fn routes(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/flows", post(ingest::flows).layer(DefaultBodyLimit::max(ingest::LARGEST)))
        .route("/v1/preview", post(preview_change).layer(DefaultBodyLimit::max(LARGEST_CHANGE)))
        .route("/v1/policies", get(policies))
        .route("/v1/policies/{namespace}/{name}", get(policy))
        .route("/v1/cluster-policies/{name}", get(cluster_policy))
        .route("/v1/denials", get(denials))
        .route("/v1/evidence", get(evidence))
        .route("/audit/verdicts", get(verdicts::list))
        .route("/evaluate", post(evaluate_one).layer(DefaultBodyLimit::max(LARGEST_QUESTION)))
        .with_state(state)
}

fn judged(state: &State) -> Result<Arc<Judged>, Refusal> {
    let waiting = || format!("nothing is judged yet: {}", state.health.waiting().join("; "));
    state.judged.load_full().ok_or_else(|| Refusal::unavailable(waiting()))
}

fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Refusal> {
    body.map(|Json(body)| body).map_err(|rejection| {
        let status = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        };
        Refusal { status, message: rejection.body_text() }
    })
}

async fn preview_change(
    Shared(state): Shared<Arc<State>>,
    body: Result<Json<Preview>, JsonRejection>,
) -> Result<Json<Report>, Refusal> {
    let question = read(body)?;
    // An evaluator that does not see the cluster, or not all of it, would take what it does not see for absent.
    judged(&state)?;
    let answered = tokio::task::spawn_blocking(move || preview(&state, question)).await;
    answered.map_err(|error| Refusal::internal(&error))?.map(Json)
}

async fn policies(Shared(state): Shared<Arc<State>>) -> Result<Json<Vec<PolicySummary>>, Refusal> {
    Ok(Json(judged(&state)?.policies.clone()))
}

async fn policy(
    Shared(state): Shared<Arc<State>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<PolicySummary>, Refusal> {
    find(&state, &namespace, &name)?
        .ok_or_else(|| Refusal::not_found(format!("there is no AuditNetworkPolicy {namespace}/{name}")))
}

async fn cluster_policy(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<Json<PolicySummary>, Refusal> {
    find(&state, "", &name)?.ok_or_else(|| Refusal::not_found(format!("there is no AuditClusterNetworkPolicy {name}")))
}

/// Before anything was judged it is not known which there are.
fn find(state: &State, namespace: &str, name: &str) -> Result<Option<Json<PolicySummary>>, Refusal> {
    let judged = judged(state)?;
    let mut policies = judged.policies.iter();
    Ok(policies.find(|policy| policy.namespace == namespace && policy.name == name).cloned().map(Json))
}

async fn denials(Shared(state): Shared<Arc<State>>, RawQuery(query): RawQuery) -> Result<Json<DenialPage>, Refusal> {
    let judged = judged(&state)?;
    let query = pairs(query.as_deref().unwrap_or_default());
    let mut limit = PAGE.0;
    let mut tests: Vec<Test> = Vec::new();
    for (name, value) in query {
        let bad = |expected: &str| Refusal::bad_request(format!("{name}: {value:?} is no {expected}"));
        match name.as_str() {
            "policy" => tests.push(Box::new(move |denial| denial.policy.name == value)),
            "namespace" => tests.push(Box::new(move |denial| denial.policy.namespace == value)),
            "direction" => {
                let asked = Direction::BOTH.into_iter().find(|known| known.to_string() == value);
                let asked = asked.ok_or_else(|| bad("direction: write Ingress or Egress"))?;
                tests.push(Box::new(move |denial| denial.direction == asked));
            }
            "port" => {
                let port: u16 = value.parse().map_err(|_| bad("port"))?;
                tests.push(Box::new(move |denial| denial.port == port));
            }
            "peer" => tests.push(Box::new(move |denial| denial.peer.to_string().contains(&value))),
            "state" => tests.push(Box::new(move |denial| {
                serde_json::to_value(denial.state).is_ok_and(|state| state == value.as_str())
            })),
            "cursor" => tests.push(Box::new(move |denial| denial.id.to_string() > value)),
            "limit" => limit = value.parse::<usize>().map_err(|_| bad("number"))?.clamp(1, PAGE.1),
            _ => {}
        }
    }
    let all = judged.policies.iter().flat_map(|policy| &policy.denials);
    let mut found: Vec<Denial> = all.filter(|denial| tests.iter().all(|test| test(denial))).cloned().collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(DenialPage { denials: found, next }))
}

async fn evidence(Shared(state): Shared<Arc<State>>) -> Result<Json<EvidenceAnswer>, Refusal> {
    let evidence = judged(&state)?.evidence.clone();
    let nodes = evidence.nodes.clone();
    Ok(Json(EvidenceAnswer { evidence, nodes }))
}

/// kguardian's question: one flow.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneFlow {
    src_pod_namespace: Option<String>,
    src_pod_name: Option<String>,
    dst_pod_namespace: Option<String>,
    dst_pod_name: Option<String>,
    #[serde(rename = "srcIP")]
    src_ip: Option<IpAddr>,
    #[serde(rename = "dstIP")]
    dst_ip: Option<IpAddr>,
    dst_port: u16,
    protocol: Protocol,
    timestamp: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Results {
    results: Vec<OneResult>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OneResult {
    policy_namespace: String,
    policy_name: String,
    #[serde(rename = "policyUID", skip_serializing_if = "Option::is_none")]
    policy_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_generation: Option<i64>,
    direction: Direction,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn evaluate_one(
    Shared(state): Shared<Arc<State>>,
    body: Result<Json<OneFlow>, JsonRejection>,
) -> Result<Json<Results>, Refusal> {
    let asked = read(body)?;
    let judged = judged(&state)?;
    let assembled = &judged.assembled;
    let end = |side: &str, namespace: Option<String>, name: Option<String>, ip: Option<IpAddr>| {
        let known = namespace.as_ref().zip(name.as_ref()).and_then(|(namespace, name)| {
            let pod = *assembled.cluster.pods_by_name(namespace, name).last()?;
            assembled.cluster.pod(pod).addresses.first().copied()
        });
        let ip = ip.or(known).ok_or_else(|| {
            Refusal::bad_request(format!("{side}: neither an address nor the name of a pod that is known is given"))
        })?;
        Ok::<_, Refusal>(Endpoint { ip, pod_uid: None, namespace, pod: name })
    };
    let at = asked.timestamp.unwrap_or(assembled.at);
    let flow = Flow {
        start: at,
        end: at,
        node: None,
        observed: None,
        src: end("source", asked.src_pod_namespace, asked.src_pod_name, asked.src_ip)?,
        dst: end("destination", asked.dst_pod_namespace, asked.dst_pod_name, asked.dst_ip)?,
        protocol: asked.protocol,
        port: asked.dst_port,
        outcome: None,
        guessed: false,
        connections: 1,
        packets: 0,
        bytes: 0,
    };
    let policies = assembled.objects.iter().filter_map(Policy::of);
    let policies = policies.filter(|policy| !policy.reference.kind.is_enforced()).map(Arc::new).collect();
    let world = World::in_dialect(
        assembled.cni,
        &assembled.cluster,
        Arc::new(Identities::as_recorded(&assembled.cluster)),
        policies,
    );
    let evaluated = evaluate(&world, &flow, 0);
    let mut results = Vec::new();
    let mut said: BTreeSet<(&str, &str, Direction)> = BTreeSet::new();
    let summary = |namespace: &str, name: &str| {
        judged.policies.iter().find(|policy| policy.namespace == namespace && policy.name == name)
    };
    let result = |namespace: &str, name: &str, direction, verdict, reason| {
        let known = summary(namespace, name);
        OneResult {
            policy_namespace: namespace.to_owned(),
            policy_name: name.to_owned(),
            policy_uid: known.map(|policy| policy.uid.clone()),
            policy_generation: known.map(|policy| policy.generation),
            direction,
            verdict,
            reason,
        }
    };
    for line in &evaluated.lines {
        said.insert((&line.policy.namespace, &line.policy.name, line.direction));
        let verdict = crate::verdicts::verdict_name(line.verdict);
        let reason = line.message.clone().or(line.reason.map(str::to_owned));
        results.push(result(&line.policy.namespace, &line.policy.name, line.direction, verdict, reason));
    }
    for policy in &judged.policies {
        for direction in Direction::BOTH {
            if !said.contains(&(policy.namespace.as_str(), policy.name.as_str(), direction)) {
                results.push(result(&policy.namespace, &policy.name, direction, "NotApplicable", None));
            }
        }
    }
    Ok(Json(Results { results }))
}
