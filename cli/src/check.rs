//! `foretell check`: whether a change may merge.

use std::io::{self, Write as _};

use foretell_policy::judge::judgement::{Inputs, judge};
use foretell_policy::report::data::Report;
use foretell_policy::report::markdown;
use foretell_policy::report::preview::{Preview, WireChange};
use foretell_service::evaluator::{Evaluator, EvaluatorArgs, EvaluatorError};
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Builder;

use crate::args::check::{Check, Compared, Manifests, ReportFormat};
use crate::args::cni::CniArg;
use crate::args::observed::{Observed, ObservedError};
use crate::error::CommandError;
use crate::observation::{Observation, ObservationError, observe};
use crate::progress::Progress;
use crate::source::error::SourceError;
use crate::source::{self, Loaded, Request, Revisions};
use crate::table;

/// Why `check` cannot judge the change.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The command line names neither a repository nor two folders.
    #[error("name a repository with --repo, --base and --head, or two folders with --base-dir and --head-dir")]
    NothingToCompare,
    /// The command line names neither files nor an evaluator.
    #[error("name recorded traffic with --snapshot and --flows, or an evaluator with --evaluator")]
    NothingObserved,
    /// The evaluator cannot be reached, or does not answer the request.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
    /// The window begins before the first time that can be represented.
    #[error("--window {0:#} reaches too far back from --at; choose a shorter one")]
    Window(SignedDuration),
    /// A span is longer than an evaluator counts: a `u32` of seconds.
    #[error("{option} {span:#} is longer than an evaluator can judge; choose a shorter one")]
    TooLong {
        /// The option.
        option: &'static str,
        /// Its value.
        span: SignedDuration,
    },
    /// The options contradict each other.
    #[error(transparent)]
    Observed(#[from] ObservedError),
    /// The change could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The recording could not be read.
    #[error(transparent)]
    Observation(#[from] ObservationError),
    /// The report could not be written.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
    /// The report could not be put into JSON.
    #[error("report: {0}")]
    Json(#[from] serde_json::Error),
}

impl CommandError for CheckError {
    fn is_broken_pipe(&self) -> bool {
        // A reader that closed the output may not have read the decision, and exit status 0 would say that it may merge.
        false
    }
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// [`CheckError`] if an input cannot be used. Nothing is printed then.
pub fn run(args: Check) -> Result<u8, CheckError> {
    let Check { compared, manifests, observed, evaluator, window, min_window, at, cni: CniArg { cni }, format } = args;
    let judged_by = match (observed, evaluator) {
        (Some(observed), None) => JudgedBy::Files { observed, at },
        (None, Some(evaluator)) => JudgedBy::Evaluator(evaluator),
        _ => return Err(CheckError::NothingObserved),
    };
    if let JudgedBy::Files { observed, .. } = &judged_by {
        observed.check()?;
    }
    let progress = Progress::begin("Reading the change");
    let mut loaded = source::load(&request(compared, manifests)?)?;
    loaded.settings.cni = cni.or(loaded.settings.cni);
    let spans = Spans { window, min_window };
    let report = match judged_by {
        JudgedBy::Files { observed, at } => by_files(&observed, loaded, at, spans, &progress)?,
        JudgedBy::Evaluator(evaluator) => {
            progress.next("Asking the evaluator");
            by_evaluator(evaluator, loaded, spans)?
        }
    };
    drop(progress);
    print(&report, format)?;
    Ok(report.exit_status)
}

/// Where the traffic comes from.
enum JudgedBy {
    Files { observed: Observed, at: Option<Timestamp> },
    Evaluator(EvaluatorArgs),
}

/// How far back traffic counts, and how long it must have been watched.
#[derive(Clone, Copy)]
struct Spans {
    window: SignedDuration,
    min_window: Option<SignedDuration>,
}

fn by_evaluator(evaluator: EvaluatorArgs, loaded: Loaded, spans: Spans) -> Result<Report, CheckError> {
    let Loaded { change, settings, base, head } = loaded;
    let seconds =
        |option, span: SignedDuration| u32::try_from(span.as_secs()).map_err(|_| CheckError::TooLong { option, span });
    let min_window = spans.min_window.map(|span| seconds("--min-window", span));
    let preview = Preview {
        base,
        head,
        window_seconds: Some(seconds("--window", spans.window)?),
        min_window_seconds: min_window.transpose()?,
        exceptions_on_base_only: settings.exceptions.require_on_base,
        ranges: settings.ranges.clone(),
        cni: settings.cni,
        change: WireChange::of(&change)?,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(Evaluator::new(evaluator).preview(&preview))?)
}

fn by_files(
    observed: &Observed,
    loaded: Loaded,
    at: Option<Timestamp>,
    spans: Spans,
    progress: &Progress,
) -> Result<Report, CheckError> {
    let Loaded { change, settings, base, head } = loaded;
    let Spans { window, min_window } = spans;
    let at = at.unwrap_or_else(Timestamp::now);
    let from = at.checked_sub(window).map_err(|_| CheckError::Window(window))?;
    let Observation { objects, cluster, traffic, watch, bad_lines } = observe(observed, from, at, progress)?;
    progress.next("Judging");
    Ok(judge(&Inputs {
        cluster: &cluster,
        snapshot: &objects,
        change: &change,
        traffic: &traffic,
        watch: &watch,
        base,
        head,
        at,
        from,
        min_window,
        exceptions_on_base_only: settings.exceptions.require_on_base,
        bad_lines,
        dialect: settings.cni.unwrap_or_default(),
        ranges: settings.ranges.clone(),
    }))
}

fn request(compared: Compared, manifests: Manifests) -> Result<Request, CheckError> {
    let Compared { repo, base, head, base_dir, head_dir } = compared;
    let revisions = match (repo, base, head, base_dir, head_dir) {
        (Some(repo), Some(base), Some(head), None, None) => Revisions::Git { repo, base, head },
        (None, None, None, Some(base), Some(head)) => Revisions::Folders { base, head },
        _ => return Err(CheckError::NothingToCompare),
    };
    let Manifests { paths, namespace, render } = manifests;
    Ok(Request { revisions, paths, namespace, render })
}

fn print(report: &Report, format: ReportFormat) -> Result<(), CheckError> {
    let text = match format {
        ReportFormat::Markdown => markdown::render(report),
        ReportFormat::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
        ReportFormat::Table => table::render(report),
    };
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}
