//! The certificate that a service shows from its first moment on: a stopgap that nobody trusts, so that its health can be asked;
//! then its own, which all replicas keep in one Secret, or one of files.

use std::time::Duration;

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::authority::{Authority, Identity, LOOK_AGAIN, stopgap};
use crate::health::Health;
use crate::tls::{CertificateFiles, server_config};

/// What a service waits for, as health says it.
pub const PART: &str = "its certificate";

/// How soon what has failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who has to trust a certificate before it is shown.
pub trait Publish: Send + Sync {
    /// Tells them; these are the authorities, PEM.
    ///
    /// # Errors
    /// Where they cannot be told; it is tried again, and the former certificate is shown on.
    fn publish(&self, authorities: &str) -> impl Future<Output = anyhow::Result<Told>> + Send;
}

/// Whether all were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// All.
    All,
    /// Some are not there yet, which the teller has said. The certificate can be shown.
    NotAll,
}

/// There is nobody to be told: who asks finds the authorities in the Secret.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Publish for Nobody {
    async fn publish(&self, _authorities: &str) -> anyhow::Result<Told> {
        Ok(Told::All)
    }
}

/// What is shown until there is a certificate; health waits for one.
///
/// # Errors
/// Where none can be made.
pub fn until_there_is_one(names: &[String], health: &Health) -> anyhow::Result<RustlsConfig> {
    health.waits_for(PART, "it is being looked for");
    let first = stopgap(names)?;
    let config = server_config(first.certificate.as_bytes(), first.key.as_bytes(), "the first certificate")?;
    Ok(RustlsConfig::from_config(config))
}

/// A certificate of the service's own.
#[derive(Clone)]
pub struct Own<P> {
    /// Makes it and keeps it.
    pub authority: Authority,
    /// Who has to trust it.
    pub trusting: P,
    /// Is told what is missing.
    pub health: Health,
}

impl<P: Publish> Own<P> {
    /// Looks at the Secret again and again, and shows the certificate as it is kept.
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
                Ok(Told::All) => LOOK_AGAIN,
                Ok(Told::NotAll) => TRY_AGAIN,
                Err(error) if last.is_none() => {
                    self.health.waits_for(PART, format!("{error:#}"));
                    TRY_AGAIN
                }
                // An API server that is away for a while does not make it unready.
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

    async fn look(&self, shown: &RustlsConfig, last: &mut Option<Identity>) -> anyhow::Result<Told> {
        let identity = self.authority.current().await?;
        // Trusted before it is shown: the bundle holds the former authority too.
        let told = self.trusting.publish(&identity.authorities).await?;
        if last.as_ref() != Some(&identity) {
            let (certificate, key) = (identity.certificate.as_bytes(), identity.key.as_bytes());
            shown.reload_from_config(server_config(certificate, key, "the Secret")?);
            info!("Shows the certificate of the Secret");
            *last = Some(identity);
        }
        self.health.has(PART);
        Ok(told)
    }
}

/// Shows the certificate of files, once it is there, and follows them. Who renews them tells who is to trust it too.
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
