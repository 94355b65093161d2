//! `foretell snapshot`: the objects of a live cluster, in the form that the other commands read.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use foretell_objects::model::words::count;
use foretell_policy::snapshot::gone::add_gone;
use foretell_policy::snapshot::text::{Snapshot, counts};
use jiff::SignedDuration;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::connection::{Connection, ConnectionError, connect};
use super::discovery::{Discovery, discover};
use super::file::{self, FileError};
use super::list::{ListError, list};
use super::request::RequestError;
use crate::args::snapshot as args;
use crate::error::CommandError;
use crate::messages::say;
use crate::progress::Progress;

/// Why no snapshot was taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// There is no connection to an API server.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A list could not be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is of another cluster.
    #[error("{}: is a snapshot of another cluster ({was}, not {is}); choose another file or another --context", path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// API server of the snapshot in the file.
        was: String,
        /// API server of the new snapshot.
        is: String,
    },
    /// The runtime or the handling of signals cannot start.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The snapshot could not be printed.
    #[error("standard output: {0}")]
    Print(io::Error),
    /// A signal stopped the command.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl CommandError for TakeError {
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// [`TakeError`]. Nothing is written then.
pub fn run(args: args::Snapshot) -> Result<u8, TakeError> {
    let args::Snapshot { kubeconfig, context, output, append, keep, request_timeout } = args;
    // Before any request, so that a file that cannot be renewed is reported at once.
    let previous = append.as_deref().map(file::read).transpose()?.flatten();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(TakeError::Runtime)?;
    // A credential plugin may prompt the user: no progress is shown meanwhile.
    let connection = runtime.block_on(connect(kubeconfig.as_deref(), context.as_deref()))?;
    let progress = Progress::begin("Discovering resources");
    let taken = runtime.block_on(interruptible(take(&connection, request_timeout, &progress)));
    // Do not wait for a DNS lookup that has not ended.
    runtime.shutdown_background();
    let mut snapshot = taken?;
    if let (Some(path), Some(previous)) = (&append, previous) {
        progress.next("Adding pods that have gone");
        add(&mut snapshot, previous, path, keep)?;
    }
    progress.next("Writing");
    let summary = Summary::of(&snapshot);
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
    summary.print();
    Ok(0)
}

/// Runs until the work is done or a signal interrupts it. After that no signal is handled, so that the file is written whole.
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
    let Discovery { at, mut resources, missing } = discover(connection, timeout).await?;
    // Pods first: the objects to which they refer existed before them.
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

fn add(now: &mut Snapshot, previous: Snapshot, path: &Path, keep: SignedDuration) -> Result<(), TakeError> {
    if previous.cluster != now.cluster {
        return Err(TakeError::OtherCluster { path: path.to_owned(), was: previous.server, is: now.server.clone() });
    }
    add_gone(now, previous, keep);
    Ok(())
}

/// The summary on standard error: standard output has nothing but the snapshot.
struct Summary {
    server: String,
    counts: BTreeMap<String, u64>,
    gone: u64,
    not_served: Vec<String>,
}

impl Summary {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            server: snapshot.server.clone(),
            counts: counts(&snapshot.objects),
            gone: snapshot.gone_pods(),
            not_served: snapshot.not_served.clone(),
        }
    }

    fn print(&self) {
        let counts: Vec<String> = self.counts.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
        say(format_args!("Snapshot of {}: {}.", self.server, counts.join(", ")));
        if self.gone > 0 {
            say(format_args!("{} kept.", count(self.gone, "pod that has gone is", "pods that have gone are")));
        }
        if !self.not_served.is_empty() {
            say(format_args!("Kinds that this cluster does not define: {}.", self.not_served.join(", ")));
        }
    }
}
