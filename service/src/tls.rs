//! Certificates of files, and their renewal while the service runs.

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

/// How often the files are read again.
const RECHECK: Duration = Duration::from_secs(10);

/// Files of a certificate. Without them a service issues its own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Certificate with its chain, PEM; it is read again when it changes [default: the service issues its own and stores it
    /// in a Secret]
    #[arg(long, env = "FORETELL_TLS_CERT_FILE", value_name = "FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// Private key of the certificate, PEM.
    #[arg(long, env = "FORETELL_TLS_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
}

/// Files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no certificate in PEM.
    #[error("{place}: no certificate in PEM: {problem}")]
    Certificate {
        /// The file or Secret.
        place: String,
        /// Cause.
        problem: String,
    },
    /// There is no private key in PEM.
    #[error("{place}: no private key in PEM: {problem}")]
    Key {
        /// The file or Secret.
        place: String,
        /// Cause.
        problem: String,
    },
    /// The key is not the certificate's.
    #[error("{place}: certificate and key cannot be used together: {problem}")]
    Pair {
        /// The files or Secret.
        place: String,
        /// Cause.
        problem: String,
    },
}

impl TlsArgs {
    /// The files, if they are given.
    #[must_use]
    pub fn files(&self) -> Option<CertificateFiles> {
        let (certificate, key) = (self.tls_cert_file.clone()?, self.tls_key_file.clone()?);
        Some(CertificateFiles { certificate, key })
    }
}

/// The TLS settings of a server with this certificate and key, both PEM. `place` says in errors where they are from.
///
/// # Errors
/// [`TlsError`] if they cannot be used.
pub fn server_config(certificate: &[u8], key: &[u8], place: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let place = place.to_owned();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => {
            return Err(TlsError::Certificate { place, problem: "the file is empty or has other content".to_owned() });
        }
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
    /// Reads the files once.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used.
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

    /// Reads the files again and again and uses a new certificate once it matches its key. Until then the previous one
    /// stays in use.
    ///
    /// # Errors
    /// None: files that cannot be used are logged.
    pub async fn follow(self, tls: RustlsConfig, stop: CancellationToken) -> anyhow::Result<()> {
        let mut last = self.read().ok();
        let mut logged = String::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(RECHECK) => {}
            }
            let renewed = match self.read() {
                Ok(now) if last.as_ref() == Some(&now) => continue,
                Ok(now) => server_config(&now.0, &now.1, &self.place()).map(|config| (config, now)),
                Err(error) => Err(error),
            };
            match renewed {
                Ok((config, now)) => {
                    tls.reload_from_config(config);
                    (last, logged) = (Some(now), String::new());
                    info!(tls.certificate = %self.certificate.display(), "Uses the renewed certificate");
                }
                Err(error) if error.to_string() != logged => {
                    logged = error.to_string();
                    warn!(%error, "Keeps the previous certificate: {error}");
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["it.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_is_used_only_with_its_own_key() {
        crate::kubernetes::use_one_tls_provider();
        let ((certificate, key), (_, other_key)) = (pair(), pair());
        for (case, certificate, key, error) in [
            ("its own", certificate.as_str(), key.as_str(), None),
            ("another's", &certificate, &other_key, Some("it: certificate and key cannot be used together: ")),
            ("no key", &certificate, "", Some("it: no private key in PEM: ")),
            ("a certificate for the key", &certificate, &certificate, Some("it: no private key in PEM: ")),
            ("no certificate", "", &key, Some("it: no certificate in PEM: ")),
            ("a key for the certificate", &key, &key, Some("it: no certificate in PEM: ")),
        ] {
            match (server_config(certificate.as_bytes(), key.as_bytes(), "it"), error) {
                (Ok(config), None) => assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]),
                (Err(found), Some(error)) => assert!(found.to_string().starts_with(error), "{case}: {found}"),
                (found, _) => panic!("{case}: {found:?}"),
            }
        }
    }

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
        let error = files.load().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", certificate.display())), "{error}");
        std::fs::write(&certificate, "").unwrap();
        std::fs::write(&key, "").unwrap();
        let error = files.load().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} and {}: ", certificate.display(), key.display())), "{error}");
    }
}
