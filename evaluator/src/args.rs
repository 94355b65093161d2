//! Command line and environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use foretell_objects::model::dialect::Dialect;
use foretell_service::log::LogArgs;
use foretell_service::span::{self, SpanError};
use foretell_service::tls::TlsArgs;
use jiff::SignedDuration;

/// Judges the cluster's traffic by its audit policies and serves the results. It enforces nothing.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-evaluator", version)]
pub struct Args {
    /// Address to listen on.
    #[arg(long, env = "FORETELL_LISTEN", value_name = "ADDRESS:PORT", default_value = "[::]:8443")]
    pub listen: SocketAddr,

    /// The database, such as <postgres://USER:PASSWORD@HOST/DATABASE> [default: a private Postgres in --data-dir, run with the
    /// programs installed on this machine]
    #[arg(long, env = "FORETELL_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Folder of the private Postgres [default: ~/.local/state/foretell-evaluator]
    #[arg(long, env = "FORETELL_DATA_DIR", value_name = "FOLDER", conflicts_with = "database_url")]
    pub data_dir: Option<PathBuf>,

    /// How long traffic counts and pods that have gone are remembered.
    #[arg(long, env = "FORETELL_WINDOW", value_name = "SPAN", default_value = "7d", value_parser = parse_window)]
    pub window: SignedDuration,

    /// How long the nodes of a policy's pods must have been watched before its status says Promotable; 0s: any evidence will do.
    #[arg(long, env = "FORETELL_MIN_WINDOW", value_name = "SPAN", default_value = "7d", value_parser = parse_min_window)]
    pub min_window: SignedDuration,

    /// CNI that enforces the policies, as in `foretell check --cni`: upstream, cilium, calico, kube-router, ...
    #[arg(long, env = "FORETELL_CNI", value_name = "CNI", default_value_t = Dialect::UPSTREAM)]
    pub cni: Dialect,

    /// File with the one token that callers must present, for use outside a cluster [default: the cluster's tokens, checked by
    /// TokenReview]
    #[arg(long, env = "FORETELL_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Namespace of the Secret with its certificate and of the ConfigMap with its CA certificates [default: the pod's own]
    #[arg(long, env = "FORETELL_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of its Service; its certificate is for NAME.NAMESPACE.svc
    #[arg(long, env = "FORETELL_SERVICE", value_name = "NAME", default_value = "foretell-evaluator")]
    pub service: String,

    /// Arguments of the certificate.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Arguments of the log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// From a minute to a year.
fn parse_window(text: &str) -> Result<SignedDuration, SpanError> {
    span::parse_within(text, SignedDuration::from_mins(1)..=SignedDuration::from_hours(24 * 366))
}

/// Up to a year.
fn parse_min_window(text: &str) -> Result<SignedDuration, SpanError> {
    span::parse_within(text, SignedDuration::ZERO..=SignedDuration::from_hours(24 * 366))
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
    fn windows_are_read_with_their_units() {
        assert_eq!(parse_window("7d"), Ok(SignedDuration::from_hours(168)));
        assert_eq!(parse_window("90m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(parse_window("1w"), Ok(SignedDuration::from_hours(168)));
        assert_eq!(parse_window("1d 12h"), Ok(SignedDuration::from_hours(36)));
        for bad in ["", "7", "d", "1s", "400d", "-1h", "99999999999d"] {
            assert!(parse_window(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_min_window("0s"), Ok(SignedDuration::ZERO));
        assert!(parse_min_window("-1h").is_err());
    }
}
