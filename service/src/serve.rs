//! An HTTPS server with health, metrics and a service's own routes.

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
use crate::tasks::Tasks;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long running requests may take after the service was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A service's HTTPS server.
pub struct Server {
    /// Name of the service, for the log.
    pub name: &'static str,
    /// Address that it listens on.
    pub listen: SocketAddr,
    /// Certificate that it uses.
    pub tls: RustlsConfig,
    /// Health, which everyone may read.
    pub health: Health,
    /// Metrics, which callers with permission may read.
    pub metrics: Metrics,
    /// Who has permission.
    pub access: Access,
}

impl Server {
    /// Starts the server with the service's routes: those that are open to everyone and those that need permission.
    pub fn start(self, open: Router, guarded: Router, tasks: &mut Tasks) {
        let Self { name, listen, tls, health, metrics, access } = self;
        let guarded = guarded
            .route("/metrics", get(async move || metrics.render()))
            .layer(axum::middleware::from_fn_with_state(access, guard));
        let routes = health_routes(&health).merge(open).merge(guarded);
        tasks.spawn("the server", serve(name, listen, tls, routes, tasks.stop()));
    }
}

fn health_routes(health: &Health) -> Router {
    let (ready, healthy) = (health.clone(), health.clone());
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || ready.readyz()))
        .route("/healthz", get(async move || healthy.readyz()))
}

/// Serves until it is asked to stop, then completes the requests that are running.
async fn serve(
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
