//! Suggestions for fields that do not exist.

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use crate::resource::admin::{AdminNetworkPolicySpec, BaselineAdminNetworkPolicySpec, ClusterNetworkPolicySpec};
use crate::resource::audit::AuditClusterNetworkPolicySpec;
use crate::resource::exception::AuditExceptionSpec;
use crate::resource::object::Kind;
use crate::resource::object::fault::FieldError;
use crate::resource::object::path::{OwnedPath, Step};

/// The fault for a field that the kind does not have.
pub(super) fn unknown_field(kind: Kind, path: &OwnedPath) -> FieldError {
    let known = known_beside(kind, path);
    let name = match path.0.last() {
        Some(Step::Key(name)) => name.as_str(),
        _ => "",
    };
    let problem = match nearest(name, &known) {
        Some(near) => format!("unknown field: did you mean {near}?"),
        None if known.is_empty() => "unknown field".to_owned(),
        None => format!("unknown field: the fields here are {}", known.join(", ")),
    };
    FieldError::new(path, problem)
}

/// The fields that the structure which contains `path` has.
fn known_beside(kind: Kind, path: &OwnedPath) -> Vec<String> {
    let Some((_, parents)) = path.0.split_last() else { return Vec::new() };
    let Some((root, parents)) = parents.split_first() else {
        return ["apiVersion", "kind", "metadata", "spec"].map(str::to_owned).to_vec();
    };
    let mut generator = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true).into_generator();
    let schema = if *root == Step::Key("metadata".to_owned()) {
        ObjectMeta::json_schema(&mut generator)
    } else {
        spec_schema(kind, &mut generator)
    };
    let schema = schema.to_value();
    let found = parents.iter().try_fold(&schema, |schema, step| match step {
        Step::Key(key) => forms(schema).find_map(|form| form.get("properties")?.get(key)),
        Step::Index(_) => forms(schema).find_map(|form| form.get("items")),
    });
    let fields = found.and_then(|schema| forms(schema).find_map(|form| form.get("properties")?.as_object()));
    fields.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

fn spec_schema(kind: Kind, generator: &mut SchemaGenerator) -> schemars::Schema {
    match kind {
        Kind::AuditClusterNetworkPolicy => AuditClusterNetworkPolicySpec::json_schema(generator),
        Kind::AuditException => AuditExceptionSpec::json_schema(generator),
        Kind::AdminNetworkPolicy => AdminNetworkPolicySpec::json_schema(generator),
        Kind::BaselineAdminNetworkPolicy => BaselineAdminNetworkPolicySpec::json_schema(generator),
        Kind::ClusterNetworkPolicy => ClusterNetworkPolicySpec::json_schema(generator),
        _ => NetworkPolicySpec::json_schema(generator),
    }
}

/// The schema itself and its alternatives. An optional field has its type and null as alternatives.
fn forms(schema: &Value) -> impl Iterator<Item = &Value> {
    let alternatives = ["anyOf", "allOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    std::iter::once(schema).chain(alternatives)
}

fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let name = plain(name);
    let (distance, near) =
        known.iter().map(|known| (strsim::damerau_levenshtein(&name, &plain(known)), known)).min()?;
    (distance <= 1 + near.len() / 5).then_some(near)
}
