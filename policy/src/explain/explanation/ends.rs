//! Resolves the names of workloads, pods, Services and addresses that people write in a query.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::PodId;
use crate::cluster::service::{Service, ServiceId};
use crate::cluster::workload::{Workload, kind_named};
use foretell_objects::model::flow::Protocol;
use foretell_objects::model::words::minute;
use foretell_objects::resource::reads::service::{ServicePort, TargetPort};

/// The name of an end, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndName {
    /// `shop/Deployment/checkout`, `shop/Pod/one`, `shop/Service/checkout`.
    Kind {
        /// Namespace.
        namespace: String,
        /// Kind.
        kind: String,
        /// Name.
        name: String,
    },
    /// `shop/checkout`: a pod of that name, or the only workload or Service that has it.
    Name {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// An address.
    Address(IpAddr),
    /// A range of addresses: `203.0.113.0/24`.
    Range(IpNet),
}

impl FromStr for EndName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Address(ip.to_canonical()));
        }
        if let Ok(range) = text.parse::<IpNet>() {
            return Ok(Self::Range(range.trunc()));
        }
        let wrong = "write NAMESPACE/KIND/NAME as in shop/Deployment/checkout, NAMESPACE/NAME, an address, or a range as in 10.0.0.0/8";
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            _ if parts.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) => Err(wrong),
            [namespace, name] => Ok(Self::Name { namespace: namespace.to_owned(), name: name.to_owned() }),
            [namespace, kind, name] => {
                let is_service = ["Service", "services", "svc"].iter().any(|name| name.eq_ignore_ascii_case(kind));
                let kind = if is_service { "Service" } else { kind_named(kind) };
                Ok(Self::Kind { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() })
            }
            _ => Err(wrong),
        }
    }
}

impl fmt::Display for EndName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind { namespace, kind, name } => write!(f, "{namespace}/{kind}/{name}"),
            Self::Name { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Address(ip) => write!(f, "{ip}"),
            Self::Range(range) => write!(f, "{range}"),
        }
    }
}

/// The end that a name refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NamedEnd {
    /// Pods that run at the time of the query.
    Pods(Vec<PodId>),
    /// A Service, which leads to its backends.
    Service(ServiceId),
    /// The end that has an address.
    Address(IpAddr),
    /// The ends that have the addresses of a range.
    Range(IpNet),
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Nothing has this name.
    #[error("{name}: not found in the snapshot; {known}")]
    NotFound {
        /// What was written.
        name: String,
        /// The names that exist, as a clause.
        known: String,
    },
    /// The workload has pods, and none of them had started.
    #[error("{name}: none of its pods had started by {at}; use a later --at")]
    NotYet {
        /// What was written.
        name: String,
        /// The time of the query.
        at: String,
    },
    /// None of the pods has an address.
    #[error("{0}: none of its pods has an address yet, so it has no traffic")]
    NoAddress(String),
    /// More than one workload or Service has this name.
    #[error("{name} is ambiguous; write one of: {}", choices.join(", "))]
    Ambiguous {
        /// What was written.
        name: String,
        /// The full names of all of them.
        choices: Vec<String>,
    },
    /// A Service opens no connections.
    #[error("{0} is a Service and opens no connections; name the workload of its pods instead")]
    ServiceAsClient(String),
    /// The Service does not have the port.
    #[error("Service {service} has no port {protocol} {port}; it has {has}")]
    NoServicePort {
        /// `namespace/name`
        service: String,
        /// The protocol of the query.
        protocol: Protocol,
        /// The port of the query.
        port: u16,
        /// The ports of the Service, as text.
        has: String,
    },
    /// The Service has no address.
    #[error("Service {0} has no address of its own (it is headless); name the workload of its pods, and their port")]
    Headless(String),
    /// One end has only IPv4 addresses, the other only IPv6 addresses.
    #[error("{from} and {to} share no address family: one has only IPv4 addresses, the other only IPv6 addresses")]
    NoCommonFamily {
        /// The client.
        from: String,
        /// The server.
        to: String,
    },
    /// The name is a loopback address, whose traffic never leaves a pod.
    #[error("{0}: loopback traffic never leaves its pod, so no policy applies; name the pod instead")]
    Loopback(IpAddr),
}

/// The end of a connection that a name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    Client,
    /// With the port that the client connects to.
    Server {
        protocol: Protocol,
        port: u16,
    },
}

/// A name that was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvedName {
    /// The unambiguous name.
    pub(super) name: String,
    pub(super) end: NamedEnd,
    /// A remark for the explanation.
    pub(super) note: Option<String>,
}

/// Resolves a name at a time.
pub(super) fn find(
    cluster: &Cluster,
    written: &EndName,
    side: ConnectionEnd,
    at: Timestamp,
) -> Result<ResolvedName, ExplainError> {
    let found = |name: String, end| ResolvedName { name, end, note: None };
    let (namespace, kind, name) = match written {
        EndName::Address(ip) if ip.is_loopback() => return Err(ExplainError::Loopback(*ip)),
        EndName::Address(ip) => return Ok(found(ip.to_string(), NamedEnd::Address(*ip))),
        EndName::Range(range) if range.prefix_len() == range.max_prefix_len() => {
            return Ok(found(range.addr().to_string(), NamedEnd::Address(range.addr().to_canonical())));
        }
        EndName::Range(range) => return Ok(found(range.to_string(), NamedEnd::Range(*range))),
        EndName::Kind { namespace, kind, name } => (namespace, Some(kind.as_str()), name),
        EndName::Name { namespace, name } => (namespace, None, name),
    };
    let is_kind = |candidate: &str| kind.is_none_or(|kind| kind == candidate);
    let pods = cluster.pods_by_name(namespace, name).to_vec();
    // The name of a pod has precedence over that of a workload or Service.
    if is_kind("Pod") && !pods.is_empty() {
        return running(cluster, format!("{namespace}/Pod/{name}"), pods, at);
    }
    let of_workloads = cluster.pods().filter(|(_, pod)| pod.workload.namespace == *namespace);
    let named = of_workloads.filter(|(_, pod)| pod.workload.name == *name && is_kind(&pod.workload.kind));
    let kinds: BTreeSet<&str> = named.map(|(_, pod)| pod.workload.kind.as_str()).collect();
    let is_named = |service: &Service| service.namespace == *namespace && service.name == *name;
    let service = cluster.services().find(|(_, service)| is_kind("Service") && is_named(service)).map(|(id, _)| id);
    let (kinds, service) = decide_by_port(cluster, kinds, service, side);
    match (kinds.len(), service) {
        (0, Some(_)) if side == ConnectionEnd::Client => {
            Err(ExplainError::ServiceAsClient(format!("{namespace}/{name}")))
        }
        (0, Some(service)) => Ok(found(format!("{namespace}/Service/{name}"), NamedEnd::Service(service))),
        (1, service) if service.is_none() || side == ConnectionEnd::Client => {
            let kind = kinds.first().copied().unwrap_or_default();
            let workload = Workload { namespace: namespace.clone(), kind: kind.to_owned(), name: name.clone() };
            let pods = cluster.pods().filter(|(_, pod)| pod.workload == workload).map(|(id, _)| id).collect();
            running(cluster, format!("{namespace}/{kind}/{name}"), pods, at)
        }
        (0, None) => Err(ExplainError::NotFound { name: written.to_string(), known: known(cluster, namespace) }),
        _ => {
            let service = service.filter(|_| side != ConnectionEnd::Client).map(|_| "Service");
            let choices = kinds.into_iter().chain(service).map(|kind| format!("{namespace}/{kind}/{name}"));
            Err(ExplainError::Ambiguous { name: written.to_string(), choices: choices.collect() })
        }
    }
}

/// If a workload and a Service have the name, the port may decide which is meant: a Service without that port is not, and a workload
/// is not if the port is only that of the Service, and not one that the Service leads to.
fn decide_by_port<'k>(
    cluster: &Cluster,
    kinds: BTreeSet<&'k str>,
    service: Option<ServiceId>,
    side: ConnectionEnd,
) -> (BTreeSet<&'k str>, Option<ServiceId>) {
    let (ConnectionEnd::Server { protocol, port }, Some(id), false) = (side, service, kinds.is_empty()) else {
        return (kinds, service);
    };
    let service = cluster.service(id);
    if service.port(protocol, port).is_none() {
        return (kinds, None);
    }
    let leads_to = |given: &ServicePort| match &given.target {
        TargetPort::Number(number) => *number == port,
        TargetPort::Named(name) => {
            let mut declared = cluster.pods_of(&service.namespace).iter().flat_map(|pod| &cluster.pod(*pod).ports);
            declared.any(|named| named.name == *name && named.protocol == protocol && named.number == port)
        }
    };
    if service.ports.iter().any(|given| given.protocol == protocol && leads_to(given)) {
        return (kinds, Some(id));
    }
    (BTreeSet::new(), Some(id))
}

/// The pods that run at a time. If none does, the one that started last represents them: a `CronJob` only has pods from time to time.
fn running(cluster: &Cluster, name: String, pods: Vec<PodId>, at: Timestamp) -> Result<ResolvedName, ExplainError> {
    let (alive, others): (Vec<PodId>, Vec<PodId>) = pods.into_iter().partition(|pod| cluster.is_alive(*pod, at));
    let start = |pod: &PodId| cluster.pod(*pod).life.start;
    let (pods, note) = if alive.is_empty() {
        let gone = others.into_iter().filter(|pod| start(pod).is_none_or(|start| start <= at));
        let Some(last) = gone.max_by_key(|pod| (start(pod), cluster.pod(*pod).name.as_str())) else {
            return Err(ExplainError::NotYet { name, at: minute(at) });
        };
        let pod = &cluster.pod(last).name;
        (vec![last], Some(format!("{name} has no pod at {}; its last pod, {pod}, is used instead", minute(at))))
    } else {
        (alive, None)
    };
    let addressed: Vec<PodId> = pods.into_iter().filter(|pod| !cluster.pod(*pod).addresses.is_empty()).collect();
    if addressed.is_empty() {
        return Err(ExplainError::NoAddress(name));
    }
    Ok(ResolvedName { name, end: NamedEnd::Pods(addressed), note })
}

/// The number of existing names that an error lists.
const MOST_NAMES: usize = 12;

fn known(cluster: &Cluster, namespace: &str) -> String {
    let workloads = cluster.pods().map(|(_, pod)| &pod.workload).filter(|workload| workload.namespace == namespace);
    let services = cluster.services().map(|(_, service)| service).filter(|service| service.namespace == namespace);
    let names: BTreeSet<String> =
        workloads.map(ToString::to_string).chain(services.map(|service| format!("Service/{}", service.name))).collect();
    if names.is_empty() {
        let namespaces = cluster.pods().map(|(_, pod)| pod.namespace.clone()).collect();
        return format!("namespace {namespace} has no pods; namespaces with pods: {}", first_names(namespaces));
    }
    format!("its namespace contains {}", first_names(names))
}

fn first_names(names: BTreeSet<String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let names: Vec<String> = names.into_iter().take(MOST_NAMES).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", names.join(", "))
}

/// The ports of a Service, as text.
pub(super) fn ports(service: &Service) -> String {
    let ports: Vec<String> = service.ports.iter().map(|port| format!("{} {}", port.protocol, port.port)).collect();
    if ports.is_empty() { "none".to_owned() } else { ports.join(", ") }
}
