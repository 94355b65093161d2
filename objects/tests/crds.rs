//! The `CustomResourceDefinition`s equal the files in `manifests/crds`, and an API server accepts them.
//!
//! `FORETELL_UPDATE_GOLDEN=1 cargo test -p foretell-policy --test crds` rewrites the files.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics on what it does not expect")]

use std::path::PathBuf;

use foretell_objects::resource::crds;
use serde_json::{Map, Value, json};

const HEADER: &str = "# Generated from the types in objects/src: change those, and run `make golden`.\n";

/// `kguardian.dev_auditnetworkpolicies.yaml`
fn file(crd: &Value) -> PathBuf {
    let part = |value: &Value| value.as_str().unwrap().to_owned();
    let name = format!("{}_{}.yaml", part(&crd["spec"]["group"]), part(&crd["spec"]["names"]["plural"]));
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests/crds").join(name)
}

/// Sorts keys alphabetically, whatever map `serde_json` was built with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&fields[key]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

fn yaml(crd: &Value) -> String {
    let text = serde_saphyr::to_string(&sorted(crd)).unwrap();
    // Empty lines of a text block are not indented.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{HEADER}{}\n", lines.join("\n"))
}

#[test]
fn the_files_equal_the_definitions_of_the_types() {
    for crd in crds::all() {
        let (path, text) = (file(&crd), yaml(&crd));
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, crd, "what was written is not what is read");
        if std::env::var_os("FORETELL_UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is out of date: run `make golden`", path.display());
    }
}

/// Checks the rules for structural schemas, and that no part of the schema accepts arbitrary values.
fn check_structural(path: &str, schema: &Value) {
    let fields = schema.as_object().unwrap_or_else(|| panic!("{path}: no schema: {schema}"));
    let int_or_string = fields.get("x-kubernetes-int-or-string") == Some(&json!(true));
    match fields.get("type") {
        Some(Value::String(kind)) => {
            assert!(!int_or_string, "{path}: both a type and int-or-string");
            match kind.as_str() {
                "array" => check_structural(&format!("{path}[]"), &fields["items"]),
                "object" if path != ".metadata" => {
                    let maps = fields.contains_key("additionalProperties");
                    assert!(maps != fields.contains_key("properties"), "{path}: fields or a map");
                }
                "object" | "string" | "integer" | "boolean" => {}
                other => panic!("{path}: type {other}"),
            }
        }
        None => assert!(int_or_string, "{path}: no type: {schema}"),
        other => panic!("{path}: type {other:?}"),
    }
    for banned in [
        "$ref",
        "$defs",
        "definitions",
        "x-kubernetes-preserve-unknown-fields",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "const",
        "title",
        "nullable",
        "patternProperties",
    ] {
        assert!(!fields.contains_key(banned), "{path}: {banned}");
    }
    if let Some(format) = fields.get("format") {
        assert!(["int32", "int64", "date-time"].contains(&format.as_str().unwrap()), "{path}: format {format}");
    }
    for name in fields.get("required").and_then(Value::as_array).into_iter().flatten() {
        assert!(
            fields["properties"].get(name.as_str().unwrap()).is_some(),
            "{path}: requires {name} without knowing it"
        );
    }
    for (name, below) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
        check_structural(&format!("{path}.{name}"), below);
    }
    if let Some(below) = fields.get("additionalProperties") {
        check_structural(&format!("{path}.*"), below);
    }
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn named(kind: &str) -> Value {
    crds::all().into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind).unwrap()
}

#[test]
fn schemas_are_structural_and_accept_no_arbitrary_values() {
    for crd in crds::all() {
        check_structural("", schema(&crd));
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
        assert!(columns.iter().all(|column| column["jsonPath"].as_str().unwrap().starts_with('.')));
    }
}

#[test]
fn names_are_those_of_kguardian() {
    let names = |kind: &str| named(kind)["spec"]["names"].clone();
    assert_eq!(
        names("AuditNetworkPolicy"),
        json!({
            "categories": ["foretell", "networking"], "kind": "AuditNetworkPolicy",
            "listKind": "AuditNetworkPolicyList", "plural": "auditnetworkpolicies",
            "shortNames": ["anp", "auditnetpol"], "singular": "auditnetworkpolicy",
        })
    );
    assert_eq!(
        names("AuditClusterNetworkPolicy"),
        json!({
            "categories": ["foretell", "networking"], "kind": "AuditClusterNetworkPolicy",
            "listKind": "AuditClusterNetworkPolicyList",
            "plural": "auditclusternetworkpolicies", "shortNames": ["acnp", "auditcnetpol"],
            "singular": "auditclusternetworkpolicy",
        })
    );
    let scopes = ["AuditNetworkPolicy", "AuditClusterNetworkPolicy", "AuditException"]
        .map(|kind| named(kind)["spec"]["scope"].clone());
    assert_eq!(scopes, ["Namespaced", "Cluster", "Namespaced"]);
}

/// Removes the descriptions.
fn without_words(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("description").is_some_and(Value::is_string) {
                fields.remove("description");
            }
            fields.values_mut().for_each(without_words);
        }
        Value::Array(items) => items.iter_mut().for_each(without_words),
        _ => {}
    }
}

#[test]
fn both_audit_policies_have_the_spec_of_a_network_policy() {
    let mut cluster = schema(&named("AuditClusterNetworkPolicy"))["properties"]["spec"]["properties"].clone();
    let namespaced = schema(&named("AuditNetworkPolicy"))["properties"]["spec"]["properties"].clone();
    assert!(cluster.as_object_mut().unwrap().remove("namespaceSelector").is_some());
    let (mut left, mut right) = (cluster, namespaced);
    without_words(&mut left);
    without_words(&mut right);
    assert_eq!(left, right);
    assert_eq!(left.as_object().unwrap().len(), 4);
    for kind in ["AuditClusterNetworkPolicy", "AuditNetworkPolicy"] {
        assert_eq!(schema(&named(kind))["properties"]["spec"]["required"], Value::Null, "podSelector may be absent");
        assert_eq!(schema(&named(kind))["required"], json!(["spec"]));
    }
}

#[test]
fn schemas_refuse_wrong_values() {
    let crd = named("AuditNetworkPolicy");
    let spec = &schema(&crd)["properties"]["spec"]["properties"];
    assert_eq!(spec["policyTypes"]["items"]["enum"], json!(["Ingress", "Egress"]));
    let port = &spec["ingress"]["items"]["properties"]["ports"]["items"]["properties"];
    assert_eq!(port["protocol"]["enum"], json!(["TCP", "UDP", "SCTP"]));
    assert_eq!(port["protocol"].get("default"), None, "a default in a list makes Argo CD see a difference for ever");
    assert_eq!(port["port"]["x-kubernetes-int-or-string"], json!(true));

    let crd = named("AuditException");
    let spec = &schema(&crd)["properties"]["spec"];
    assert_eq!(spec["required"], json!(["direction", "peers", "policyRef", "reason"]));
    let spec = &spec["properties"];
    assert_eq!(spec["direction"]["enum"], json!(["Egress", "Ingress"]));
    assert_eq!((&spec["reason"]["minLength"], &spec["peers"]["minItems"]), (&json!(1), &json!(1)));
    assert_eq!(spec["expiresAt"]["format"], json!("date-time"));
    assert_eq!(spec["policyRef"]["properties"]["kind"]["enum"].as_array().unwrap().len(), 6);
}

#[test]
fn the_default_status_has_observed_no_generation() {
    for kind in ["AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
        let crd = named(kind);
        let status = &schema(&crd)["properties"]["status"];
        assert_eq!(status["default"], json!({"observedGeneration": -1}));
        assert_eq!(status["properties"]["observedGeneration"]["default"], json!(-1));
        assert_eq!(status["properties"]["evaluation"]["properties"]["topOffenders"]["maxItems"], json!(50));
        assert_eq!(crd["spec"]["versions"][0]["subresources"], json!({"status": {}}));
    }
}
