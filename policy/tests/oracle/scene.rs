//! A small cluster with its policies and its traffic, as plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foretell_objects::model::flow::{Flow, Protocol};
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

pub(crate) type Tags = BTreeMap<String, String>;

/// Minutes since the scene began.
pub(crate) type Minute = i64;

#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// Namespaces that have an object. Pods may be in others.
    pub(crate) namespaces: BTreeMap<&'static str, Tags>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) services: Vec<Service>,
    pub(crate) slices: Vec<Slice>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) admin_policies: Vec<OracleAdminPolicy>,
    /// Pod ranges that the user names.
    pub(crate) pod_ranges: Vec<&'static str>,
    pub(crate) flows: Vec<Flow>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) labels: Tags,
    pub(crate) addresses: Vec<IpAddr>,
    /// Addresses that its agent reports.
    pub(crate) reported: Vec<IpAddr>,
    pub(crate) pod_ranges: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) uid: Option<&'static str>,
    pub(crate) config_hash: Option<&'static str>,
    pub(crate) labels: Tags,
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) host_network: bool,
    pub(crate) node: Option<&'static str>,
    pub(crate) host_ip: Option<IpAddr>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) replica_set: Option<&'static str>,
    pub(crate) start: Option<Minute>,
    pub(crate) fate: Fate,
    /// Its Ready condition, if it has one.
    pub(crate) ready: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Running,
    Finished(Minute),
    FinishedSometime,
    /// The pod is gone since this minute.
    Gone(Minute),
    FinishedAndGone(Minute, Minute),
}

#[derive(Clone, Debug)]
pub(crate) struct ContainerPort {
    pub(crate) name: &'static str,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) number: u16,
    pub(crate) of: Container,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Ordinary,
    /// An init container that restarts and runs alongside the others.
    Sidecar,
    /// An init container that ends before the pod is ready.
    Init,
}

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) cluster_ips: Vec<IpAddr>,
    pub(crate) external_ips: Vec<IpAddr>,
    pub(crate) balancer_ips: Vec<IpAddr>,
    pub(crate) selector: Tags,
    pub(crate) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug)]
pub(crate) struct ServicePort {
    pub(crate) name: &'static str,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) number: u16,
    pub(crate) target: Target,
    pub(crate) node_port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Default,
    Number(u16),
    Named(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) namespace: &'static str,
    pub(crate) service: Option<&'static str>,
    pub(crate) ports: Vec<(Option<&'static str>, u16)>,
    pub(crate) endpoints: Vec<SliceEndpoint>,
}

#[derive(Clone, Debug)]
pub(crate) struct SliceEndpoint {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ready: Option<bool>,
    pub(crate) pod: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) scope: Scope,
    pub(crate) name: &'static str,
    pub(crate) spec: NetworkPolicySpec,
}

#[derive(Clone, Debug)]
pub(crate) enum Scope {
    Audit(&'static str),
    Enforced(&'static str),
    Cluster(Option<LabelSelector>),
}

/// An admin policy.
#[derive(Clone, Debug)]
pub(crate) struct OracleAdminPolicy {
    pub(crate) kind: AdminPolicyKind,
    pub(crate) name: &'static str,
    pub(crate) priority: i32,
    pub(crate) subject: Pods,
    pub(crate) ingress: Vec<AdminRule>,
    pub(crate) egress: Vec<AdminRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminPolicyKind {
    Admin,
    Baseline,
    ClusterAdmin,
    ClusterBaseline,
}

#[derive(Clone, Debug)]
pub(crate) struct Pods {
    pub(crate) namespaces: LabelSelector,
    /// `None` for all.
    pub(crate) pods: Option<LabelSelector>,
}

/// A rule of an admin policy.
#[derive(Clone, Debug)]
pub(crate) struct AdminRule {
    pub(crate) act: Action,
    pub(crate) peers: Vec<AdminPeer>,
    /// `None` for every port.
    pub(crate) ports: Vec<AdminPort>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Accept,
    Pass,
    Deny,
}

#[derive(Clone, Debug)]
pub(crate) enum AdminPeer {
    Pods(Pods),
    Nodes(LabelSelector),
    Networks(Vec<&'static str>),
    Domain,
}

#[derive(Clone, Debug)]
pub(crate) enum AdminPort {
    Numbers(&'static str, u16, u16),
    Named(&'static str),
}

/// A protocol, which Kubernetes allows to be absent.
pub(crate) fn protocol(text: Option<&str>) -> Protocol {
    match text {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(other) => panic!("{other} is no protocol"),
    }
}
