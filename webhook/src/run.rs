//! Builds the webhook from its arguments and runs it until a signal stops it.

use axum::Router;
use foretell_service::access::Access;
use foretell_service::authority::{Authority, service_names};
use foretell_service::certificate::Source;
use foretell_service::health::Health;
use foretell_service::kubernetes::{client, own_namespace, use_one_tls_provider};
use foretell_service::metrics::Metrics;
use foretell_service::serve::Server;
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
    let names = service_names(&service, &namespace);
    let service = ServiceName { namespace: namespace.clone(), name: service };
    let (health, metrics) = (Health::default(), Metrics::default());
    let reviews = Reviews::default();
    metrics.register("webhook", |registry| reviews.register(registry));

    let access = Access::new(metrics_token_file, AUDIENCE).await?;
    let mut tasks = Tasks::new()?;
    let certificate = if let Some(files) = tls.files() {
        Source::Files(files)
    } else {
        let client = client().await?;
        Source::SelfIssued {
            authority: Authority::new(client.clone(), &namespace, &tls_secret, names),
            publisher: Configurations { client, name: webhook_configuration, service, health: health.clone() },
        }
    };
    let tls = certificate.start(&health, &mut tasks)?;
    let evaluator = Evaluator { namespace, name: evaluator_name };
    let server = Server { name: "webhook", listen, tls, health, metrics, access };
    server.start(server::routes(evaluator, reviews), Router::new(), &mut tasks);
    tasks.run().await
}
