//! A scene as the Kubernetes objects and policies that the engine reads.

use std::net::IpAddr;
use std::sync::Arc;

use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::resource::kubernetes as core;
use foretell_objects::resource::kubernetes as discovery;
use foretell_objects::resource::object::Object;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::policy::network_policy::Policy as Compiled;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::generate::time;
use super::scene::{Container, Fate, Minute, Node, Pod, Policy, Scene, Scope, Service, Slice, Tags, Target};

pub(crate) fn objects(scene: &Scene) -> Vec<Object> {
    let mut objects: Vec<Object> = Vec::new();
    for (name, labels) in &scene.namespaces {
        let metadata = ObjectMeta { labels: labels_or_none(labels), ..named("", name) };
        objects.push(Object::Namespace(Box::new(core::Namespace { metadata })));
    }
    objects.extend(scene.nodes.iter().map(node));
    objects.extend(scene.pods.iter().map(pod));
    objects.extend(scene.services.iter().map(service));
    objects.extend(scene.slices.iter().map(slice));
    objects
}

pub(crate) fn cluster(scene: &Scene) -> Cluster {
    let mut cluster = Cluster::build(&objects(scene));
    for node in &scene.nodes {
        cluster.add_node_addresses(node.name, &node.reported);
    }
    for range in &scene.pod_ranges {
        cluster.add_pod_range(range.parse().unwrap());
    }
    cluster
}

pub(crate) fn policies(scene: &Scene) -> Vec<Arc<Compiled>> {
    scene.policies.iter().map(|policy| Arc::new(compiled(policy))).collect()
}

pub(crate) fn reference(policy: &Policy) -> PolicyRef {
    let (kind, namespace) = match policy.scope {
        Scope::Audit(namespace) => (PolicyKind::AuditNetworkPolicy, namespace),
        Scope::Enforced(namespace) => (PolicyKind::NetworkPolicy, namespace),
        Scope::Cluster(_) => (PolicyKind::AuditClusterNetworkPolicy, ""),
    };
    PolicyRef { kind, namespace: namespace.to_owned(), name: policy.name.to_owned() }
}

pub(crate) fn compiled(policy: &Policy) -> Compiled {
    match &policy.scope {
        Scope::Audit(_) | Scope::Enforced(_) => Compiled::namespaced(reference(policy), &policy.spec),
        Scope::Cluster(namespaces) => Compiled::cluster_wide(reference(policy), namespaces.as_ref(), &policy.spec),
    }
}

fn named(namespace: &str, name: &str) -> ObjectMeta {
    let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
    ObjectMeta { name: Some(name.to_owned()), namespace, ..ObjectMeta::default() }
}

fn labels_or_none(labels: &Tags) -> Option<Tags> {
    (!labels.is_empty()).then(|| labels.clone())
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn node(node: &Node) -> Object {
    let address = |ip: &IpAddr| core::NodeAddress { address: ip.to_string(), type_: "InternalIP".to_owned() };
    let spec = core::NodeSpec {
        pod_cidrs: Some(node.pod_ranges.iter().map(|range| (*range).to_owned()).collect()),
        ..core::NodeSpec::default()
    };
    let addresses = Some(node.addresses.iter().map(address).collect());
    let status = core::NodeStatus { addresses, node_info: None };
    let metadata = ObjectMeta { labels: labels_or_none(&node.labels), ..named("", node.name) };
    Object::Node(Box::new(core::Node { metadata, spec: Some(spec), status: Some(status) }))
}

fn pod(pod: &Pod) -> Object {
    let mut metadata = named(pod.namespace, pod.name);
    metadata.uid = pod.uid.map(str::to_owned);
    metadata.labels = labels_or_none(&pod.labels);
    metadata.owner_references = pod.replica_set.map(|name| {
        vec![OwnerReference {
            kind: "ReplicaSet".to_owned(),
            name: name.to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        }]
    });
    let mut annotations = Tags::new();
    if let Some(hash) = pod.config_hash {
        annotations.insert("kubernetes.io/config.hash".to_owned(), hash.to_owned());
    }
    if let Fate::Gone(at) | Fate::FinishedAndGone(_, at) = pod.fate {
        annotations.insert("foretell.dev/gone-at".to_owned(), time(at).to_string());
    }
    metadata.annotations = Some(annotations);
    Object::Pod(Box::new(core::Pod { metadata, spec: Some(pod_spec(pod)), status: Some(pod_status(pod)) }))
}

fn pod_spec(pod: &Pod) -> core::PodSpec {
    let container = |of: Container, restart: Option<&str>| {
        let ports = pod.ports.iter().filter(|port| port.of == of);
        let ports = ports.map(|port| core::ContainerPort {
            name: Some(port.name.to_owned()),
            protocol: port.protocol.map(str::to_owned),
            container_port: i32::from(port.number),
        });
        core::Container { ports: Some(ports.collect()), restart_policy: restart.map(str::to_owned) }
    };
    core::PodSpec {
        containers: vec![container(Container::Ordinary, None)],
        init_containers: Some(vec![container(Container::Init, None), container(Container::Sidecar, Some("Always"))]),
        host_network: pod.host_network.then_some(true),
        node_name: pod.node.map(str::to_owned),
    }
}

fn pod_status(pod: &Pod) -> core::PodStatus {
    let (phase, finished) = match pod.fate {
        Fate::Running | Fate::Gone(_) => ("Running", None),
        Fate::Finished(at) | Fate::FinishedAndGone(at, _) => ("Succeeded", Some(at)),
        Fate::FinishedSometime => ("Failed", None),
    };
    let ready = pod.ready.map(|ready| core::PodCondition {
        type_: "Ready".to_owned(),
        status: if ready { "True" } else { "False" }.to_owned(),
    });
    core::PodStatus {
        phase: Some(phase.to_owned()),
        start_time: pod.start.map(|at| Time(time(at))),
        pod_ip: pod.addresses.first().map(ToString::to_string),
        pod_ips: Some(texts(&pod.addresses).into_iter().map(|ip| core::StatusAddress { ip }).collect()),
        host_ip: pod.host_ip.map(|ip| ip.to_string()),
        container_statuses: finished.map(|at| vec![terminated(at)]),
        conditions: ready.map(|ready| vec![ready]),
        ..core::PodStatus::default()
    }
}

fn terminated(at: Minute) -> core::ContainerStatus {
    let terminated = core::ContainerStateTerminated { finished_at: Some(Time(time(at))) };
    let state = core::ContainerState { terminated: Some(terminated) };
    core::ContainerStatus { state: Some(state) }
}

fn service(service: &Service) -> Object {
    let ports = service.ports.iter().map(|port| core::ServicePort {
        name: Some(port.name.to_owned()),
        protocol: port.protocol.map(str::to_owned),
        port: i32::from(port.number),
        target_port: match port.target {
            Target::Default => None,
            Target::Number(number) => Some(IntOrString::Int(i32::from(number))),
            Target::Named(name) => Some(IntOrString::String(name.to_owned())),
        },
        node_port: port.node_port.map(i32::from),
    });
    let spec = core::ServiceSpec {
        cluster_ip: service.cluster_ips.first().map_or(Some("None".to_owned()), |ip| Some(ip.to_string())),
        cluster_ips: Some(texts(&service.cluster_ips)),
        external_ips: Some(texts(&service.external_ips)),
        selector: labels_or_none(&service.selector),
        ports: Some(ports.collect()),
        ..core::ServiceSpec::default()
    };
    let balancers = texts(&service.balancer_ips).into_iter();
    let balancers = balancers.map(|ip| core::LoadBalancerIngress { ip: Some(ip), ip_mode: None });
    let status =
        core::ServiceStatus { load_balancer: Some(core::LoadBalancerStatus { ingress: Some(balancers.collect()) }) };
    let metadata = named(service.namespace, service.name);
    Object::Service(Box::new(core::Service { metadata, spec: Some(spec), status: Some(status) }))
}

fn slice(slice: &Slice) -> Object {
    let mut metadata = named(slice.namespace, "");
    metadata.labels =
        slice.service.map(|service| [("kubernetes.io/service-name".to_owned(), service.to_owned())].into());
    let endpoints = slice.endpoints.iter().map(|endpoint| discovery::Endpoint {
        addresses: texts(&endpoint.addresses),
        conditions: endpoint.ready.map(|ready| discovery::EndpointConditions { ready: Some(ready) }),
        target_ref: endpoint.pod.map(|pod| core::ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(pod.to_owned()),
            ..core::ObjectReference::default()
        }),
    });
    let ports = slice.ports.iter().map(|(name, number)| discovery::EndpointPort {
        name: name.map(str::to_owned),
        port: Some(i32::from(*number)),
        ..discovery::EndpointPort::default()
    });
    Object::EndpointSlice(Box::new(discovery::EndpointSlice {
        address_type: "IPv4".to_owned(),
        metadata,
        endpoints: Some(endpoints.collect()),
        ports: Some(ports.collect()),
    }))
}
