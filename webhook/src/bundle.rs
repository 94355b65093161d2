//! Tells the API server whom to trust: `caBundle` of the webhook configurations, and nothing else of them.

use anyhow::Context as _;
use foretell_service::certificate::{Publish, Published};
use foretell_service::health::Health;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PatchParams};
use serde::Deserialize;
use serde_json::Value;
use tracing::info;

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The two configurations of one name, and the Service that their entries call if they are ours.
#[derive(Clone)]
pub struct Configurations {
    /// Of the API server.
    pub client: Client,
    /// Their name.
    pub name: String,
    /// The webhook's.
    pub service: ServiceName,
    /// Is told where neither is there.
    pub health: Health,
}

/// As much of an entry, which is the same in both kinds, as tells whom it calls and trusts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    client_config: WebhookClientConfig,
}

impl Entry {
    fn calls(&self, service: &ServiceName) -> bool {
        let called = self.client_config.service.as_ref();
        called.is_some_and(|called| (&called.namespace, &called.name) == (&service.namespace, &service.name))
    }
}

/// What the webhook waits for, as health says it.
const PART: &str = "its webhook configurations";

impl Publish for Configurations {
    /// Lets both trust these authorities. What trusts them already is not touched.
    async fn publish(&self, authorities: &str) -> anyhow::Result<Published> {
        let mut is_called = false;
        for kind in [
            ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ] {
            let (api, name) = (Api::<DynamicObject>::all_with(self.client.clone(), &kind), &self.name);
            let at = || format!("{} {name}", kind.kind);
            let Some(found) = api.get_opt(name).await.with_context(at)? else { continue };
            let entries = entries(&found).with_context(at)?;
            is_called |= entries.iter().any(|entry| entry.calls(&self.service));
            if let Some(patch) = change(&entries, &self.service, authorities)? {
                let patch = kube::api::Patch::Json::<()>(patch);
                api.patch(name, &PatchParams::default(), &patch).await.with_context(at)?;
                info!(configuration.name = %name, "{} trusts the certificate now", at());
            }
        }
        if is_called {
            self.health.set_ready(PART);
            return Ok(Published::Everywhere);
        }
        let reason = format!("there is none named {}, so the API server asks nothing", self.name);
        self.health.set_waiting(PART, reason);
        Ok(Published::Partly)
    }
}

fn entries(configuration: &DynamicObject) -> Result<Vec<Entry>, serde_json::Error> {
    configuration.data.get("webhooks").map_or_else(|| Ok(Vec::new()), Vec::deserialize)
}

/// What lets those entries that call the Service trust these authorities; `None`: they do.
fn change(entries: &[Entry], service: &ServiceName, authorities: &str) -> Result<Option<Patch>, serde_json::Error> {
    let bundle = ByteString(authorities.as_bytes().to_vec());
    let trusts = |entry: &Entry| entry.client_config.ca_bundle.as_ref() == Some(&bundle);
    let value = serde_json::to_value(&bundle)?;
    let mut operations = Vec::new();
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.calls(service) && !trusts(entry)) {
        let number = number.to_string();
        let path = |field: &[&str]| PointerBuf::from_tokens(["webhooks", &number].iter().chain(field).copied());
        // Somebody may have changed the list meanwhile: then this fails, and is tried again.
        let name = Value::from(entry.name.as_str());
        operations.push(PatchOperation::Test(TestOperation { path: path(&["name"]), value: name }));
        let path = path(&["clientConfig", "caBundle"]);
        operations.push(PatchOperation::Add(AddOperation { path, value: value.clone() }));
    }
    Ok((!operations.is_empty()).then_some(Patch(operations)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration() -> Value {
        let ours = json!({"service": {"namespace": "foretell", "name": "foretell-webhook", "path": "/validate"}});
        let other = json!({"service": {"namespace": "other", "name": "foretell-webhook"}, "caBundle": "eA=="});
        json!({"metadata": {"name": "foretell"}, "webhooks": [
            {"name": "a.example", "clientConfig": other},
            {"name": "b.example", "clientConfig": ours, "timeoutSeconds": 3},
            {"name": "c.example", "clientConfig": {"url": "https://elsewhere.example"}},
        ]})
    }

    #[test]
    fn only_our_own_entries_are_changed_and_only_once() {
        let service = ServiceName { namespace: "foretell".to_owned(), name: "foretell-webhook".to_owned() };
        let read = |value: &Value| entries(&serde_json::from_value(value.clone()).unwrap()).unwrap();
        let mut value = configuration();
        let patch = change(&read(&value), &service, "authorities").unwrap().unwrap();
        json_patch::patch(&mut value, &patch).unwrap();
        let mut expected = configuration();
        expected["webhooks"][1]["clientConfig"]["caBundle"] = json!("YXV0aG9yaXRpZXM=");
        assert_eq!(value, expected);
        assert_eq!(change(&read(&value), &service, "authorities").unwrap(), None);
        assert!(change(&read(&value), &service, "others").unwrap().is_some());
    }
}
