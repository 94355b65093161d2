//! The certificate that a service shows, from files or from a Secret, and its renewal while the service runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use clap::Args;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::files::{self, FileError};

/// How often files are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A certificate by files. Without them a service makes its own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Certificate with its chain, PEM; it is read again when it changes. Without it the service makes its own, and keeps it in
    /// a Secret.
    #[arg(long, env = "FORETELL_TLS_CERT_FILE", value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// Private key of the certificate, PEM.
    #[arg(long, env = "FORETELL_TLS_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
}

/// Files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no PEM of a certificate.
    #[error("{place}: no certificate in PEM: {problem}")]
    Certificate {
        /// Where it is from.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// It is no PEM of a key.
    #[error("{place}: no private key in PEM: {problem}")]
    Key {
        /// Where it is from.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// The two do not belong together.
    #[error("{place}: certificate and key cannot be used together: {problem}")]
    Pair {
        /// Where they are from.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

impl TlsArgs {
    /// The files, where they are named.
    #[must_use]
    pub fn files(&self) -> Option<CertificateFiles> {
        let (certificate, key) = (self.tls_cert_file.clone()?, self.tls_key_file.clone()?);
        Some(CertificateFiles { certificate, key })
    }
}

/// What a server needs to show a certificate; `place` is for messages.
///
/// # Errors
/// [`TlsError`] where it cannot be used.
pub fn server_config(certificate: &[u8], key: &[u8], place: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let place = place.to_owned();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => return Err(TlsError::Certificate { place, problem: "there is none".to_owned() }),
        Err(error) => return Err(TlsError::Certificate { place, problem: error.to_string() }),
    };
    let key = match PrivateKeyDer::from_pem_slice(key) {
        Ok(key) => key,
        Err(error) => return Err(TlsError::Key { place, problem: error.to_string() }),
    };
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|error| TlsError::Pair { place, problem: error.to_string() })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl CertificateFiles {
    /// Reads them once.
    ///
    /// # Errors
    /// [`TlsError`] where they cannot be used.
    pub fn load(&self) -> Result<RustlsConfig, TlsError> {
        let (certificate, key) = self.read()?;
        Ok(RustlsConfig::from_config(server_config(&certificate, &key, &self.place())?))
    }

    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        Ok((files::read(&self.certificate)?, files::read(&self.key)?))
    }

    fn place(&self) -> String {
        format!("{} and {}", self.certificate.display(), self.key.display())
    }

    /// Reads them again and again, and shows what is new once both belong together.
    ///
    /// # Errors
    /// Never: what cannot be used is said, and what was shown before is shown on.
    pub async fn follow(self, shown: RustlsConfig, stop: CancellationToken) -> anyhow::Result<()> {
        let mut last = self.read().ok();
        let mut said = String::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let renewed = match self.read() {
                Ok(now) if last.as_ref() == Some(&now) => continue,
                Ok(now) => server_config(&now.0, &now.1, &self.place()).map(|config| (config, now)),
                Err(error) => Err(error),
            };
            match renewed {
                Ok((config, now)) => {
                    shown.reload_from_config(config);
                    (last, said) = (Some(now), String::new());
                    info!(tls.certificate = %self.certificate.display(), "Shows a new certificate");
                }
                Err(error) if error.to_string() != said => {
                    said = error.to_string();
                    warn!(%error, "Shows the former certificate on: {error}");
                }
                Err(_) => {}
            }
        }
    }
}
