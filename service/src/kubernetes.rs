//! The client of the API server.

use anyhow::Context as _;
use kube::{Client, Config};

/// Makes TLS of one provider, for everything in this process. To be called before anything connects.
pub fn use_one_tls_provider() {
    // Whoever came first has chosen the same: there is no other in the tree.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client by the service account of the pod, or by the kubeconfig. It does not ask anything yet: the API server need not
/// be there.
///
/// # Errors
/// Where there is neither, or what there is cannot be used.
pub async fn client() -> anyhow::Result<Client> {
    use_one_tls_provider();
    let config = Config::infer().await.context("neither a pod's service account nor a kubeconfig can be used")?;
    Client::try_from(config).context("no client of the API server can be made")
}

/// The namespace of this pod, where it is one.
#[must_use]
pub fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok()?;
    Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}
