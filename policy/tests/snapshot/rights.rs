//! The rights in `manifests/snapshot` are exactly those that a snapshot needs.

use std::collections::BTreeSet;

use foretell_objects::manifest::documents::documents;
use foretell_policy::snapshot::api_resource::{RESOURCES, other_policies};
use serde_json::{Value, json};

const RBAC: &str = include_str!("../../../manifests/snapshot/rbac.yaml");

#[test]
fn each_resource_may_be_listed_and_nothing_else_may_be_done() {
    let roles = documents(RBAC).into_iter().map(|document| document.value.unwrap());
    let role = roles.into_iter().find(|object| object["kind"] == "ClusterRole").unwrap();
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], json!(["list"]));
        for group in texts(&rule["apiGroups"]) {
            granted.extend(texts(&rule["resources"]).into_iter().map(|resource| (group.clone(), resource)));
        }
    }
    let resources = RESOURCES.into_iter().chain(other_policies().flatten());
    let needed = resources.map(|resource| (resource.group().to_owned(), resource.plural.to_owned()));
    assert_eq!(granted, needed.collect());
}
