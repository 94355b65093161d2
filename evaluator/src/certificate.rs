//! The evaluator's own certificate, and the authorities that its clients find in a ConfigMap.

use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use foretell_service::authority::{Authority, Identity, LOOK_AGAIN};
use foretell_service::health::Health;
use foretell_service::tls::server_config;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The name of what is waited for until there is a certificate.
pub const CERTIFICATE: &str = "its certificate";
const RETRY: Duration = Duration::from_secs(2);

/// Where the certificate is kept, and where its authorities are published.
#[derive(Clone)]
pub struct OwnCertificate {
    client: Client,
    namespace: String,
    service: String,
    authority: Authority,
}

impl OwnCertificate {
    /// For the Service of this name: Secret `NAME-tls`, ConfigMap `NAME-ca`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, service: &str) -> Self {
        let names = vec![
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
            format!("{service}.{namespace}"),
            // Through `kubectl port-forward`.
            "localhost".to_owned(),
        ];
        let authority = Authority::new(client.clone(), namespace, &format!("{service}-tls"), names);
        Self { client, namespace: namespace.to_owned(), service: service.to_owned(), authority }
    }

    /// Waits until there is one, and shows it.
    ///
    /// # Errors
    /// Where it was asked to stop before.
    pub async fn obtain(&self, health: &Health, stop: &CancellationToken) -> anyhow::Result<(RustlsConfig, Identity)> {
        loop {
            match self.current().await {
                Ok(identity) => {
                    let config = server_config(identity.certificate.as_bytes(), identity.key.as_bytes(), "its Secret")?;
                    health.has(CERTIFICATE);
                    return Ok((RustlsConfig::from_config(config), identity));
                }
                Err(error) => health.waits_for(CERTIFICATE, format!("{error:#}")),
            }
            tokio::select! {
                () = stop.cancelled() => anyhow::bail!("asked to stop before there was a certificate"),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Renews it in time, until it is told to stop.
    ///
    /// # Errors
    /// Never: what fails is said, and the former certificate is shown on.
    pub async fn follow(
        self,
        shown: RustlsConfig,
        mut identity: Identity,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let renewed = match self.current().await {
                Ok(renewed) if renewed == identity => continue,
                Ok(renewed) => renewed,
                Err(error) => {
                    warn!("Shows the former certificate on: {error:#}");
                    continue;
                }
            };
            match server_config(renewed.certificate.as_bytes(), renewed.key.as_bytes(), "its Secret") {
                Ok(config) => {
                    shown.reload_from_config(config);
                    identity = renewed;
                }
                Err(error) => warn!(%error, "Shows the former certificate on: {error}"),
            }
        }
    }

    /// What is kept; clients are told whom to trust before it is shown.
    async fn current(&self) -> anyhow::Result<Identity> {
        let identity = self.authority.current().await?;
        let name = format!("{}-ca", self.service);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let published = maps.get_opt(&name).await?;
        let is_told =
            published.is_some_and(|map| map.data.is_some_and(|data| data.get("ca.crt") == Some(&identity.authorities)));
        if !is_told {
            let patch = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                "data": {"ca.crt": identity.authorities},
            });
            let by_us = PatchParams::apply("foretell-evaluator").force();
            maps.patch(&name, &by_us, &Patch::Apply(patch)).await?;
        }
        Ok(identity)
    }
}
