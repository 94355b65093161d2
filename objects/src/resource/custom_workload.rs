//! Objects of any other kind that make pods: Argo Rollouts, Kruise `CloneSet`s, Knative Services, `OpenShift` `DeploymentConfig`s and
//! every custom resource with a pod template.
//!
//! Their kinds are not listed anywhere. A pod template is found by its form, at any depth: `spec.containers`, with `metadata` beside.
//! Where a kind wraps labels, ports or the network of its pods in another form, it is unknown how its controller makes pods of
//! them. These fields are collected too, so that a change of them is not overlooked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::labels::Labels;
use crate::resource::kubernetes::PodTemplateSpec;
use crate::resource::object::origin::Origin;
use crate::resource::reads::pod::PodFields;

/// An object of a kind that is not in the table of kinds, as far as its pods depend on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomWorkload {
    /// Its API group; empty for the core group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pod templates that it contains, by path: `spec.template`.
    pub templates: BTreeMap<String, PodFields>,
    /// Fields in another form that become labels, ports or the network of pods, by path: `spec.podMetadata.labels`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wrapped: BTreeMap<String, Value>,
    /// Labels that may become those of pods. They count only if pods of the object are known: many kinds that make no pods have
    /// them too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub perhaps: BTreeMap<String, Value>,
    /// Kind and name of the workload whose template it uses in place of one of its own (`spec.workloadRef` of an Argo Rollout).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadRef>,
}

/// The workload whose template an object uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRef {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// How deep fields are searched. The deepest known template is six levels below `spec`.
const DEEPEST: usize = 16;

impl CustomWorkload {
    /// Reads an object of a kind that [`read`](crate::resource::read::read) does not know. `None` if it has no name, or nothing
    /// in it looks as if pods were made of it.
    #[must_use]
    pub fn read(value: &Value, origin: &Origin) -> Option<Self> {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (api_version, kind, name) = (text("/apiVersion")?, text("/kind")?, text("/metadata/name")?);
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if !makes_pods(group, kind) {
            return None;
        }
        let default_namespace = match origin {
            Origin::Manifest { default_namespace } => default_namespace,
            Origin::Cluster => "default",
        };
        let mut workload = Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: text("/metadata/namespace").unwrap_or(default_namespace).to_owned(),
            name: name.to_owned(),
            templates: BTreeMap::new(),
            wrapped: BTreeMap::new(),
            perhaps: BTreeMap::new(),
            workload_ref: None,
        };
        if let (Some(kind), Some(name)) = (text("/spec/workloadRef/kind"), text("/spec/workloadRef/name")) {
            workload.workload_ref = Some(WorkloadRef { kind: kind.to_owned(), name: name.to_owned() });
        }
        // `status` is a server's, and the root's own metadata is the object's.
        let fields = value.as_object()?.iter();
        for (key, value) in fields.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status")) {
            workload.collect(value, key, DEEPEST);
        }
        let is_empty = workload.templates.is_empty() && workload.wrapped.is_empty() && workload.perhaps.is_empty();
        (!is_empty || workload.workload_ref.is_some()).then_some(workload)
    }

    /// Kind, namespace and name: `Rollout shop/web`.
    #[must_use]
    pub fn title(&self) -> String {
        let Self { kind, namespace, name, .. } = self;
        format!("{kind} {namespace}/{name}")
    }

    /// Everything by which pods of two revisions may differ.
    #[must_use]
    pub fn relevant_fields(&self) -> Value {
        let templates: Map<String, Value> =
            self.templates.iter().map(|(path, fields)| (path.clone(), template(fields))).collect();
        let mut all = json!({ "templates": templates });
        for (key, fields) in [("fields", &self.wrapped), ("otherLabels", &self.perhaps)] {
            if !fields.is_empty() {
                all[key] = json!(fields);
            }
        }
        if let Some(WorkloadRef { kind, name }) = &self.workload_ref {
            all["workloadRef"] = json!({ "kind": kind, "name": name });
        }
        all
    }

    fn collect(&mut self, value: &Value, path: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match value {
            Value::Object(fields) if is_pod_template(fields) => {
                // A fault in a template is the API server's to report. Fields that fit are read.
                let template = json!({ "metadata": fields.get("metadata").map(labels_alone), "spec": network(fields) });
                let template = serde_json::from_value::<PodTemplateSpec>(template);
                match template {
                    Ok(template) => {
                        self.templates.insert(path.to_owned(), PodFields::of_template(Some(&template)));
                    }
                    Err(_) => _ = self.wrapped.insert(path.to_owned(), network(fields)),
                }
            }
            Value::Object(fields) => {
                let has_spec = fields.get("spec").is_some_and(Value::is_object);
                for (key, value) in fields {
                    let path = format!("{path}.{key}");
                    self.note(&path, key, value, has_spec);
                    self.collect(value, &path, depth);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.collect(item, &format!("{path}[{index}]"), depth);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Notes a field that may become part of pods. `has_spec`: the object that holds it has a `spec` as well, as a template has.
    fn note(&mut self, path: &str, key: &str, value: &Value, has_spec: bool) {
        let lower = key.to_ascii_lowercase();
        let steps = path.to_ascii_lowercase();
        let is_of_pods = steps.split('.').any(|step| step.contains("pod") && !step.contains("poddisruption"));
        let is_of_another = ["volumeclaim", "service", "ingress", "route", "secret", "configmap", "poddisruption"]
            .iter()
            .any(|other| steps.contains(other));
        if is_of_another {
            return;
        }
        match value {
            Value::Bool(_) if key == "hostNetwork" && !steps.contains("parameters") => {
                self.wrapped.insert(path.to_owned(), value.clone());
            }
            Value::Array(ports) if ports.iter().any(|port| port.get("containerPort").is_some()) => {
                self.wrapped.insert(path.to_owned(), value.clone());
            }
            Value::Object(fields) => {
                let labels = if lower.ends_with("podlabels") {
                    Some((path.to_owned(), value))
                } else if lower.ends_with("metadata") {
                    fields.get("labels").map(|labels| (format!("{path}.labels"), labels))
                } else {
                    None
                };
                let Some((path, labels)) = labels.filter(|(_, labels)| is_labels(labels)) else { return };
                let is_template =
                    has_spec && steps.ends_with("template.metadata") && !steps.contains("jobtemplate.metadata");
                let list = if is_of_pods || is_template { &mut self.wrapped } else { &mut self.perhaps };
                list.insert(path, labels.clone());
            }
            _ => {}
        }
    }
}

/// The fields of a template by which its pods are distinguished, in the form of the other workloads.
fn template(fields: &PodFields) -> Value {
    let ports: Vec<_> = fields.ports.iter().map(|port| (&port.name, port.protocol, port.number)).collect();
    json!({ "labels": fields.labels, "ports": ports, "hostNetwork": fields.host_network })
}

/// Kinds with templates of something else: nodes, Secrets, manifests that a policy engine compares.
fn makes_pods(group: &str, kind: &str) -> bool {
    let is_of_nodes =
        group.ends_with("cluster.x-k8s.io") || group.starts_with("karpenter.") || group == "machine.openshift.io";
    let is_of_checks = ["kyverno.io", "gatekeeper.sh"].iter().any(|checker| group.ends_with(checker));
    let is_of_another = ["Secret", "Certificate", "PodSecurityPolicy", "CustomResourceDefinition"];
    !is_of_nodes && !is_of_checks && !is_of_another.iter().any(|part| kind.contains(part))
}

/// `spec.containers` is what every pod template has.
fn is_pod_template(fields: &Map<String, Value>) -> bool {
    fields.get("spec").and_then(|spec| spec.get("containers")).is_some_and(Value::is_array)
}

fn labels_alone(metadata: &Value) -> Value {
    json!({ "labels": metadata.get("labels") })
}

/// The fields of a template's spec that the engine reads.
fn network(template: &Map<String, Value>) -> Value {
    let spec = template.get("spec").cloned().unwrap_or_default();
    let containers = |key: &str| {
        let containers = spec.get(key).and_then(Value::as_array).into_iter().flatten();
        let ports = |container: &Value| json!({ "ports": container.get("ports"), "restartPolicy": container.get("restartPolicy") });
        containers.map(ports).collect::<Vec<_>>()
    };
    json!({
        "containers": containers("containers"),
        "initContainers": containers("initContainers"),
        "hostNetwork": spec.get("hostNetwork"),
    })
}

fn is_labels(value: &Value) -> bool {
    serde_json::from_value::<Labels>(value.clone()).is_ok_and(|labels| !labels.is_empty())
}
