//! Builds the reporter from its arguments and runs it until a signal stops it.

use std::sync::Arc;

use anyhow::Context as _;
use foretell_service::access::Access;
use foretell_service::authority::{Authority, names_of};
use foretell_service::certificate::{self, Nobody, Own};
use foretell_service::evaluator::Evaluator;
use foretell_service::health::Health;
use foretell_service::tasks::Tasks;
use foretell_service::{files, kubernetes, metrics, serve};

use crate::answer::Reporter;
use crate::args::{Args, WebhookArgs};
use crate::github::GitHub;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::webhook::{self, Webhook};
use crate::{catch_up, work};

/// The audience of tokens for the reporter.
pub const AUDIENCE: &str = "foretell-reporter";
/// The Secret in which the reporter keeps its own certificate.
const SECRET: &str = "foretell-reporter-tls";

/// Runs the reporter. Returns after a signal.
///
/// # Errors
/// If it cannot start, or one of its tasks ends unexpectedly.
pub fn run_until_asked_to_stop(args: Args) -> anyhow::Result<()> {
    args.log.begin()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { run(args, Tasks::new()?).await })
}

/// Runs the reporter as a part of these tasks.
///
/// # Errors
/// If it cannot start, or one of the tasks ends unexpectedly.
pub async fn run(args: Args, mut tasks: Tasks) -> anyhow::Result<()> {
    let Args { listen, access_token_file, github, webhook, judging, evaluator, tls, log: _ } = args;
    let WebhookArgs { webhook_secret_file: secret_file, most_waiting } = webhook;
    kubernetes::use_one_tls_provider();
    // A missing file must be reported on start, not at the first delivery.
    files::read_token(&secret_file).context("cannot read the webhook secret")?;
    files::read(&github.github_key_file).context("cannot read the private key of the GitHub App")?;

    let registered = metrics::Metrics::default();
    let metrics = Metrics::register(&registered);
    let health = Health::default();
    let queue = Arc::new(Queue::new(most_waiting as usize));
    let github = GitHub::new(github, metrics.clone());
    let reporter = Arc::new(Reporter::new(github, Evaluator::new(evaluator), judging, metrics.clone()));
    let stop = tasks.stop();

    let client =
        if access_token_file.is_some() && tls.files().is_some() { None } else { Some(kubernetes::client().await?) };
    let access = match (access_token_file, &client) {
        (None, Some(client)) => Access::by_cluster(client.clone(), AUDIENCE),
        (Some(file), _) => Access::by_token_file(file),
        (None, None) => {
            anyhow::bail!("without a cluster, --access-token-file is required to control access to metrics")
        }
    };
    let namespace = kubernetes::own_namespace().unwrap_or_else(|| "foretell".to_owned());
    let names = names_of("foretell-reporter", &namespace);
    let shown = certificate::until_there_is_one(&names, &health)?;
    match (tls.files(), client) {
        (Some(files), _) => {
            tasks.spawn("the certificate", certificate::of_files(files, shown.clone(), health.clone(), stop.clone()));
        }
        (None, Some(client)) => {
            let authority = Authority::new(client, &namespace, SECRET, names);
            let own = Own { authority, trusting: Nobody, health: health.clone() };
            tasks.spawn("the certificate", own.keep(shown.clone(), stop.clone()));
        }
        (None, None) => anyhow::bail!("without a cluster, --tls-cert-file is required"),
    }

    let hook = Webhook { secret_file, queue: Arc::clone(&queue), metrics: metrics.clone() };
    let routes = serve::health_routes(&health).merge(webhook::routes(Arc::new(hook))).merge(serve::guarded(
        axum::Router::new(),
        registered,
        access,
    ));
    tasks.spawn("serving", serve::serve("reporter", listen, shown, routes, stop.clone()));
    for _ in 0..work::WORKERS {
        let (reporter, queue) = (Arc::clone(&reporter), Arc::clone(&queue));
        tasks.spawn("answering", work::work(reporter, queue, metrics.clone(), stop.clone()));
    }
    tasks.spawn("catching up", catch_up::catch_up(reporter, queue, stop));
    tasks.run().await
}
