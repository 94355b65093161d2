//! Assembles the evaluator from its arguments and runs it until it is asked to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use foretell_policy::snapshot::api_resource::RESOURCES;
use foretell_service::access::Access;
use foretell_service::authority::{Authority, service_names};
use foretell_service::certificate::Source;
use foretell_service::contract::AUDIENCE;
use foretell_service::health::Health;
use foretell_service::kubernetes;
use foretell_service::metrics::Metrics;
use foretell_service::serve::Server;
use foretell_service::tasks::Tasks;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::Args;
use crate::ca_config_map::CaConfigMap;
use crate::metrics::EvaluatorMetrics;
use crate::private_postgres::{PrivatePostgres, default_dir};
use crate::reevaluate::reevaluate;
use crate::state::{OBJECTS, POSTGRES, Settings, State};
use crate::status_writer::write_statuses;
use crate::store::Store;
use crate::verdict_table::write_verdicts;
use crate::{api, watch};

/// Pause before a database that does not answer is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often old traffic is deleted from the database.
const FORGET: Duration = Duration::from_mins(10);

/// Runs the evaluator. Returns after it was asked to stop.
///
/// # Errors
/// An argument cannot be used, or a task failed.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { listen, database_url, data_dir, window, min_window, cni, token_file, namespace, service, tls, log } =
        args;
    log.begin()?;
    kubernetes::use_one_tls_provider();
    let mut tasks = Tasks::new()?;
    let stop = tasks.stop();
    let health = Health::default();
    health.set_waiting(POSTGRES, "not connected yet");
    health.set_waiting(OBJECTS, "not listed yet");
    let metrics = Metrics::default();
    let store = match database_url {
        Some(url) => Store::new(&url)?,
        None => private_store(data_dir, &mut tasks)?,
    };
    let settings = Settings { window, min_window, cni };
    let state = State::new(settings, store, health.clone(), EvaluatorMetrics::new(&metrics));
    let client = kubernetes::client().await?;
    let access = Access::new(token_file, AUDIENCE).await?;
    for resource in RESOURCES {
        tasks.spawn("a watch", watch::watch(Arc::clone(&state), client.clone(), resource, stop.clone()));
    }
    tasks.spawn("the evaluation", evaluate(Arc::clone(&state), client.clone(), stop));
    let certificate = match tls.files() {
        Some(files) => Source::Files(files),
        None => self_issued(client, namespace, &service)?,
    };
    let tls = certificate.start(&health, &mut tasks)?;
    let server = Server { name: "evaluator", listen, tls, health, metrics, access };
    server.start(Router::new(), api::routes(state), &mut tasks);
    tasks.run().await
}

fn private_store(data_dir: Option<PathBuf>, tasks: &mut Tasks) -> anyhow::Result<Store> {
    let dir = data_dir.or_else(default_dir).context("--data-dir or --database-url is needed: there is no $HOME")?;
    let private = PrivatePostgres::prepare(&dir)?;
    let store = Store::with_options(private.options());
    let stop = tasks.stop();
    tasks.spawn("the private Postgres", private.run(stop));
    Ok(store)
}

fn self_issued(client: kube::Client, namespace: Option<String>, service: &str) -> anyhow::Result<Source<CaConfigMap>> {
    let namespace = namespace.or_else(kubernetes::own_namespace);
    let namespace = namespace.context("outside a pod, --namespace or --tls-cert-file is needed")?;
    let names = service_names(service, &namespace);
    let authority = Authority::new(client.clone(), &namespace, &format!("{service}-tls"), names);
    let publisher = CaConfigMap { client, namespace, name: format!("{service}-ca") };
    Ok(Source::SelfIssued { authority, publisher })
}

/// Reads the database and then judges. Without the stored traffic the first results would be wrong.
async fn evaluate(state: Arc<State>, client: kube::Client, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        match state.store.open().await {
            Ok(stored) => {
                let rows = stored.window.rows();
                info!(window.rows = rows, "Read {rows} sums of flows from the database");
                state.objects().restore(stored.history);
                *state.window() = stored.window;
                break;
            }
            Err(error) => state.health.set_waiting(POSTGRES, error.to_string()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    state.open();
    state.health.set_ready(POSTGRES);
    state.changed.notify_one();
    let ended = tokio::try_join!(
        reevaluate(Arc::clone(&state), stop.clone()),
        write_verdicts(Arc::clone(&state), stop.clone()),
        write_statuses(Arc::clone(&state), client, stop.clone()),
        forget(state, stop),
    );
    ended.map(|_| ())
}

async fn forget(state: Arc<State>, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(FORGET) => {}
        }
        if let Err(error) = state.store.forget_before(Timestamp::now() - state.settings.window).await {
            warn!(%error, "Cannot delete old traffic from the database: {error}");
        }
    }
}
