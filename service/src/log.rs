//! The log of a service, on standard error.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Arguments of the log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// What to log: a level, or a filter in tracing's syntax.
    #[arg(long, env = "FORETELL_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Format of the log lines.
    #[arg(long, env = "FORETELL_LOG_FORMAT", value_name = "FORM", default_value = "text")]
    pub log_format: LogFormat,
}

/// Format of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter is not valid.
#[derive(Debug, thiserror::Error)]
#[error("--log {filter}: {problem}; write a level (error, warn, info, debug, trace) or TARGET=LEVEL,...")]
pub struct LogError {
    filter: String,
    problem: String,
}

impl LogArgs {
    /// Starts logging.
    ///
    /// # Errors
    /// The filter is not valid.
    pub fn begin(&self) -> Result<(), LogError> {
        let wrong = |error: &dyn std::error::Error| LogError { filter: self.log.clone(), problem: error.to_string() };
        let filter = EnvFilter::try_new(&self.log).map_err(|error| wrong(&error))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        // A second call fails and leaves the first one's log in place; tests start several services in one process.
        let _ = match self.log_format {
            LogFormat::Text => log.with_ansi(false).try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        };
        Ok(())
    }
}
