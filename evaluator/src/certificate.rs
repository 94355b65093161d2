//! The authorities of the evaluator's own certificate, where its clients find them: in a `ConfigMap`.

use foretell_service::certificate::{Publish, Told};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// The `ConfigMap`.
#[derive(Clone)]
pub struct Authorities {
    /// Of the API server.
    pub client: Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Publish for Authorities {
    async fn publish(&self, authorities: &str) -> anyhow::Result<Told> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let published = maps.get_opt(&self.name).await?;
        let tells =
            |map: ConfigMap| map.data.is_some_and(|data| data.get("ca.crt").is_some_and(|it| it == authorities));
        if !published.is_some_and(tells) {
            let patch = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": self.name},
                "data": {"ca.crt": authorities},
            });
            let by_us = PatchParams::apply("foretell-evaluator").force();
            maps.patch(&self.name, &by_us, &Patch::Apply(patch)).await?;
        }
        Ok(Told::All)
    }
}
