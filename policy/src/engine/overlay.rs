//! What a Git revision says of workloads, namespaces and Services, as far as identities depend on it.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::inventory::namespace_labels;
use crate::cluster::pod::named_ports;
use crate::cluster::service::{ServicePort, service_ports};
use crate::cluster::workload::Workload;
use crate::model::labels::Labels;
use crate::model::port::NamedPort;
use crate::resource::object::Object;

/// What a revision says. It says nothing of what it does not hold.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Pod templates by workload.
    pub templates: HashMap<Workload, Template>,
    /// Labels by namespace.
    pub namespaces: BTreeMap<String, Labels>,
    /// Services by namespace and name.
    pub services: HashMap<(String, String), ServiceTemplate>,
}

/// What a pod template says of its pods' identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Labels of the template.
    pub labels: Labels,
    /// Named ports.
    pub ports: Vec<NamedPort>,
}

/// What a manifest says of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTemplate {
    /// Labels of the pods behind it.
    pub selector: Labels,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

impl Overlay {
    /// Collects what objects of a revision say.
    #[must_use]
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut overlay = Self::default();
        for object in objects {
            overlay.add(object);
        }
        overlay
    }

    fn add(&mut self, object: &Object) {
        match object {
            Object::Namespace(namespace) => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                let labels = namespace.metadata.labels.clone().unwrap_or_default();
                self.namespaces.insert(name.clone(), namespace_labels(&name, labels));
            }
            Object::Service(service) => {
                let Some(spec) = &service.spec else { return };
                let key = (
                    service.metadata.namespace.clone().unwrap_or_default(),
                    service.metadata.name.clone().unwrap_or_default(),
                );
                let selector = spec.selector.clone().unwrap_or_default();
                self.services.insert(key, ServiceTemplate { selector, ports: service_ports(spec) });
            }
            Object::Pod(pod) => {
                let labels = pod.metadata.labels.clone().unwrap_or_default();
                let ports = pod.spec.as_ref().map(named_ports).unwrap_or_default();
                self.templates.insert(workload("Pod", &pod.metadata), Template { labels, ports });
            }
            Object::Deployment(it) => {
                self.add_template("Deployment", &it.metadata, it.spec.as_ref().map(|spec| &spec.template));
            }
            Object::StatefulSet(it) => {
                self.add_template("StatefulSet", &it.metadata, it.spec.as_ref().map(|spec| &spec.template));
            }
            Object::DaemonSet(it) => {
                self.add_template("DaemonSet", &it.metadata, it.spec.as_ref().map(|spec| &spec.template));
            }
            Object::ReplicaSet(it) => {
                let template = it.spec.as_ref().and_then(|spec| spec.template.as_ref());
                self.add_template("ReplicaSet", &it.metadata, template);
            }
            Object::Job(it) => {
                self.add_template("Job", &it.metadata, it.spec.as_ref().map(|spec| &spec.template));
            }
            Object::CronJob(it) => {
                let job = it.spec.job_template.spec.as_ref();
                self.add_template("CronJob", &it.metadata, job.map(|spec| &spec.template));
            }
            _ => {}
        }
    }

    fn add_template(&mut self, kind: &str, metadata: &ObjectMeta, template: Option<&PodTemplateSpec>) {
        let Some(template) = template else { return };
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
        let ports = template.spec.as_ref().map(named_ports).unwrap_or_default();
        self.templates.insert(workload(kind, metadata), Template { labels, ports });
    }
}

fn workload(kind: &str, metadata: &ObjectMeta) -> Workload {
    Workload {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        kind: kind.to_owned(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// Live labels with what Git said (`base`) replaced by what it says (`head`). What somebody else added stays: the
/// pod-template-hash, a mesh's injector, kustomize's common labels. Where Git no longer says anything they stay as they are.
#[must_use]
pub fn replaced(live: &Labels, base: Option<&Labels>, head: Option<&Labels>) -> Labels {
    let Some(head) = head else { return live.clone() };
    let mut labels = live.clone();
    for key in base.into_iter().flat_map(Labels::keys) {
        labels.remove(key);
    }
    labels.extend(head.iter().map(|(key, value)| (key.clone(), value.clone())));
    labels
}
