//! The certificate that the webhook shows: its own, which all replicas keep in one Secret, or one of files.
//!
//! Until there is one it shows a stopgap that nobody trusts, so that its health can be asked, and is not ready.

use std::time::Duration;

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use foretell_service::authority::{Authority, Identity, LOOK_AGAIN};
use foretell_service::health::Health;
use foretell_service::tls::{CertificateFiles, server_config};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bundle::Configurations;

/// What the webhook waits for, as health says it.
pub const PART: &str = "its certificate";
const CONFIGURATIONS: &str = "its webhook configurations";

/// How soon it tries again what has failed.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate of the webhook's own.
#[derive(Clone)]
pub struct Own {
    /// Makes it and keeps it.
    pub authority: Authority,
    /// Who has to trust it.
    pub configurations: Configurations,
    /// Is told what is missing.
    pub health: Health,
}

impl Own {
    /// Looks at the Secret and the configurations again and again, and shows the certificate as it is kept.
    ///
    /// # Errors
    /// Never: what fails is said and tried again, and what was shown before is shown on.
    pub async fn keep(self, shown: RustlsConfig, stop: CancellationToken) -> anyhow::Result<()> {
        let mut last = None;
        loop {
            let looked = async { tokio::time::timeout(PATIENCE, self.look(&shown, &mut last)).await };
            let looked = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                looked = looked => looked.context("the API server does not answer").flatten(),
            };
            let pause = match looked {
                Ok(true) => LOOK_AGAIN,
                Ok(false) => TRY_AGAIN,
                Err(error) if last.is_none() => {
                    self.health.waits_for(PART, format!("{error:#}"));
                    TRY_AGAIN
                }
                // Answers come from memory: an API server that is away for a while does not make it unready.
                Err(error) => {
                    warn!("Shows the former certificate on: {error:#}");
                    TRY_AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whether all is as it should be.
    async fn look(&self, shown: &RustlsConfig, last: &mut Option<Identity>) -> anyhow::Result<bool> {
        let identity = self.authority.current().await?;
        // Trusted before it is shown: the bundle holds the former authority too.
        let is_asked = self.configurations.trust(&identity.authorities).await?;
        if last.as_ref() != Some(&identity) {
            let (certificate, key) = (identity.certificate.as_bytes(), identity.key.as_bytes());
            shown.reload_from_config(server_config(certificate, key, "the Secret")?);
            info!("Shows the certificate of the Secret");
            *last = Some(identity);
        }
        if is_asked {
            self.health.has(CONFIGURATIONS);
        } else {
            let name = &self.configurations.name;
            self.health
                .waits_for(CONFIGURATIONS, format!("there is none named {name}, so the API server asks nothing"));
        }
        self.health.has(PART);
        Ok(is_asked)
    }
}

/// Shows the certificate of files, once it is there, and follows them. Who renews them tells the API server too.
///
/// # Errors
/// Never: what cannot be used is said and tried again.
pub async fn of_files(
    files: CertificateFiles,
    shown: RustlsConfig,
    health: Health,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        match files.load() {
            Ok(loaded) => {
                shown.reload_from_config(loaded.get_inner());
                health.has(PART);
                return files.follow(shown, stop).await;
            }
            Err(error) => health.waits_for(PART, error.to_string()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    }
}
