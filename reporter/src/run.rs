//! Builds the reporter from its arguments and runs it until a signal stops it.

use std::sync::Arc;

use anyhow::Context as _;
use foretell_service::access::Access;
use foretell_service::authority::{Authority, service_names};
use foretell_service::certificate::{NoPublisher, Source};
use foretell_service::evaluator::Evaluator;
use foretell_service::health::Health;
use foretell_service::serve::Server;
use foretell_service::tasks::Tasks;
use foretell_service::{files, kubernetes, metrics};

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

    let access = Access::new(access_token_file, AUDIENCE).await?;
    let certificate = if let Some(files) = tls.files() {
        Source::Files(files)
    } else {
        let namespace = kubernetes::own_namespace().unwrap_or_else(|| "foretell".to_owned());
        let names = service_names("foretell-reporter", &namespace);
        let authority = Authority::new(kubernetes::client().await?, &namespace, SECRET, names);
        Source::SelfIssued { authority, publisher: NoPublisher }
    };
    let tls = certificate.start(&health, &mut tasks)?;

    let hook = Webhook { secret_file, queue: Arc::clone(&queue), metrics: metrics.clone() };
    let server = Server { name: "reporter", listen, tls, health, metrics: registered, access };
    server.start(webhook::routes(Arc::new(hook)), axum::Router::new(), &mut tasks);
    for _ in 0..work::WORKERS {
        let (reporter, queue) = (Arc::clone(&reporter), Arc::clone(&queue));
        tasks.spawn("answering", work::work(reporter, queue, metrics.clone(), stop.clone()));
    }
    tasks.spawn("catching up", catch_up::catch_up(reporter, queue, stop));
    tasks.run().await
}
