//! Builds the webhook from its arguments and runs it until a signal stops it.

use axum::Router;
use foretell_service::access::Access;
use foretell_service::authority::{Authority, names_of};
use foretell_service::certificate::{self, Own};
use foretell_service::health::Health;
use foretell_service::kubernetes::{client, own_namespace, use_one_tls_provider};
use foretell_service::metrics::Metrics;
use foretell_service::serve::{guarded, health_routes, serve};
use foretell_service::tasks::Tasks;

use crate::args::{Args, PlaceArgs};
use crate::bundle::{Configurations, ServiceName};
use crate::metrics::Reviews;
use crate::replicas::Evaluator;
use crate::server;

/// The audience of tokens for reading metrics.
const AUDIENCE: &str = "foretell-webhook";
const DEFAULT_NAMESPACE: &str = "foretell";

/// Runs the webhook. Returns after a signal, when all pending requests are answered.
///
/// # Errors
/// If it cannot listen, or needs a cluster and there is none. It waits for a certificate or configurations that are missing.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args { listen, metrics_token_file, place, tls, log } = args;
    let PlaceArgs { namespace, service, tls_secret, webhook_configuration, evaluator_name } = place;
    log.begin()?;
    use_one_tls_provider();

    let namespace = namespace.or_else(own_namespace).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let names = names_of(&service, &namespace);
    let service = ServiceName { namespace: namespace.clone(), name: service };
    let (health, metrics) = (Health::default(), Metrics::default());
    let reviews = Reviews::default();
    metrics.register("webhook", |registry| reviews.register(registry));

    let access = match metrics_token_file {
        Some(file) => Access::by_token_file(file),
        None => Access::by_cluster(client().await?, AUDIENCE),
    };
    let mut tasks = Tasks::new()?;
    let shown = certificate::until_there_is_one(&names, &health)?;
    if let Some(files) = tls.files() {
        let keep = certificate::of_files(files, shown.clone(), health.clone(), tasks.stop());
        tasks.spawn("certificate files", keep);
    } else {
        let client = client().await?;
        let own = Own {
            authority: Authority::new(client.clone(), &namespace, &tls_secret, names),
            trusting: Configurations { client, name: webhook_configuration, service, health: health.clone() },
            health: health.clone(),
        };
        tasks.spawn("certificate", own.keep(shown.clone(), tasks.stop()));
    }

    let evaluator = Evaluator { namespace, name: evaluator_name };
    let routes =
        health_routes(&health).merge(server::routes(evaluator, reviews)).merge(guarded(Router::new(), metrics, access));
    tasks.spawn("server", serve("webhook", listen, shown, routes, tasks.stop()));
    tasks.run().await
}
