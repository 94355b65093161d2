//! A router behind TLS, with health beside it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, bind_rustls};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::info;

use crate::access::{Access, guard};
use crate::health::Health;
use crate::metrics::Metrics;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long requests that are under way may take once the service was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What anybody may ask: whether it lives, and whether it is ready.
pub fn health_routes(health: &Health) -> Router {
    let (ready, healthy) = (health.clone(), health.clone());
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || ready.readyz()))
        .route("/healthz", get(async move || healthy.readyz()))
}

/// Everything else: only who may is let in, to metrics too.
pub fn guarded(routes: Router, metrics: Metrics, access: Access) -> Router {
    routes
        .route("/metrics", get(async move || metrics.render()))
        .layer(axum::middleware::from_fn_with_state(access, guard))
}

/// Serves until it is told to stop, then answers what is under way.
///
/// # Errors
/// Where the address cannot be listened at.
pub async fn serve(
    name: &'static str,
    address: SocketAddr,
    tls: RustlsConfig,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let routes = routes
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT));
    let handle = Handle::new();
    let drain = handle.clone();
    let listening = handle.clone();
    tokio::spawn(async move {
        if let Some(address) = listening.listening().await {
            info!(server.address = %address, "The {name} listens on https://{address}");
        }
    });
    tokio::spawn(async move {
        stop.cancelled().await;
        drain.graceful_shutdown(Some(DRAIN));
    });
    bind_rustls(address, tls)
        .handle(handle)
        .serve(routes.into_make_service())
        .await
        .with_context(|| format!("cannot listen on {address}"))
}
