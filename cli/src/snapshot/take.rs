//! `foretell snapshot`: a live cluster's objects, in the form that the other commands read.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use foretell_policy::model::words::count;
use foretell_policy::snapshot::gone::add_gone;
use foretell_policy::snapshot::text::{Snapshot, counts};
use jiff::SignedDuration;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::connection::{Connection, ConnectionError, connect};
use super::file::{self, FileError};
use super::list::{ListError, list};
use super::request::RequestError;
use super::served::{Served, served};
use crate::args;
use crate::messages::say;
use crate::progress::Progress;
use crate::run::Outcome;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// There is no way to an API server.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A request was not answered.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A list could not be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is of another cluster.
    #[error("{}: is a snapshot of another cluster ({was}), and would lose it to {is}; name another file or --context", path.display())]
    OtherCluster {
        /// Which file.
        path: PathBuf,
        /// The API server that it was taken of.
        was: String,
        /// The one that is asked now.
        is: String,
    },
    /// The system gives no runtime or signals.
    #[error("cannot begin: {0}")]
    Runtime(io::Error),
    /// The snapshot could not be printed.
    #[error("standard output: {0}")]
    Print(io::Error),
    /// It was told to stop.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl Outcome for TakeError {
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs the command and gives back its exit status.
///
/// # Errors
/// [`TakeError`]: nothing is written then.
pub fn run(args: args::Snapshot) -> Result<u8, TakeError> {
    let args::Snapshot { kubeconfig, context, output, append, keep, request_timeout } = args;
    // Before the cluster is asked for anything: a file that cannot be added to is found at once.
    let former = append.as_deref().map(file::read).transpose()?.flatten();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(TakeError::Runtime)?;
    // A credential plugin may ask something: nothing else is shown while it does.
    let connection = runtime.block_on(connect(kubeconfig.as_deref(), context.as_deref()))?;
    let progress = Progress::begin("Asking what there is");
    let taken = runtime.block_on(interruptible(take(&connection, request_timeout, &progress)));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let mut snapshot = taken?;
    if let (Some(path), Some(former)) = (&append, former) {
        progress.next("Adding what has gone");
        add(&mut snapshot, former, path, keep)?;
    }
    progress.next("Writing");
    let told = Told::of(&snapshot);
    let text = snapshot.into_text();
    match append.as_ref().unwrap_or(&output) {
        path if path.as_os_str() == "-" => {
            drop(progress);
            let mut output = io::stdout().lock();
            output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(TakeError::Print)?;
        }
        path => {
            file::replace(path, &text)?;
            drop(progress);
        }
    }
    told.say();
    Ok(0)
}

/// Runs until the work is done or somebody has had enough of it. From then on nothing interrupts: the file is written whole.
async fn interruptible(work: impl Future<Output = Result<Snapshot, TakeError>>) -> Result<Snapshot, TakeError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(TakeError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(TakeError::Runtime)?;
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        if interrupt.poll_recv(context).is_ready() || terminate.poll_recv(context).is_ready() {
            return std::task::Poll::Ready(Err(TakeError::Interrupted));
        }
        work.as_mut().poll(context)
    })
    .await
}

async fn take(connection: &Connection, timeout: Duration, progress: &Progress) -> Result<Snapshot, TakeError> {
    let Served { at, mut resources, missing } = served(connection, timeout).await?;
    // Pods first: what they refer to was there before them.
    resources.sort_by_key(|(resource, _)| resource.kind != "Pod");
    let mut objects = Vec::new();
    let mut cluster = None;
    for (resource, api_version) in &resources {
        progress.next(format!("Listing {}", resource.plural));
        let listed = list(connection, resource, api_version, timeout).await?;
        cluster = cluster.or(listed.cluster);
        objects.extend(listed.objects);
    }
    Ok(Snapshot { taken: at, cluster, server: connection.server.clone(), not_served: missing, objects })
}

fn add(now: &mut Snapshot, former: Snapshot, path: &Path, keep: SignedDuration) -> Result<(), TakeError> {
    if former.cluster != now.cluster {
        return Err(TakeError::OtherCluster { path: path.to_owned(), was: former.server, is: now.server.clone() });
    }
    add_gone(now, former, keep);
    Ok(())
}

/// What is said of a snapshot, on standard error: standard output holds it and nothing else.
struct Told {
    server: String,
    counts: BTreeMap<String, u64>,
    gone: u64,
    not_served: Vec<String>,
}

impl Told {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            server: snapshot.server.clone(),
            counts: counts(&snapshot.objects),
            gone: snapshot.gone_pods(),
            not_served: snapshot.not_served.clone(),
        }
    }

    fn say(&self) {
        let counts: Vec<String> = self.counts.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
        say(format_args!("Snapshot of {}: {}.", self.server, counts.join(", ")));
        if self.gone > 0 {
            say(format_args!("{} kept.", count(self.gone, "pod that has gone is", "pods that have gone are")));
        }
        if !self.not_served.is_empty() {
            say(format_args!("Not defined in this cluster, so it has none: {}.", self.not_served.join(", ")));
        }
    }
}
