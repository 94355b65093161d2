//! Command line and environment.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser as Name;
use clap::{Args as Group, Parser};
use foretell_service::log::LogArgs;
use foretell_service::tls::TlsArgs;

/// Admission webhook: rejects invalid audit policies and a second evaluator, and cleans up promoted policies.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-webhook", version)]
pub struct Args {
    /// Address on which to listen.
    #[arg(long, env = "FORETELL_LISTEN", value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8443)))]
    pub listen: SocketAddr,

    /// File with the token that clients must send to read metrics [default: the cluster's API server decides who may]
    #[arg(long, env = "FORETELL_METRICS_TOKEN_FILE", value_name = "FILE")]
    pub metrics_token_file: Option<PathBuf>,

    /// Names of objects in the cluster.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Options of the certificate.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Options of the log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Names of objects in the cluster.
#[derive(Debug, Clone, Group)]
#[command(next_help_heading = "Names in the cluster")]
pub struct PlaceArgs {
    /// Namespace of the webhook and the evaluator [default: the namespace of this pod, or foretell]
    #[arg(long, env = "FORETELL_NAMESPACE", value_name = "NAME", value_parser = Name::new())]
    pub namespace: Option<String>,

    /// Service through which the API server calls the webhook.
    #[arg(long, env = "FORETELL_SERVICE", value_name = "NAME", default_value = "foretell-webhook", value_parser = Name::new())]
    pub service: String,

    /// Secret in which the webhook keeps its own certificate.
    #[arg(long, env = "FORETELL_TLS_SECRET", value_name = "NAME", default_value = "foretell-webhook-tls", value_parser = Name::new())]
    pub tls_secret: String,

    /// `ValidatingWebhookConfiguration` and `MutatingWebhookConfiguration` whose `caBundle` the webhook sets.
    #[arg(long, env = "FORETELL_WEBHOOK_CONFIGURATION", value_name = "NAME", default_value = "foretell", value_parser = Name::new())]
    pub webhook_configuration: String,

    /// Deployment or `StatefulSet` of the evaluator, which may have only one replica.
    #[arg(long, env = "FORETELL_EVALUATOR_NAME", value_name = "NAME", default_value = "foretell-evaluator", value_parser = Name::new())]
    pub evaluator_name: String,
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
    fn no_option_is_required() {
        let args = Args::try_parse_from(["foretell-webhook"]).unwrap();
        assert_eq!(args.listen.to_string(), "[::]:8443");
        assert_eq!(args.place.webhook_configuration, "foretell");
        assert!(args.tls.files().is_none());
    }
}
