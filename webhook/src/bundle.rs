//! Sets `caBundle` of the webhook configurations, so that the API server trusts the webhook's certificate.

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

/// Namespace and name of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The two webhook configurations. They have the same name. Only entries that call the webhook's Service are changed.
#[derive(Clone)]
pub struct Configurations {
    /// Client of the API server.
    pub client: Client,
    /// Name of both configurations.
    pub name: String,
    /// The webhook's Service.
    pub service: ServiceName,
    /// Reports that the configurations are missing.
    pub health: Health,
}

/// The fields of a webhook that are used. They are the same in both kinds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookEntry {
    name: String,
    client_config: WebhookClientConfig,
}

impl WebhookEntry {
    fn calls(&self, service: &ServiceName) -> bool {
        let target = self.client_config.service.as_ref();
        target.is_some_and(|target| (&target.namespace, &target.name) == (&service.namespace, &service.name))
    }
}

/// The name of the configurations in health checks and logs.
const PART: &str = "its webhook configurations";

impl Publish for Configurations {
    /// Sets the `caBundle` of both configurations. An entry that has this bundle is not changed.
    async fn publish(&self, authorities: &str) -> anyhow::Result<Published> {
        let mut has_entry = false;
        for kind in [
            ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ] {
            let (api, name) = (Api::<DynamicObject>::all_with(self.client.clone(), &kind), &self.name);
            let at = || format!("{} {name}", kind.kind);
            let Some(found) = api.get_opt(name).await.with_context(at)? else { continue };
            let entries = entries(&found).with_context(at)?;
            has_entry |= entries.iter().any(|entry| entry.calls(&self.service));
            if let Some(patch) = bundle_patch(&entries, &self.service, authorities)? {
                let patch = kube::api::Patch::Json::<()>(patch);
                api.patch(name, &PatchParams::default(), &patch).await.with_context(at)?;
                info!(configuration.name = %name, "Set the caBundle of {}", at());
            }
        }
        if has_entry {
            self.health.set_ready(PART);
            return Ok(Published::Everywhere);
        }
        let reason = format!(
            "no webhook configuration named {} calls this Service, so the API server sends no requests",
            self.name
        );
        self.health.set_waiting(PART, reason);
        Ok(Published::Partly)
    }
}

fn entries(configuration: &DynamicObject) -> Result<Vec<WebhookEntry>, serde_json::Error> {
    configuration.data.get("webhooks").map_or_else(|| Ok(Vec::new()), Vec::deserialize)
}

/// The patch that sets the bundle of all entries that call the Service; `None` if they have it already.
fn bundle_patch(
    entries: &[WebhookEntry],
    service: &ServiceName,
    authorities: &str,
) -> Result<Option<Patch>, serde_json::Error> {
    let bundle = ByteString(authorities.as_bytes().to_vec());
    let trusts = |entry: &WebhookEntry| entry.client_config.ca_bundle.as_ref() == Some(&bundle);
    let value = serde_json::to_value(&bundle)?;
    let mut operations = Vec::new();
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.calls(service) && !trusts(entry)) {
        let number = number.to_string();
        let path = |field: &[&str]| PointerBuf::from_tokens(["webhooks", &number].iter().chain(field).copied());
        // If the list changed meanwhile, the test fails, and the patch is retried.
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
    fn only_entries_that_call_the_service_are_changed_and_only_once() {
        let service = ServiceName { namespace: "foretell".to_owned(), name: "foretell-webhook".to_owned() };
        let read = |value: &Value| entries(&serde_json::from_value(value.clone()).unwrap()).unwrap();
        let mut value = configuration();
        let patch = bundle_patch(&read(&value), &service, "authorities").unwrap().unwrap();
        json_patch::patch(&mut value, &patch).unwrap();
        let mut expected = configuration();
        expected["webhooks"][1]["clientConfig"]["caBundle"] = json!("YXV0aG9yaXRpZXM=");
        assert_eq!(value, expected);
        assert_eq!(bundle_patch(&read(&value), &service, "authorities").unwrap(), None);
        assert!(bundle_patch(&read(&value), &service, "others").unwrap().is_some());
    }

    #[test]
    fn a_patch_tests_the_name_of_each_entry_that_it_changes() {
        let service = ServiceName { namespace: "foretell".to_owned(), name: "foretell-webhook".to_owned() };
        let mut value = configuration();
        let entries = entries(&serde_json::from_value(value.clone()).unwrap()).unwrap();
        let patch = bundle_patch(&entries, &service, "authorities").unwrap().unwrap();
        value["webhooks"].as_array_mut().unwrap().remove(0);
        let before = value.clone();
        assert!(json_patch::patch(&mut value, &patch).is_err(), "the list changed");
        assert_eq!(value, before);
    }

    #[test]
    fn a_configuration_without_entries_needs_no_patch() {
        let service = ServiceName { namespace: "foretell".to_owned(), name: "foretell-webhook".to_owned() };
        for webhooks in [json!({}), json!({"webhooks": []})] {
            let entries = entries(&serde_json::from_value(webhooks).unwrap()).unwrap();
            assert_eq!(bundle_patch(&entries, &service, "authorities").unwrap(), None);
        }
    }
}
