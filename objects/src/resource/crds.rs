//! The `CustomResourceDefinition`s as they are applied, generated from the types and completed with constraints that the types
//! cannot express.

use kube::core::CustomResourceExt;
use serde_json::{Value, json};

use crate::resource::audit::{AuditClusterNetworkPolicy, AuditNetworkPolicy, MOST_OFFENDERS};
use crate::resource::exception::AuditException;

/// All definitions as JSON, in alphabetical order of their kinds.
#[must_use]
pub fn all() -> [Value; 3] {
    let mut cluster = definition::<AuditClusterNetworkPolicy>();
    let mut in_namespace = definition::<AuditNetworkPolicy>();
    let mut exception = definition::<AuditException>();
    let ns_selector = json!({
        "name": "NS-Selector", "type": "string", "jsonPath": ".spec.namespaceSelector", "priority": 1,
        "description": "The namespaces that the policy applies to"
    });
    version(&mut cluster)["additionalPrinterColumns"] = std::iter::once(ns_selector).chain(audit_columns()).collect();
    version(&mut in_namespace)["additionalPrinterColumns"] = audit_columns().into_iter().collect();
    version(&mut exception)["additionalPrinterColumns"] = exception_columns();
    complete_status(&mut cluster);
    complete_status(&mut in_namespace);
    [cluster, in_namespace, exception]
}

fn definition<T: CustomResourceExt>() -> Value {
    let mut crd = crate::resource::canonical::json(&T::crd());
    // The API server would fill these in, and then a comparison with the applied definition would show a difference.
    let names = &mut crd["spec"]["names"];
    names["listKind"] = json!(format!("{}List", names["kind"].as_str().unwrap_or_default()));
    crd["metadata"]["labels"] = json!({ "app.kubernetes.io/name": "foretell" });
    let schema = schema(&mut crd);
    tidy(schema);
    tighten(&mut schema["properties"]["spec"]);
    // The API server has its own descriptions of these fields.
    schema["properties"]["apiVersion"] = json!({ "type": "string" });
    schema["properties"]["kind"] = json!({ "type": "string" });
    schema["properties"]["metadata"] = json!({ "type": "object" });
    crd
}

fn version(crd: &mut Value) -> &mut Value {
    &mut crd["spec"]["versions"][0]
}

fn schema(crd: &mut Value) -> &mut Value {
    &mut version(crd)["schema"]["openAPIV3Schema"]
}

fn audit_columns() -> [Value; 7] {
    [
        json!({
            "name": "Pod-Selector", "type": "string", "jsonPath": ".spec.podSelector", "priority": 1,
            "description": "The pods that the policy applies to"
        }),
        json!({
            "name": "Would-Deny", "type": "integer", "jsonPath": ".status.evaluation.flowsWouldDeny",
            "description": "Number of observed flows that the policy would deny"
        }),
        json!({
            "name": "Unresolved", "type": "integer", "jsonPath": ".status.evaluation.unresolvedDenials",
            "description": "Number of denials of traffic in use that no exception accepts"
        }),
        json!({
            "name": "Promotable", "type": "string", "jsonPath": r#".status.conditions[?(@.type=="Promotable")].status"#,
            "description": "Whether the policy can be enforced without denying traffic in use"
        }),
        json!({
            "name": "Ready", "type": "string", "jsonPath": r#".status.conditions[?(@.type=="Ready")].status"#,
            "description": "Whether the current generation has been evaluated"
        }),
        json!({
            "name": "Last-Evaluated", "type": "date", "jsonPath": ".status.evaluation.lastEvaluated",
            "description": "Time of the evaluation"
        }),
        json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }),
    ]
}

fn exception_columns() -> Value {
    json!([
        {
            "name": "Policy", "type": "string", "jsonPath": ".spec.policyRef.name",
            "description": "The policy whose denials are accepted"
        },
        { "name": "Direction", "type": "string", "jsonPath": ".spec.direction" },
        // Not of type date: kubectl prints dates as the time that has passed since, and this one is in the future.
        {
            "name": "Expires", "type": "string", "jsonPath": ".spec.expiresAt",
            "description": "Time at which the exception expires"
        },
        { "name": "Reason", "type": "string", "jsonPath": ".spec.reason" },
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }
    ])
}

/// kstatus (Flux) regards an object without a status as reconciled. The default therefore says that no generation has been
/// observed yet.
fn complete_status(crd: &mut Value) {
    let status = &mut schema(crd)["properties"]["status"];
    status["default"] = json!({ "observedGeneration": -1 });
    let fields = &mut status["properties"];
    fields["observedGeneration"]["default"] = json!(-1);
    fields["conditions"]["x-kubernetes-list-type"] = json!("map");
    fields["conditions"]["x-kubernetes-list-map-keys"] = json!(["type"]);
    fields["evaluation"]["properties"]["topOffenders"]["maxItems"] = json!(MOST_OFFENDERS);
}

/// Removes or rewrites what schemars generates and a structural schema of Kubernetes does not allow or writes differently.
fn tidy(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    // Optional fields are absent, not null. The API server drops a null unless the schema allows it.
    fields.remove("nullable");
    fields.remove("title");
    if let Some(Value::String(text)) = fields.get_mut("description") {
        *text = text.replace("\\[", "[").replace("\\]", "]");
    }
    if let Some(Value::String(format)) = fields.get_mut("format")
        && let Some(width) = format.strip_prefix("uint")
    {
        *format = format!("int{width}");
    }
    each_below(schema, &mut |_, below| tidy(below));
}

/// Adds constraints that upstream checks in its validation and that its types do not express.
fn tighten(schema: &mut Value) {
    each_below(schema, &mut |name, below| {
        match name {
            "policyTypes" => {
                below["items"]["enum"] = json!(["Ingress", "Egress"]);
                below["maxItems"] = json!(2);
            }
            "protocol" => below["enum"] = json!(["TCP", "UDP", "SCTP"]),
            "operator" => below["enum"] = json!(["In", "NotIn", "Exists", "DoesNotExist"]),
            "endPort" => {
                below["minimum"] = json!(1);
                below["maximum"] = json!(65535);
            }
            _ => {}
        }
        tighten(below);
    });
}

/// Visits the schemas of the fields, with their names, of a list's items, and of a map's values.
fn each_below(schema: &mut Value, visit: &mut dyn FnMut(&str, &mut Value)) {
    if let Some(Value::Object(fields)) = schema.get_mut("properties") {
        for (name, field) in fields {
            visit(name, field);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(below) = schema.get_mut(key) {
            visit("", below);
        }
    }
}
