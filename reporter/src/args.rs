//! Command line and environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Group, Parser};
use foretell_service::evaluator::EvaluatorArgs;
use foretell_service::log::LogArgs;
use foretell_service::span::{self, SpanError};
use foretell_service::tls::TlsArgs;
use jiff::SignedDuration;

use crate::github::GitHubArgs;

/// Answers pull requests on GitHub: a comment and a commit status that say what the change would deny.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-reporter", version)]
pub struct Args {
    /// Address at which webhooks, health and metrics are served, by TLS.
    #[arg(long, env = "FORETELL_LISTEN", value_name = "ADDRESS", default_value = "[::]:8443")]
    pub listen: SocketAddr,

    /// File with the token that whoever reads metrics must send [default: the cluster's API server tells who may]
    #[arg(long, env = "FORETELL_ACCESS_TOKEN_FILE", value_name = "FILE")]
    pub access_token_file: Option<PathBuf>,

    /// GitHub.
    #[command(flatten)]
    pub github: GitHubArgs,

    /// Its webhooks.
    #[command(flatten)]
    pub webhook: WebhookArgs,

    /// How changes are judged.
    #[command(flatten)]
    pub judging: JudgingArgs,

    /// The evaluator.
    #[command(flatten)]
    pub evaluator: EvaluatorArgs,

    /// The certificate.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Deliveries of GitHub.
#[derive(Debug, Clone, Group)]
#[command(next_help_heading = "Webhooks")]
pub struct WebhookArgs {
    /// File with the secret that GitHub signs its deliveries by; it is read each time.
    #[arg(long, env = "FORETELL_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: PathBuf,

    /// Pull requests that wait for an answer at once. Deliveries beyond are answered by 503, and GitHub keeps them for a
    /// redelivery.
    #[arg(long, env = "FORETELL_MOST_WAITING", value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub most_waiting: u32,
}

/// How changes are judged.
#[derive(Debug, Clone, Group)]
#[command(next_help_heading = "Judging")]
pub struct JudgingArgs {
    /// Name of the commit status, by which several clusters can answer one pull request.
    #[arg(long, env = "FORETELL_CONTEXT", value_name = "NAME", default_value = "foretell/would-deny", value_parser = parse_context)]
    pub context: String,

    /// Where the status links to.
    #[arg(long, env = "FORETELL_TARGET_URL", value_name = "URL")]
    pub target_url: Option<String>,

    /// Namespace of objects that name none.
    #[arg(long, env = "FORETELL_NAMESPACE", value_name = "NS", default_value = "default")]
    pub namespace: String,

    /// How far back traffic counts, such as 7d [default: as far as the evaluator keeps it]
    #[arg(long, env = "FORETELL_WINDOW", value_name = "SPAN", value_parser = parse_span)]
    pub window: Option<Duration>,

    /// How long the nodes of the pods concerned must have been watched, such as 7d [default: no matter how long]
    #[arg(long, env = "FORETELL_MIN_WINDOW", value_name = "SPAN", value_parser = parse_span)]
    pub min_window: Option<Duration>,
}

/// The evaluator's API has spans in whole seconds, as a `u32`.
fn parse_span(text: &str) -> Result<Duration, SpanError> {
    let bounds = SignedDuration::from_secs(1)..=SignedDuration::from_secs(u32::MAX.into());
    Ok(span::parse_within(text, bounds)?.unsigned_abs())
}

/// It stands in a comment's marker too.
fn parse_context(text: &str) -> Result<String, String> {
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "/_.: ".contains(symbol) || symbol == '-';
    if text.is_empty() || text.len() > 100 || !text.chars().all(is_plain) || text.contains("--") {
        return Err("write up to 100 letters, digits and / _ . : - without --".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn spans_are_read_with_their_units() {
        assert_eq!(parse_span("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(parse_span("90m"), Ok(Duration::from_mins(90)));
        assert_eq!(parse_span("1w 12h"), Ok(Duration::from_hours(180)));
        for bad in ["", "7", "-1d", "0s", "500ms", "soon", "200y", "60000d"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_context_cannot_end_a_comment_s_marker() {
        assert!(parse_context("foretell/would-deny").is_ok());
        assert!(parse_context("a --> b").is_err());
    }
}
