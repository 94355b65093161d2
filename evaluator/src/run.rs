//! Puts the evaluator together from its arguments and runs it until it is asked to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use foretell_service::access::Access;
use foretell_service::authority::{Authority, names_of};
use foretell_service::certificate::{self, Own};
use foretell_service::contract::AUDIENCE;
use foretell_service::health::Health;
use foretell_service::kubernetes;
use foretell_service::metrics::Metrics;
use foretell_service::serve::{guarded, health_routes, serve};
use foretell_service::tasks::Tasks;
use foretell_service::tls::CertificateFiles;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::Args;
use crate::certificate::Authorities;
use crate::metrics::EvaluatorMetrics;
use crate::private_postgres::{self, PrivatePostgres};
use crate::state::{OBJECTS, POSTGRES, State};
use crate::store::Store;
use crate::{api, judge, status, verdicts, watch};

/// How often the database is asked for where it does not answer.
const RETRY: Duration = Duration::from_secs(1);
/// How often what is too old is removed from the database.
const FORGET: Duration = Duration::from_mins(10);

/// Runs the evaluator.
///
/// # Errors
/// Where the arguments cannot be used, or a part of it ends unasked.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { listen, database_url, data_dir, window, cni, token_file, namespace, service, tls, log } = args;
    log.begin()?;
    kubernetes::use_one_tls_provider();
    let mut tasks = Tasks::new()?;
    let stop = tasks.stop();
    let health = Health::default();
    health.waits_for(POSTGRES, "not asked yet");
    health.waits_for(OBJECTS, "nothing is listed yet");
    let metrics = Metrics::default();
    let store = if let Some(url) = database_url {
        Store::new(&url)?
    } else {
        let dir = data_dir.or_else(private_postgres::default_dir).context("--data-dir or --database-url is needed")?;
        let private = PrivatePostgres::prepare(&dir)?;
        let store = Store::at(private.options());
        tasks.spawn("its own Postgres", private.run(stop.clone()));
        store
    };
    let state = State::new(window, cni, store, health.clone(), EvaluatorMetrics::new(&metrics));
    let client = kubernetes::client().await?;
    let access = match token_file {
        Some(path) => Access::by_token_file(path),
        None => Access::by_cluster(client.clone(), AUDIENCE),
    };

    for resource in watch::RESOURCES {
        tasks.spawn("a watch", watch::watch(Arc::clone(&state), client.clone(), resource, stop.clone()));
    }
    tasks.spawn("what judges", judge_once_opened(Arc::clone(&state), client.clone(), stop.clone()));
    let shown = certificate(&mut tasks, &health, tls.files(), client, namespace, &service)?;
    let routes = health_routes(&health).merge(guarded(api::routes(state), metrics, access));
    tasks.spawn("the server", serve("evaluator", listen, shown, routes, stop));
    tasks.run().await
}

/// What is shown now, and what keeps it up to date.
fn certificate(
    tasks: &mut Tasks,
    health: &Health,
    files: Option<CertificateFiles>,
    client: kube::Client,
    namespace: Option<String>,
    service: &str,
) -> anyhow::Result<RustlsConfig> {
    let stop = tasks.stop();
    if let Some(files) = files {
        let shown = certificate::until_there_is_one(&["localhost".to_owned()], health)?;
        tasks.spawn("the certificate", certificate::of_files(files, shown.clone(), health.clone(), stop));
        return Ok(shown);
    }
    let namespace = namespace.or_else(kubernetes::own_namespace);
    let namespace = namespace.context("--namespace is needed outside of a pod, or --tls-cert-file")?;
    let names = names_of(service, &namespace);
    let shown = certificate::until_there_is_one(&names, health)?;
    let own = Own {
        authority: Authority::new(client.clone(), &namespace, &format!("{service}-tls"), names),
        trusting: Authorities { client, namespace, name: format!("{service}-ca") },
        health: health.clone(),
    };
    tasks.spawn("the certificate", own.keep(shown.clone(), stop));
    Ok(shown)
}

/// What was kept comes first: judged without it, a week of traffic would be missing.
async fn judge_once_opened(state: Arc<State>, client: kube::Client, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        match state.store.open().await {
            Ok(kept) => {
                info!(window.rows = kept.window.rows(), "Read {} sums of flows from the database", kept.window.rows());
                state.objects().remember(kept.history);
                *state.window() = kept.window;
                break;
            }
            Err(error) => state.health.waits_for(POSTGRES, error.to_string()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    state.opened();
    state.health.has(POSTGRES);
    state.changed.notify_one();
    let (for_judge, for_verdicts, for_status) = (Arc::clone(&state), Arc::clone(&state), Arc::clone(&state));
    let ended = tokio::try_join!(
        judge::judge_on_change(for_judge, stop.clone()),
        verdicts::keep(for_verdicts, stop.clone()),
        status::keep(for_status, client, stop.clone()),
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
        if let Err(error) = state.store.forget_before(Timestamp::now() - state.span).await {
            warn!(%error, "Could not remove old traffic from the database: {error}");
        }
    }
}
