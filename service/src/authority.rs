//! A certificate that a service issues for itself and stores in a Secret, which all its replicas share.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};

use crate::authority::identity::Identity;

pub mod identity;

/// How often a service reads the Secret again.
pub const RECHECK: Duration = Duration::from_secs(20);

const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// There is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The Secret cannot be read or written.
    #[error("Secret {namespace}/{name}: {problem}")]
    Secret {
        /// Namespace of the Secret.
        namespace: String,
        /// Name of the Secret.
        name: String,
        /// The API server's answer.
        problem: String,
    },
    /// A certificate cannot be issued.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
}

/// Issues a certificate for DNS names and stores it in a Secret.
#[derive(Clone)]
pub struct Authority {
    client: Client,
    namespace: String,
    secret: String,
    names: Vec<String>,
}

impl Authority {
    /// A certificate for these DNS names, stored in this Secret.
    #[must_use]
    pub fn new(client: Client, namespace: &str, secret: &str, names: Vec<String>) -> Self {
        Self { client, namespace: namespace.to_owned(), secret: secret.to_owned(), names }
    }

    /// The DNS names of the certificate.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The stored certificate. If there is none, it ends soon or it lacks a name, a new one is issued and stored. If several
    /// replicas do so at once, one succeeds and all use its certificate.
    ///
    /// # Errors
    /// [`AuthorityError`], with the Secret.
    pub async fn current(&self) -> Result<Identity, AuthorityError> {
        loop {
            let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
            let stored = secrets.get_opt(&self.secret).await.map_err(|error| self.fault(&error))?;
            let former = stored.as_ref().and_then(identity_in);
            let now = Timestamp::now();
            if let Some(former) = former.as_ref().filter(|former| !former.needs_renewal(&self.names, now)) {
                return Ok(former.clone());
            }
            let issued = Identity::issue(&self.names, former.as_ref(), now)?;
            let written = if let Some(mut secret) = stored {
                secret.data.get_or_insert_default().extend(data(&issued));
                // With the resourceVersion that was read, so that the API server refuses all but the first replica.
                secrets.replace(&self.secret, &PostParams::default(), &secret).await
            } else {
                let metadata = ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() };
                let secret = Secret { metadata, data: Some(data(&issued).collect()), ..Secret::default() };
                secrets.create(&PostParams::default(), &secret).await
            };
            match written {
                Ok(_) => return Ok(issued),
                Err(Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(self.fault(&error)),
            }
        }
    }

    fn fault(&self, error: &Error) -> AuthorityError {
        let problem = error.to_string();
        AuthorityError::Secret { namespace: self.namespace.clone(), name: self.secret.clone(), problem }
    }
}

/// The DNS names of a Service: in the cluster, and through `kubectl port-forward`.
#[must_use]
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    let own = format!("{service}.{namespace}");
    vec![format!("{own}.svc"), format!("{own}.svc.cluster.local"), own, "localhost".to_owned()]
}

fn data(identity: &Identity) -> impl Iterator<Item = (String, ByteString)> {
    let Identity { authorities, certificate, key } = identity.clone();
    let entries = [(CA, authorities), (CERTIFICATE, certificate), (KEY, key)];
    entries.into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())))
}

fn identity_in(secret: &Secret) -> Option<Identity> {
    let data = secret.data.as_ref()?;
    let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
    Some(Identity { authorities: text(CA)?, certificate: text(CERTIFICATE)?, key: text(KEY)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_keeps_an_identity_and_an_incomplete_one_counts_as_none() {
        let [authorities, certificate, key] = ["ca", "certificate", "key"].map(str::to_owned);
        let identity = Identity { authorities, certificate, key };
        let secret = Secret { data: Some(data(&identity).collect()), ..Secret::default() };
        assert_eq!(identity_in(&secret), Some(identity));
        for missing in [CA, CERTIFICATE, KEY] {
            let mut secret = secret.clone();
            secret.data.as_mut().unwrap().remove(missing);
            assert_eq!(identity_in(&secret), None, "{missing}");
        }
        let mut binary = secret;
        binary.data.as_mut().unwrap().insert(KEY.to_owned(), ByteString(vec![0xff]));
        assert_eq!(identity_in(&binary), None);
        assert_eq!(identity_in(&Secret::default()), None);
    }

    #[test]
    fn a_service_is_reached_in_the_cluster_and_through_port_forward() {
        assert_eq!(
            service_names("web", "shop"),
            ["web.shop.svc", "web.shop.svc.cluster.local", "web.shop", "localhost"]
        );
    }
}
