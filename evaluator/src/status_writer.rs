//! Writes the statuses of audit policies to the API server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::resource::audit::{AuditClusterNetworkPolicy, AuditNetworkPolicy, AuditPolicyStatus};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::state::State;
use crate::status::{says_the_same, status};

/// How often statuses are compared with the last result.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often an unchanged status is written: its time shows that the evaluator is running.
const RENEW: Duration = Duration::from_mins(5);
/// Field manager of the status.
const MANAGER: &str = "foretell-evaluator";

/// Keeps the statuses current until it is asked to stop.
///
/// # Errors
/// None: a status that cannot be written is logged and tried again.
pub async fn write_statuses(state: Arc<State>, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
    // By UID: what was written, and when.
    let mut written: BTreeMap<String, (AuditPolicyStatus, Instant)> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let Some(judged) = state.judged.load_full() else { continue };
        let policies = state.objects().audit_policies().clone();
        written.retain(|uid, _| policies.values().any(|policy| policy.uid == *uid));
        for (reference, policy) in &policies {
            let former = written.get(&policy.uid);
            let status = status(&judged, reference, policy, former.map(|it| &it.0), Timestamp::now());
            let Some(status) = status else { continue };
            if former.is_some_and(|(known, since)| says_the_same(known, &status) && since.elapsed() < RENEW) {
                continue;
            }
            match apply(&client, reference, &status).await {
                Ok(()) => {
                    written.insert(policy.uid.clone(), (status, Instant::now()));
                }
                Err(kube::Error::Api(error)) if error.code == 404 => {
                    debug!(policy.name = %reference.name, "{reference} was deleted");
                }
                Err(error) => warn!(policy.name = %reference.name, "Cannot write the status of {reference}: {error}"),
            }
        }
    }
}

async fn apply(client: &Client, reference: &PolicyRef, status: &AuditPolicyStatus) -> kube::Result<()> {
    let resource = resource(reference.kind);
    let api: Api<DynamicObject> = match reference.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": reference.name},
        "status": status,
    });
    api.patch_status(&reference.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(patch)).await.map(|_| ())
}

fn resource(kind: PolicyKind) -> ApiResource {
    match kind {
        PolicyKind::AuditClusterNetworkPolicy => ApiResource::erase::<AuditClusterNetworkPolicy>(&()),
        _ => ApiResource::erase::<AuditNetworkPolicy>(&()),
    }
}

#[cfg(test)]
mod tests {
    use foretell_policy::snapshot::api_resource::RESOURCES;

    use super::*;

    #[test]
    fn statuses_are_written_to_the_resources_that_are_watched() {
        for kind in [PolicyKind::AuditNetworkPolicy, PolicyKind::AuditClusterNetworkPolicy] {
            let written = resource(kind);
            let watched = RESOURCES.iter().find(|watched| watched.kind == kind.to_string()).unwrap();
            assert_eq!((written.kind.as_str(), written.plural.as_str()), (watched.kind, watched.plural));
            assert_eq!(watched.group(), written.group);
        }
    }
}
