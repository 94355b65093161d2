//! The certificate of a running service.
//!
//! A service starts with a bootstrap certificate that no client trusts, so that its health can be probed at once. Then it uses the
//! certificate of files, or one that it issues for itself and that all its replicas share in a Secret.

use std::time::Duration;

use anyhow::Context as _;
use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::authority::identity::Identity;
use crate::authority::{Authority, RECHECK};
use crate::health::Health;
use crate::tasks::Tasks;
use crate::tls::{CertificateFiles, server_config};

/// The certificate's name in [`Health`].
const PART: &str = "the certificate";

/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// How long the API server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Publishes the authorities of a certificate to the clients that must trust it, before the certificate is used.
pub trait Publish: Send + Sync {
    /// Publishes these authorities, PEM.
    ///
    /// # Errors
    /// They cannot be published. The service keeps its previous certificate and tries again.
    fn publish(&self, authorities: &str) -> impl Future<Output = anyhow::Result<Published>> + Send;
}

/// How far authorities are published. In both cases the certificate can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Every client has them.
    Everywhere,
    /// Some objects that clients read do not exist yet. The publisher has reported that.
    Partly,
}

/// Publishes nothing: clients find the authorities in the Secret.
#[derive(Debug, Clone, Copy)]
pub struct NoPublisher;

impl Publish for NoPublisher {
    async fn publish(&self, _authorities: &str) -> anyhow::Result<Published> {
        Ok(Published::Everywhere)
    }
}

/// Where a service's certificate comes from.
pub enum Source<P> {
    /// Files that somebody else renews, and whose authorities somebody else publishes.
    Files(CertificateFiles),
    /// The service itself.
    SelfIssued {
        /// Issues and stores the certificate.
        authority: Authority,
        /// Publishes its authorities.
        publisher: P,
    },
}

impl<P: Publish + 'static> Source<P> {
    /// Starts the task that keeps the certificate current. The server can use the result at once, with a bootstrap
    /// certificate; health waits for the real one.
    ///
    /// # Errors
    /// No bootstrap certificate can be issued.
    pub fn start(self, health: &Health, tasks: &mut Tasks) -> anyhow::Result<RustlsConfig> {
        health.set_waiting(PART, "not read yet");
        let stop = tasks.stop();
        Ok(match self {
            Self::Files(files) => {
                let tls = bootstrap(&["localhost".to_owned()])?;
                tasks.spawn("the certificate", follow_files(files, tls.clone(), health.clone(), stop));
                tls
            }
            Self::SelfIssued { authority, publisher } => {
                let tls = bootstrap(authority.names())?;
                let own = SelfIssued { authority, publisher, health: health.clone() };
                tasks.spawn("the certificate", own.keep(tls.clone(), stop));
                tls
            }
        })
    }
}

fn bootstrap(names: &[String]) -> anyhow::Result<RustlsConfig> {
    let first = Identity::bootstrap(names)?;
    let config = server_config(first.certificate.as_bytes(), first.key.as_bytes(), "the bootstrap certificate")?;
    Ok(RustlsConfig::from_config(config))
}

struct SelfIssued<P> {
    authority: Authority,
    publisher: P,
    health: Health,
}

impl<P: Publish> SelfIssued<P> {
    /// Reads the Secret again and again and uses its certificate. After a failure the previous certificate stays in use.
    async fn keep(self, tls: RustlsConfig, stop: CancellationToken) -> anyhow::Result<()> {
        let mut last = None;
        loop {
            let update = async { tokio::time::timeout(TIMEOUT, self.update(&tls, &mut last)).await };
            let updated = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                updated = update => updated.context("the API server does not answer").flatten(),
            };
            let pause = match updated {
                Ok(Published::Everywhere) => RECHECK,
                Ok(Published::Partly) => RETRY,
                Err(error) if last.is_none() => {
                    self.health.set_waiting(PART, format!("{error:#}"));
                    RETRY
                }
                // A service with a certificate stays ready while the API server is unavailable.
                Err(error) => {
                    warn!("Keeps the previous certificate: {error:#}");
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn update(&self, tls: &RustlsConfig, last: &mut Option<Identity>) -> anyhow::Result<Published> {
        let identity = self.authority.current().await?;
        // Clients must trust a certificate before it is used. The bundle holds the former authority as well.
        let published = self.publisher.publish(&identity.authorities).await?;
        if last.as_ref() != Some(&identity) {
            let (certificate, key) = (identity.certificate.as_bytes(), identity.key.as_bytes());
            tls.reload_from_config(server_config(certificate, key, "the Secret")?);
            info!("Uses the certificate of the Secret");
            *last = Some(identity);
        }
        self.health.set_ready(PART);
        Ok(published)
    }
}

/// Uses the certificate of files once they exist, and follows their changes.
async fn follow_files(
    files: CertificateFiles,
    tls: RustlsConfig,
    health: Health,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        match files.load() {
            Ok(loaded) => {
                tls.reload_from_config(loaded.get_inner());
                health.set_ready(PART);
                return files.follow(tls, stop).await;
            }
            Err(error) => health.set_waiting(PART, error.to_string()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}
