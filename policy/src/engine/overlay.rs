//! The parts of a Git revision on which identities depend: pod templates, namespaces and Services.

use std::collections::{BTreeMap, HashMap};

use crate::cluster::workload::Workload;
use foretell_objects::model::labels::Labels;
use foretell_objects::model::port::NamedPort;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::id::ObjectId;
use foretell_objects::resource::reads;
use foretell_objects::resource::reads::pod::PodFields;
use foretell_objects::resource::reads::service::{ServiceFields, ServicePort};

/// The state that a Git revision defines. It leaves objects that it does not contain unchanged.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Pod templates by workload.
    pub templates: HashMap<Workload, Template>,
    /// Labels by namespace.
    pub namespaces: BTreeMap<String, Labels>,
    /// Services by namespace and name.
    pub services: HashMap<(String, String), ServiceTemplate>,
}

/// The part of a pod template on which the identity of its pods depends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Labels of the pods.
    pub labels: Labels,
    /// Named ports of the pods' containers, sorted.
    pub ports: Vec<NamedPort>,
}

/// The part of a Service manifest on which its backends depend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTemplate {
    /// `spec.selector`.
    pub selector: Labels,
    /// `spec.ports`, with defaults.
    pub ports: Vec<ServicePort>,
}

impl Overlay {
    /// Collects the overlay of a revision's objects.
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

/// Live labels with those of Git's old state (`base`) replaced by those of its new state (`head`). Labels that others added stay:
/// the pod-template-hash, those of a mesh's injector, kustomize's common labels. If `head` is `None`, nothing changes.
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
