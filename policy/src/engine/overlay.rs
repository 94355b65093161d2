//! What a Git revision says of workloads, namespaces and Services, as far as identities depend on it.

use std::collections::{BTreeMap, HashMap};

use crate::cluster::workload::Workload;
use crate::model::labels::Labels;
use crate::model::port::NamedPort;
use crate::resource::object::Object;
use crate::resource::object::id::ObjectId;
use crate::resource::reads;
use crate::resource::reads::pod::PodFields;
use crate::resource::reads::service::{ServiceFields, ServicePort};

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
                let (name, labels) = reads::namespace::labels(namespace);
                self.namespaces.insert(name, labels);
            }
            Object::Service(service) if service.spec.is_some() => {
                let ObjectId { namespace, name, .. } = object.id();
                let ServiceFields { selector, ports, .. } = ServiceFields::of(service);
                self.services.insert((namespace, name), ServiceTemplate { selector, ports });
            }
            Object::Pod(pod) => self.add_template(object, PodFields::of_pod(pod)),
            _ => {
                if let Some(template) = reads::pod::template(object) {
                    self.add_template(object, PodFields::of_template(Some(template)));
                }
            }
        }
    }

    fn add_template(&mut self, object: &Object, PodFields { labels, ports, .. }: PodFields) {
        let ObjectId { kind, namespace, name } = object.id();
        let workload = Workload { namespace, kind: kind.name().to_owned(), name };
        self.templates.insert(workload, Template { labels, ports });
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
