//! The parts of a Git revision on which identities depend: pod templates, namespaces and Services.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::cluster::pod::Pod;
use crate::cluster::service::ListedEndpoint;
use crate::cluster::workload::Workload;
use foretell_objects::model::labels::Labels;
use foretell_objects::model::port::NamedPort;
use foretell_objects::resource::custom_workload::{CustomWorkload, WorkloadRef};
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::id::ObjectId;
use foretell_objects::resource::reads;
use foretell_objects::resource::reads::endpoint_slice::SliceFields;
use foretell_objects::resource::reads::endpoints::EndpointsFields;
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
    /// The endpoints that manifests list, by namespace and name of their Service.
    pub endpoints: HashMap<(String, String), BTreeSet<ListedEndpoint>>,
}

/// The part of a pod template on which the identity of its pods depends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Labels of the pods.
    pub labels: Labels,
    /// Named ports of the pods' containers, sorted.
    pub ports: Vec<NamedPort>,
    /// Whether the pods are hostNetwork pods.
    pub host_network: bool,
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

    /// Adds the templates of objects of other kinds. An object with several templates is left out: which of its pods are made of
    /// which template is its controller's affair.
    pub fn add_custom<'a>(&mut self, workloads: impl IntoIterator<Item = &'a CustomWorkload> + Clone) {
        let key = |kind: &str, namespace: &str, name: &str| Workload {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        for it in workloads.clone() {
            if it.templates.len() == 1
                && let Some(fields) = it.templates.values().next()
            {
                self.templates.insert(key(&it.kind, &it.namespace, &it.name), Template::from(fields.clone()));
            }
        }
        for it in workloads {
            if let Some(WorkloadRef { kind, name }) = &it.workload_ref
                && let Some(template) = self.templates.get(&key(kind, &it.namespace, name)).cloned()
            {
                self.templates.insert(key(&it.kind, &it.namespace, &it.name), template);
            }
        }
    }

    /// The template that defines a pod: that of its workload, or else that of an owner of its workload.
    #[must_use]
    pub fn template_of(&self, pod: &Pod) -> Option<&Template> {
        let mut managers = pod.managers.iter();
        self.templates.get(&pod.workload).or_else(|| managers.find_map(|manager| self.templates.get(manager)))
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
            Object::EndpointSlice(slice) => {
                for (service, endpoint) in ListedEndpoint::of_slice(&SliceFields::of(slice)) {
                    self.endpoints.entry(service).or_default().insert(endpoint);
                }
            }
            // The control plane mirrors Endpoints of a Service without a selector into EndpointSlices, which kube-proxy reads
            // (pkg/controller/endpointslicemirroring).
            Object::Endpoints(endpoints) => {
                let ObjectId { namespace, name, .. } = object.id();
                let fields = EndpointsFields::of(endpoints);
                let listed = fields.listed.into_iter().filter(|_| fields.mirrored);
                let listed = listed.map(|it| ListedEndpoint { port_name: it.port_name, ip: it.ip, port: it.port });
                self.endpoints.entry((namespace, name)).or_default().extend(listed);
            }
            Object::Pod(pod) => self.add_template(object, PodFields::of_pod(pod)),
            _ => {
                if let Some(template) = reads::pod::template(object) {
                    self.add_template(object, PodFields::of_template(Some(template)));
                }
            }
        }
    }

    fn add_template(&mut self, object: &Object, fields: PodFields) {
        let ObjectId { kind, namespace, name } = object.id();
        let workload = Workload { namespace, kind: kind.name().to_owned(), name };
        self.templates.insert(workload, Template::from(fields));
    }
}

impl From<PodFields> for Template {
    fn from(PodFields { labels, ports, host_network }: PodFields) -> Self {
        Self { labels, ports, host_network }
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
