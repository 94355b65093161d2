//! The client of the API server.

use anyhow::Context as _;
use kube::{Client, Config};

/// Sets the process's TLS provider. Call it before anything connects.
pub fn use_one_tls_provider() {
    // A second call fails, which does no harm: this is the only provider in the dependency tree.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client by the service account of the pod, or by the kubeconfig. It does not connect yet: the API server need not be
/// reachable.
///
/// # Errors
/// Neither exists, or it cannot be used.
pub async fn client() -> anyhow::Result<Client> {
    use_one_tls_provider();
    let config = Config::infer().await.context("cannot use a pod's service account nor a kubeconfig")?;
    Client::try_from(config).context("cannot create a client of the API server")
}

/// The namespace of this pod; `None` outside a pod.
#[must_use]
pub fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok()?;
    Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}
