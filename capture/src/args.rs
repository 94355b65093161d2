//! Command line and environment.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Parser};
use foretell_service::evaluator::EvaluatorArgs;
use foretell_service::span::{self, SpanError};
use jiff::SignedDuration;

use crate::log::Destination;

/// Observes the flows of this node's pods and writes them as NDJSON. Never drops or changes a packet.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-capture", version)]
#[command(group = ArgGroup::new("destination").args(["output", "url"]).required(true).multiple(true))]
#[command(mut_arg("url", |arg| arg.required(false)), mut_arg("token_file", |arg| arg.required(false)))]
pub struct Args {
    /// File to which flows and reports are appended; `-` is standard output.
    #[arg(long, env = "FORETELL_OUTPUT", value_name = "FILE")]
    pub output: Option<Output>,

    /// Evaluator to which flows and reports are sent.
    #[command(flatten)]
    pub evaluator: Option<EvaluatorArgs>,

    /// Bytes of flows that are kept while the evaluator is unavailable. Flows beyond that are counted as lost.
    #[arg(long, env = "FORETELL_QUEUE_BYTES", value_name = "BYTES", default_value_t = 32 << 20, value_parser = clap::value_parser!(u32).range(1 << 16..), hide_short_help = true)]
    pub queue_bytes: u32,

    /// Cgroup v2 folder below which all traffic is observed [default: kubelet's kubepods under the cgroup2 mount]
    #[arg(long, env = "FORETELL_CGROUP", value_name = "PATH")]
    pub cgroup: Option<PathBuf>,

    /// Name of this node in flows and reports [default: the host's name]
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub node: Option<String>,

    /// Length of a window. A flow's packets in a window are summed into one line.
    #[arg(long, env = "FORETELL_WINDOW", value_name = "SPAN", default_value = "10s", value_parser = parse_span)]
    pub window: Duration,

    /// Stop after this time [default: run until SIGTERM or SIGINT]
    #[arg(long, env = "FORETELL_DURATION", value_name = "SPAN", value_parser = parse_span)]
    pub duration: Option<Duration>,

    /// Maximum number of distinct flows at a time, in the kernel and in the agent. Flows beyond that are counted as lost.
    #[arg(long, env = "FORETELL_MAX_FLOWS", value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(64..=4_194_304))]
    pub max_flows: u32,

    /// Bytes of the ring buffer through which new flows are announced, rounded up to a power of two.
    #[arg(long, env = "FORETELL_RING_BYTES", value_name = "BYTES", default_value_t = 4 << 20, value_parser = clap::value_parser!(u32).range(4096..=1 << 30), hide_short_help = true)]
    pub ring_bytes: u32,

    /// Log level, or a filter in the syntax of tracing.
    #[arg(long, env = "FORETELL_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Where the log goes. `stdout` is for containers, whose only log also contains the flows: log entries are written as
    /// lines {"log":…}, which readers of flows skip.
    #[arg(long, env = "FORETELL_LOG_TO", value_name = "WHERE", default_value = "stderr")]
    pub log_to: Destination,
}

/// Where flows and reports are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("is empty; `-` is standard output".to_owned()),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

/// At least 100 ms: the agent reads the kernel's tables once a window.
fn parse_span(text: &str) -> Result<Duration, SpanError> {
    let bounds = SignedDuration::from_millis(100)..=SignedDuration::MAX;
    Ok(span::parse_within(text, bounds)?.unsigned_abs())
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
    fn lines_go_to_a_file_an_evaluator_or_both() {
        let parse = |arguments: &[&str]| Args::try_parse_from([&["foretell-capture"], arguments].concat());
        let file = parse(&["--output", "-"]).unwrap();
        assert!(file.output.is_some() && file.evaluator.is_none());
        let evaluator = parse(&["--evaluator", "https://it", "--token-file", "t"]).unwrap();
        assert!(evaluator.output.is_none() && evaluator.evaluator.is_some());
        assert!(parse(&["--output", "-", "--evaluator", "https://it", "--token-file", "t"]).is_ok());
        for bad in [&[][..], &["--evaluator", "https://it"], &["--output", "-", "--token-file", "t"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn spans_are_read_with_their_units() {
        assert_eq!(parse_span("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_span("1d"), Ok(Duration::from_hours(24)));
        for bad in ["10", "", "-1s", "1ms", "99ms", "soon"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
