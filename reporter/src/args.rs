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

/// Answers pull requests on GitHub with a comment and a commit status that show which traffic the change would deny.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-reporter", version)]
pub struct Args {
    /// Address on which webhooks, health and metrics are served over TLS.
    #[arg(long, env = "FORETELL_LISTEN", value_name = "ADDRESS", default_value = "[::]:8443")]
    pub listen: SocketAddr,

    /// File with the token that clients must send to read metrics [default: the cluster's API server decides who may]
    #[arg(long, env = "FORETELL_ACCESS_TOKEN_FILE", value_name = "FILE")]
    pub access_token_file: Option<PathBuf>,

    /// Options of the GitHub client.
    #[command(flatten)]
    pub github: GitHubArgs,

    /// Options of webhooks.
    #[command(flatten)]
    pub webhook: WebhookArgs,

    /// Options of judging changes.
    #[command(flatten)]
    pub judging: JudgingArgs,

    /// Options of the evaluator's client.
    #[command(flatten)]
    pub evaluator: EvaluatorArgs,

    /// Options of the certificate.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Options of the log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Options of webhooks.
#[derive(Debug, Clone, Group)]
#[command(next_help_heading = "Webhooks")]
pub struct WebhookArgs {
    /// File with the secret with which GitHub signs its deliveries; it is read for each delivery.
    #[arg(long, env = "FORETELL_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: PathBuf,

    /// Maximum number of pull requests that wait for an answer. Further deliveries are refused with status 503; GitHub keeps
    /// them for redelivery.
    #[arg(long, env = "FORETELL_MOST_WAITING", value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub most_waiting: u32,
}

/// Options of judging changes.
#[derive(Debug, Clone, Group)]
#[command(next_help_heading = "Judging")]
pub struct JudgingArgs {
    /// Name of the commit status. Use different names if several clusters answer the same pull requests.
    #[arg(long, env = "FORETELL_CONTEXT", value_name = "NAME", default_value = "foretell/would-deny", value_parser = parse_context)]
    pub context: String,

    /// URL to which the status links.
    #[arg(long, env = "FORETELL_TARGET_URL", value_name = "URL")]
    pub target_url: Option<String>,

    /// Namespace of objects without a namespace.
    #[arg(long, env = "FORETELL_NAMESPACE", value_name = "NS", default_value = "default")]
    pub namespace: String,

    /// How far back traffic is replayed, such as 7d [default: as far back as the evaluator keeps it]
    #[arg(long, env = "FORETELL_WINDOW", value_name = "SPAN", value_parser = parse_span)]
    pub window: Option<Duration>,

    /// How long the nodes of the affected pods must have been observed, such as 7d [default: no minimum]
    #[arg(long, env = "FORETELL_MIN_WINDOW", value_name = "SPAN", value_parser = parse_span)]
    pub min_window: Option<Duration>,
}

/// The evaluator's API has spans in whole seconds, as a `u32`.
fn parse_span(text: &str) -> Result<Duration, SpanError> {
    let bounds = SignedDuration::from_secs(1)..=SignedDuration::from_secs(u32::MAX.into());
    Ok(span::parse_within(text, bounds)?.unsigned_abs())
}

/// The context is also part of an HTML comment, the marker in the pull request comment.
fn parse_context(text: &str) -> Result<String, String> {
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "/_.: ".contains(symbol) || symbol == '-';
    if text.is_empty() || text.len() > 100 || !text.chars().all(is_plain) || text.contains("--") {
        return Err("must have 1 to 100 characters: letters, digits, spaces and / _ . : - but not --".to_owned());
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
    fn a_context_cannot_end_the_marker_of_the_comment() {
        for good in ["foretell/would-deny", "a", "prod: eu-west_1.example", &"x".repeat(100)] {
            assert_eq!(parse_context(good).as_deref(), Ok(good));
        }
        for bad in ["", "a --> b", "a--b", "a<b", "a\nb", "ü", &"x".repeat(101)] {
            assert!(parse_context(bad).is_err(), "{bad:?}");
        }
    }

    const REQUIRED: [&str; 6] = [
        "foretell-reporter",
        "--webhook-secret-file=secret",
        "--github-app-id=7",
        "--github-key-file=key",
        "--evaluator=https://evaluator",
        "--token-file=token",
    ];

    #[test]
    fn every_required_option_is_required_and_no_other() {
        let args = Args::try_parse_from(REQUIRED).unwrap();
        assert_eq!(args.listen.to_string(), "[::]:8443");
        assert_eq!(args.judging.context, "foretell/would-deny");
        assert_eq!((args.judging.window, args.judging.min_window), (None, None));
        assert_eq!(args.webhook.most_waiting, 1000);
        for missing in &REQUIRED[1..] {
            let others = REQUIRED.iter().filter(|argument| *argument != missing);
            assert!(Args::try_parse_from(others).is_err(), "without {missing}");
        }
    }
}
