//! Publishes the authorities of the evaluator's certificate to its clients in a `ConfigMap`.

use foretell_service::certificate::{Publish, Published};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// The `ConfigMap` that clients read the authorities from.
#[derive(Clone)]
pub struct CaConfigMap {
    /// Client of the API server.
    pub client: Client,
    /// Namespace of the `ConfigMap`.
    pub namespace: String,
    /// Name of the `ConfigMap`.
    pub name: String,
}

impl Publish for CaConfigMap {
    async fn publish(&self, authorities: &str) -> anyhow::Result<Published> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let published = maps.get_opt(&self.name).await?;
        let is_current =
            |map: ConfigMap| map.data.is_some_and(|data| data.get("ca.crt").is_some_and(|it| it == authorities));
        if !published.is_some_and(is_current) {
            let patch = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": self.name},
                "data": {"ca.crt": authorities},
            });
            let params = PatchParams::apply("foretell-evaluator").force();
            maps.patch(&self.name, &params, &Patch::Apply(patch)).await?;
        }
        Ok(Published::Everywhere)
    }
}
