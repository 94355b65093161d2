//! The HTTP API.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use foretell_policy::report::data::Report;
use foretell_policy::report::preview::Preview;
use foretell_service::contract::{DenialPage, EvidenceAnswer, PolicySummary, VerdictRow};
use foretell_service::query::parameters;
use foretell_service::refusal::Refusal;
use jiff::Timestamp;

use crate::api::denials::DenialQuery;
use crate::api::flow_question::{FlowQuestion, FlowVerdicts};
use crate::judge::judged::Judged;
use crate::judge::preview::preview;
use crate::state::{POSTGRES, State};
use crate::store;

mod batch;
pub mod denials;
pub mod flow_question;
mod ingest;
pub mod verdicts;

/// Largest body of `/v1/preview` in bytes.
const LARGEST_CHANGE: usize = 32 << 20;
/// Largest body of `/evaluate` in bytes.
const LARGEST_QUESTION: usize = 64 << 10;

/// All routes. They check no permissions.
pub fn routes(state: Arc<State>) -> Router {
    let with_parameters = Router::new().route("/v1/denials", get(denials)).route("/audit/verdicts", get(verdicts));
    let without_parameters = Router::new()
        .route("/v1/flows", post(ingest::flows).layer(DefaultBodyLimit::max(batch::LARGEST)))
        .route("/v1/preview", post(preview_change).layer(DefaultBodyLimit::max(LARGEST_CHANGE)))
        .route("/v1/policies", get(policies))
        .route("/v1/policies/{namespace}/{name}", get(policy))
        .route("/v1/cluster-policies/{name}", get(cluster_policy))
        .route("/v1/evidence", get(evidence))
        .route("/evaluate", post(evaluate_flow).layer(DefaultBodyLimit::max(LARGEST_QUESTION)))
        .route_layer(from_fn(refuse_parameters));
    with_parameters.merge(without_parameters).with_state(state)
}

async fn refuse_parameters(request: Request, next: Next) -> Response {
    match parameters(request.uri().query().unwrap_or_default(), &[]) {
        Ok(_) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn judged(state: &State) -> Result<Arc<Judged>, Refusal> {
    let waiting = || format!("the policies are not judged yet: {}", state.health.waiting().join("; "));
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
    // Before all objects are listed, those that are missing would count as absent.
    let judged = judged(&state)?;
    let window = state.window().clone();
    let kept = state.settings.window;
    let answer = move || preview(&judged.assembled, &window, kept, question, Timestamp::now());
    tokio::task::spawn_blocking(answer).await.map_err(|error| Refusal::internal(&error))?.map(Json)
}

async fn policies(Shared(state): Shared<Arc<State>>) -> Result<Json<Vec<PolicySummary>>, Refusal> {
    let judged = judged(&state)?;
    Ok(Json(judged.policies.iter().map(|policy| policy.summary.clone()).collect()))
}

async fn policy(
    Shared(state): Shared<Arc<State>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<PolicySummary>, Refusal> {
    find(&*judged(&state)?, &namespace, &name)
        .ok_or_else(|| Refusal::not_found(format!("there is no AuditNetworkPolicy {namespace}/{name}")))
}

async fn cluster_policy(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<Json<PolicySummary>, Refusal> {
    find(&*judged(&state)?, "", &name)
        .ok_or_else(|| Refusal::not_found(format!("there is no AuditClusterNetworkPolicy {name}")))
}

fn find(judged: &Judged, namespace: &str, name: &str) -> Option<Json<PolicySummary>> {
    let mut policies = judged.policies.iter().map(|policy| &policy.summary);
    policies.find(|policy| policy.namespace == namespace && policy.name == name).cloned().map(Json)
}

async fn denials(Shared(state): Shared<Arc<State>>, RawQuery(query): RawQuery) -> Result<Json<DenialPage>, Refusal> {
    let query = DenialQuery::read(query.as_deref().unwrap_or_default())?;
    let judged = judged(&state)?;
    let all = judged.policies.iter().flat_map(|policy| &policy.summary.denials);
    Ok(Json(query.page(all)))
}

async fn evidence(Shared(state): Shared<Arc<State>>) -> Result<Json<EvidenceAnswer>, Refusal> {
    let evidence = judged(&state)?.evidence.clone();
    let nodes = evidence.nodes.clone();
    Ok(Json(EvidenceAnswer { evidence, nodes }))
}

async fn verdicts(
    Shared(state): Shared<Arc<State>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<VerdictRow>>, Refusal> {
    let filter = verdicts::read(query.as_deref().unwrap_or_default())?;
    let rows = store::verdicts::select(state.store.pool(), filter).await.map_err(|error| {
        state.health.set_waiting(POSTGRES, error.to_string());
        Refusal::unavailable("the database does not answer; try again")
    })?;
    Ok(Json(rows))
}

async fn evaluate_flow(
    Shared(state): Shared<Arc<State>>,
    body: Result<Json<FlowQuestion>, JsonRejection>,
) -> Result<Json<FlowVerdicts>, Refusal> {
    let question = read(body)?;
    flow_question::answer(&*judged(&state)?, question).map(Json)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use foretell_objects::model::dialect::Dialect;
    use foretell_service::health::Health;
    use foretell_service::metrics::Metrics;
    use foretell_service::refusal::RefusalBody;
    use jiff::SignedDuration;
    use tower::ServiceExt as _;

    use crate::metrics::EvaluatorMetrics;
    use crate::scene::{Scene, audit_policy, flow, spec};
    use crate::state::{OBJECTS, Settings};
    use crate::store::Store;

    use super::*;

    /// The state of an evaluator whose database does not exist.
    fn state() -> Arc<State> {
        let hour = SignedDuration::from_hours(1);
        let settings = Settings { window: hour, min_window: hour, cni: Dialect::UPSTREAM };
        let store = Store::new("postgres://127.0.0.1:1/it").unwrap();
        let (health, metrics) = (Health::default(), EvaluatorMetrics::new(&Metrics::default()));
        health.set_waiting(OBJECTS, "not listed yet");
        State::new(settings, store, health, metrics)
    }

    async fn ask(state: &Arc<State>, method: &str, path: &str) -> (u16, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = routes(Arc::clone(state)).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().into())
    }

    fn error(body: &[u8]) -> String {
        serde_json::from_slice::<RefusalBody>(body).unwrap().error
    }

    #[tokio::test]
    async fn every_route_refuses_unknown_query_parameters_by_name() {
        let state = state();
        for (method, path, known) in [
            ("POST", "/v1/flows", "this path has none"),
            ("POST", "/v1/preview", "this path has none"),
            ("GET", "/v1/policies", "this path has none"),
            ("GET", "/v1/policies/shop/web", "this path has none"),
            ("GET", "/v1/cluster-policies/web", "this path has none"),
            ("GET", "/v1/denials", "policy, namespace, direction"),
            ("GET", "/v1/evidence", "this path has none"),
            ("GET", "/audit/verdicts", "policy, namespace, policy_uid"),
            ("POST", "/evaluate", "this path has none"),
        ] {
            let (status, body) = ask(&state, method, &format!("{path}?namespce=shop")).await;
            let error = error(&body);
            assert_eq!(status, 400, "{path}: {error}");
            assert!(error.contains("namespce") && error.contains(known), "{path}: {error}");
        }
    }

    #[tokio::test]
    async fn before_the_first_evaluation_the_answer_is_503_with_the_missing_parts() {
        let state = state();
        for path in ["/v1/policies", "/v1/policies/shop/web", "/v1/cluster-policies/web", "/v1/denials", "/v1/evidence"]
        {
            let (status, body) = ask(&state, "GET", path).await;
            assert_eq!(status, 503, "{path}");
            assert!(error(&body).contains("waiting for the cluster's objects: not listed yet"), "{path}");
        }
    }

    #[tokio::test]
    async fn policies_and_denials_are_served_from_the_last_evaluation() {
        let state = state();
        let mut scene = Scene::new(&[audit_policy("web", &spec("web", &[]))]).flow(&flow("batch", "web", 80));
        state.judged.store(Some(scene.judge(SignedDuration::ZERO).into()));
        let (status, body) = ask(&state, "GET", "/v1/policies").await;
        let all: Vec<PolicySummary> = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, all.len()), (200, 1));
        let (status, body) = ask(&state, "GET", "/v1/policies/shop/web").await;
        let one: PolicySummary = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, one.name.as_str(), one.denials.len()), (200, "web", 1));
        for path in ["/v1/policies/shop/other", "/v1/policies/other/web", "/v1/cluster-policies/web"] {
            let (status, body) = ask(&state, "GET", path).await;
            assert!(status == 404 && error(&body).starts_with("there is no Audit"), "{path}");
        }
        let (status, body) = ask(&state, "GET", "/v1/denials?namespace=shop&port=80").await;
        let page: DenialPage = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, page.denials.len(), page.next), (200, 1, None));
        let (status, body) = ask(&state, "GET", "/v1/evidence").await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }
}
