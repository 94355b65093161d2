//! `foretell denials`: what the audit policies of a cluster would deny.

use std::io::{self, Write as _};

use foretell_policy::report::data::Denial;
use foretell_service::evaluator::{Evaluator, EvaluatorError};
use jiff::Timestamp;
use tokio::runtime::Builder;

use crate::args::denials::{DenialState, Denials, ListFormat};
use crate::error::CommandError;
use crate::table;

/// Why the denials cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum DenialsError {
    /// The evaluator cannot be reached, or does not answer the request.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
    /// The list could not be written.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
    /// The list could not be put into JSON.
    #[error("denials: {0}")]
    Json(#[from] serde_json::Error),
}

impl CommandError for DenialsError {
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// [`DenialsError`]
pub fn run(args: Denials) -> Result<u8, DenialsError> {
    let Denials { evaluator, namespace, policy, state, format } = args;
    let state = state.map(|state| match state {
        DenialState::Unresolved => "unresolved",
        DenialState::Accepted => "accepted",
        DenialState::Guessed => "guessed",
        DenialState::NotInUse => "notInUse",
        DenialState::Gone => "gone",
    });
    let filters = [("namespace", namespace), ("policy", policy), ("state", state.map(str::to_owned))];
    let filters: Vec<(&str, String)> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let evaluator = Evaluator::new(evaluator);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(all(&evaluator, &filters))?;
    let text = match format {
        ListFormat::Json => format!("{}\n", serde_json::to_string_pretty(&found)?),
        ListFormat::Table if found.is_empty() => "No audit policy would deny any recorded traffic.\n".to_owned(),
        ListFormat::Table => format!("{}\n", table::of_denials(&found, Timestamp::now())),
    };
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    Ok(0)
}

async fn all(evaluator: &Evaluator, filters: &[(&str, String)]) -> Result<Vec<Denial>, EvaluatorError> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query: Vec<(&str, String)> = filters.iter().cloned().chain(cursor.map(|at| ("cursor", at))).collect();
        let page = evaluator.denials(&query).await?;
        found.extend(page.denials);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}
