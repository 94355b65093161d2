//! Explains a query: resolves the names, groups the pods that policies cannot distinguish, and judges each pair of groups.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::detected::{recognise, remark};
use crate::cluster::inventory::Cluster;
use crate::cluster::node::NodeId;
use crate::cluster::ownership::{Destination, End, Ends};
use crate::cluster::party::Party;
use crate::cluster::pod::PodId;
use crate::engine::backends::Backend;
use crate::engine::pair::{Dialled, Pair};
use crate::engine::world::World;
use crate::explain::explanation::ends::{ConnectionEnd, EndName, ExplainError, NamedEnd, ResolvedName, find, ports};
use crate::explain::explanation::pair_class::PairClass;
use crate::explain::explanation::sentence::{QueryNames, headline, title};
use crate::explain::explanation::walk::walk_end;
use crate::explain::explanation::{Explanation, PairGroup, PolicyOutcome, Reachability, SCHEMA_VERSION, Walk, audits};
use crate::explain::nearest::RuleMismatch;
use crate::policy::network_policy::{Policy, Restriction};
use foretell_objects::model::dialect::EnforcedEnds::EitherOnOneNode;
use foretell_objects::model::flow::{Direction, Endpoint, Flow, Protocol};

/// A query: may `from` open a connection to `to`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainQuery {
    /// The client.
    pub from: EndName,
    /// The server.
    pub to: EndName,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port that the client connects to.
    pub port: u16,
    /// The time: names refer to pods that run at this time.
    pub at: Timestamp,
}

/// Explains a query in the world of the policies that are enforced, and states what each audit policy of `audited` would change.
///
/// ```
/// use std::sync::Arc;
///
/// use foretell_policy::cluster::inventory::Cluster;
/// use foretell_policy::engine::identities::Identities;
/// use foretell_policy::engine::world::World;
/// use foretell_policy::explain::explanation::Reachability;
/// use foretell_policy::explain::explanation::query::{ExplainQuery, explain};
/// use foretell_objects::model::flow::Protocol;
/// use foretell_policy::policy::network_policy::Policy;
/// use foretell_objects::resource::object::origin::Origin;
/// use foretell_objects::resource::read::read;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pod = json!({
///     "apiVersion": "v1", "kind": "Pod",
///     "metadata": {"name": "db", "namespace": "data", "labels": {"app": "db"}},
///     "spec": {"nodeName": "n1", "containers": [{"name": "db", "image": "db"}]},
///     "status": {"phase": "Running", "podIP": "10.1.1.1"},
/// });
/// let policy = json!({
///     "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
///     "metadata": {"name": "deny-all", "namespace": "data"},
///     "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
/// });
/// let mut objects = Vec::new();
/// for value in [pod, policy] {
///     objects.extend(read(value, &Origin::Cluster)?);
/// }
/// let cluster = Cluster::build(&objects);
/// let identities = Arc::new(Identities::as_recorded(&cluster));
/// let world = World::new(&cluster, identities, objects.iter().filter_map(Policy::of).map(Arc::new).collect());
///
/// let query = ExplainQuery {
///     from: "203.0.113.9".parse()?,
///     to: "data/Pod/db".parse()?,
///     protocol: Protocol::Tcp,
///     port: 5432,
///     at: "2026-01-01T12:00:00Z".parse()?,
/// };
/// let explanation = explain(&world, &[], &query)?;
/// assert_eq!(explanation.answer, Reachability::No);
/// assert_eq!(
///     explanation.sentence,
///     "No: 203.0.113.9 may not reach data/Pod/db on TCP 5432: NetworkPolicy data/deny-all denies ingress: \
///      it has no ingress rules, so all incoming traffic is denied."
/// );
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ExplainError`] if a name does not refer to exactly one end, or if the ends cannot be connected.
pub fn explain(world: &World<'_>, audited: &[Arc<Policy>], query: &ExplainQuery) -> Result<Explanation, ExplainError> {
    let cluster = world.cluster();
    let ExplainQuery { protocol, port, at, .. } = *query;
    let ResolvedName { name: from, end: clients, note: client_note } =
        find(cluster, &query.from, ConnectionEnd::Client, at)?;
    let ResolvedName { name: to, end: servers, note: server_note } =
        find(cluster, &query.to, ConnectionEnd::Server { protocol, port }, at)?;
    let blocks = blocks(world, audited);
    let targets = destination(cluster, servers, &blocks, query)?;
    let is_service = matches!(targets, DialTargets::Service(..));
    if let NamedEnd::Address(ip) = clients
        && let Some(service) = cluster.services_by_address(ip).first().map(|id| cluster.service(*id))
    {
        return Err(ExplainError::ServiceAsClient(format!("{ip}, of {}/{},", service.namespace, service.name)));
    }
    let pairs = pairs(world, &blocks, clients, &targets, query);
    if pairs.is_empty() {
        return Err(ExplainError::NoCommonFamily { from, to });
    }
    let has_no_backend =
        |it: &PairClass| matches!(it.pair.dst, End::Address { ip } if !cluster.services_by_address(ip).is_empty());
    let without_backend = (is_service && pairs.iter().any(has_no_backend))
        .then(|| format!("no pod behind {to} is ready, so the Service is judged by its address"));
    let cni = world.dialect();
    let enforcer = recognise(cluster, at).and_then(|recognised| remark(&recognised, cni));
    let notes = [client_note, server_note, without_backend, enforcer].into_iter().flatten().collect();
    let mut cases: Vec<PairGroup> = Vec::new();
    for pairs in &pairs {
        let case = case(world, pairs);
        match cases.iter_mut().find(|known| alike(known, &case)) {
            Some(known) => known.pairs += case.pairs,
            None => cases.push(case),
        }
    }
    cases.sort_by_key(|case| case.answer);
    let answer = cases.first().map_or(Reachability::Unknown, |case| case.answer);
    let named = QueryNames { from: &from, to: &to, protocol, port };
    let sentence = headline(&named, &cases, is_service);
    let audits = audits::audits(world, audited, &pairs, answer);
    let exit_status = answer.exit_status();
    let schema_version = SCHEMA_VERSION;
    Ok(Explanation {
        schema_version,
        answer,
        exit_status,
        sentence,
        cni,
        notes,
        from,
        to,
        protocol,
        port,
        at,
        cases,
        audits,
    })
}

/// The destinations that a client may connect to.
enum DialTargets {
    /// Ends, by their own addresses.
    Ends(Vec<End>),
    /// A Service, by its addresses.
    Service(Vec<Destination>),
}

fn destination(
    cluster: &Cluster,
    servers: NamedEnd,
    blocks: &BTreeSet<IpNet>,
    query: &ExplainQuery,
) -> Result<DialTargets, ExplainError> {
    let ExplainQuery { protocol, port, at, .. } = *query;
    let without_port = |id| {
        let service = cluster.service(id);
        let name = format!("{}/{}", service.namespace, service.name);
        ExplainError::NoServicePort { service: name, protocol, port, has: ports(service) }
    };
    match servers {
        NamedEnd::Pods(pods) => Ok(DialTargets::Ends(pods.into_iter().flat_map(|pod| ends_of(cluster, pod)).collect())),
        NamedEnd::Address(ip) => match (resolve(cluster, ip, query, at).dst, cluster.services_by_address(ip).first()) {
            (service @ Destination::Service { .. }, _) => Ok(DialTargets::Service(vec![service])),
            (Destination::Direct(End::Address { .. }), Some(service)) => Err(without_port(*service)),
            (Destination::Direct(end), _) => Ok(DialTargets::Ends(vec![end])),
        },
        NamedEnd::Range(range) => {
            let addresses = representatives(cluster, range, blocks).into_iter();
            let ends = addresses.filter_map(|ip| match resolve(cluster, ip, query, at).dst {
                Destination::Direct(end) => Some(end),
                Destination::Service { .. } => None,
            });
            Ok(DialTargets::Ends(ends.collect()))
        }
        NamedEnd::Service(id) => {
            let service = cluster.service(id);
            if service.addresses.is_empty() {
                return Err(ExplainError::Headless(format!("{}/{}", service.namespace, service.name)));
            }
            if service.port(protocol, port).is_none() {
                return Err(without_port(id));
            }
            let addresses = service.addresses.iter().map(|ip| Destination::Service { service: id, ip: *ip });
            Ok(DialTargets::Service(addresses.collect()))
        }
    }
}

/// Addresses of a range that stand for all others in it: those at which a block of a policy begins or has just ended, those of pods
/// and nodes, and the next ones. Addresses of unknown pods are left out, unless there are no others.
fn representatives(cluster: &Cluster, range: IpNet, blocks: &BTreeSet<IpNet>) -> BTreeSet<IpAddr> {
    let after = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u32::from(ip).checked_add(1).map(|next| IpAddr::V4(next.into())),
        IpAddr::V6(ip) => u128::from(ip).checked_add(1).map(|next| IpAddr::V6(next.into())),
    };
    let known: BTreeSet<IpAddr> = cluster.addresses().filter(|ip| range.contains(ip)).collect();
    let edges = blocks.iter().flat_map(|block| [Some(block.network()), after(block.broadcast())]);
    let next = known.iter().map(|ip| after(*ip));
    let all = [range.network()].into_iter().chain(edges.chain(next).flatten()).chain(known.iter().copied());
    let all: BTreeSet<IpAddr> = all.filter(|ip| range.contains(ip)).collect();
    let is_certain = |ip: &&IpAddr| known.contains(*ip) || !cluster.in_pod_range(**ip);
    let certain: BTreeSet<IpAddr> = all.iter().filter(is_certain).copied().collect();
    if certain.is_empty() { all } else { certain }
}

/// Resolves an address, as source and as destination.
fn resolve(cluster: &Cluster, ip: IpAddr, query: &ExplainQuery, at: Timestamp) -> Ends {
    let end = Endpoint::address(ip);
    cluster.resolve(&Flow::probe(end.clone(), end, query.protocol, query.port, at))
}

/// The ends of a pod, one for each of its addresses.
fn ends_of(cluster: &Cluster, id: PodId) -> impl Iterator<Item = End> {
    let pod = cluster.pod(id);
    pod.addresses.iter().map(move |ip| {
        let ip = *ip;
        if pod.host_network { End::Host { node: pod.node, ip } } else { End::Pod { pod: id, ip } }
    })
}

/// Everything that policies can see of an end: the family of its address, its identity, its node if that matters to the other end,
/// its address if it is not a known pod, and the blocks that contain the address.
type Appearance = (bool, Option<u32>, Option<u32>, Option<IpAddr>, Vec<bool>);

fn appearance(world: &World<'_>, end: &End, blocks: &BTreeSet<IpNet>, with_nodes: bool) -> Appearance {
    let view = world.view();
    let family = end.ip().is_ipv4();
    let in_blocks = blocks.iter().map(|block| block.contains(&end.ip())).collect();
    let (identity, node, ip) = match *end {
        End::Pod { pod, .. } => (Some(view.identity(pod)), view.cluster.pod(pod).node.filter(|_| with_nodes), None),
        // Two nodes may have the same address.
        End::Host { node, ip } => (None, node, Some(ip)),
        End::UnknownPod { ip } | End::Address { ip } => (None, None, Some(ip)),
    };
    (family, identity, node.map(NodeId::number), ip, in_blocks)
}

/// Pairs every group of clients with every group of servers that has an address of the same family.
fn pairs(
    world: &World<'_>,
    blocks: &BTreeSet<IpNet>,
    clients: NamedEnd,
    targets: &DialTargets,
    query: &ExplainQuery,
) -> Vec<PairClass> {
    let cluster = world.cluster();
    let clients: Vec<End> = match clients {
        NamedEnd::Pods(pods) => pods.into_iter().flat_map(|pod| ends_of(cluster, pod)).collect(),
        NamedEnd::Address(ip) => vec![resolve(cluster, ip, query, query.at).src],
        NamedEnd::Range(range) => {
            let addresses = representatives(cluster, range, blocks).into_iter();
            addresses.map(|ip| resolve(cluster, ip, query, query.at).src).collect()
        }
        NamedEnd::Service(_) => Vec::new(),
    };
    let is_no_pod = |end: &End| end.pod().is_none();
    match targets {
        DialTargets::Ends(servers) => {
            // If the enforcer treats pods of one node differently, pods are distinguished by their nodes.
            let by_node = |others: &[End]| world.dialect().ends == EitherOnOneNode || others.iter().any(is_no_pod);
            let (clients_by_node, servers_by_node) = (by_node(servers), by_node(&clients));
            let clients = grouped(world, &clients, blocks, clients_by_node);
            let servers = grouped(world, servers, blocks, servers_by_node);
            direct(&clients, &servers, query).iter().flat_map(|class| at_backends(world, class, query)).collect()
        }
        DialTargets::Service(addresses) => {
            let clients = grouped(world, &clients, blocks, true);
            clients.iter().flat_map(|client| through(world, client, addresses, query)).collect()
        }
    }
}

/// The blocks by which any policy distinguishes addresses.
fn blocks(world: &World<'_>, audited: &[Arc<Policy>]) -> BTreeSet<IpNet> {
    let policies = world.policies().chain(audited);
    let of_policies = policies.flat_map(|policy| Direction::BOTH.map(|direction| policy.restriction(direction)));
    let of_tiers = world.tiers().policies().iter().flat_map(|policy| policy.networks());
    of_policies.flat_map(Restriction::blocks).chain(of_tiers).collect()
}

/// Groups ends that policies cannot distinguish.
fn grouped(world: &World<'_>, ends: &[End], blocks: &BTreeSet<IpNet>, with_nodes: bool) -> Vec<Vec<End>> {
    let mut groups: BTreeMap<Appearance, Vec<End>> = BTreeMap::new();
    for end in ends {
        groups.entry(appearance(world, end, blocks, with_nodes)).or_default().push(*end);
    }
    groups.into_values().collect()
}

fn direct(clients: &[Vec<End>], servers: &[Vec<End>], query: &ExplainQuery) -> Vec<PairClass> {
    let ExplainQuery { protocol, port, .. } = *query;
    let mut found = Vec::new();
    let mut to_themselves = Vec::new();
    for (clients, servers) in clients.iter().flat_map(|clients| servers.iter().map(move |servers| (clients, servers))) {
        let each = || clients.iter().flat_map(|src| servers.iter().map(move |dst| (*src, *dst)));
        let is_own = |(src, dst): &(End, End)| src.pod().is_some() && src.pod() == dst.pod();
        let same_family = |(src, dst): &(End, End)| src.ip().is_ipv4() == dst.ip().is_ipv4();
        // All ends of a group are of one family.
        if !each().next().is_some_and(|ends| same_family(&ends)) {
            continue;
        }
        let mut of_pod: BTreeMap<PodId, u64> = BTreeMap::new();
        for pod in servers.iter().filter_map(End::pod) {
            *of_pod.entry(pod).or_default() += 1;
        }
        let own: u64 = clients.iter().filter_map(|client| of_pod.get(&client.pod()?)).sum();
        let all = (clients.len() * servers.len()) as u64;
        let pairs = |(src, dst): (End, End), count| PairClass {
            pair: Pair { src, dst, protocol, port, dialled: Dialled::Backend },
            count,
        };
        found.extend(each().find(|ends| !is_own(ends)).map(|ends| pairs(ends, all.saturating_sub(own))));
        to_themselves.extend(each().find(is_own).map(|ends| pairs(ends, own)));
    }
    // A query about pods of one workload is not about each pod and itself, unless there is only one pod.
    if found.is_empty() { to_themselves } else { found }
}

/// The pairs that a pair by its own addresses becomes. Behind a node port there may be several.
fn at_backends(world: &World<'_>, PairClass { pair, count }: &PairClass, query: &ExplainQuery) -> Vec<PairClass> {
    let ExplainQuery { protocol, port, at, .. } = *query;
    let ends = Ends { src: pair.src, dst: Destination::Direct(pair.dst) };
    let backends = world.view().backends(&ends, protocol, port, at).into_iter();
    backends
        .map(|Backend { end, port, dialled }| PairClass {
            pair: Pair { src: pair.src, dst: end, protocol, port, dialled },
            count: *count,
        })
        .collect()
}

fn through(world: &World<'_>, clients: &[End], addresses: &[Destination], query: &ExplainQuery) -> Vec<PairClass> {
    let ExplainQuery { protocol, port, at, .. } = *query;
    let view = world.view();
    let mut found = Vec::new();
    for dst in addresses {
        let Destination::Service { ip, .. } = dst else { continue };
        let Some(src) = clients.first().filter(|client| client.ip().is_ipv4() == ip.is_ipv4()) else { continue };
        let ends = Ends { src: *src, dst: *dst };
        for Backend { end, port, dialled } in view.backends(&ends, protocol, port, at) {
            let pair = Pair { src: *src, dst: end, protocol, port, dialled };
            found.push(PairClass { pair, count: clients.len() as u64 });
        }
    }
    found
}

/// Judges a pair at both ends.
fn case(world: &World<'_>, PairClass { pair, count }: &PairClass) -> PairGroup {
    let [egress, ingress] = Direction::BOTH.map(|direction| walk_end(world, pair, direction));
    PairGroup {
        answer: egress.answer.min(ingress.answer),
        pairs: *count,
        client: name(world, &pair.src),
        server: name(world, &pair.dst),
        port: pair.port,
        egress,
        ingress,
    }
}

fn name(world: &World<'_>, end: &End) -> String {
    match end.pod() {
        Some(pod) => {
            let pod = world.cluster().pod(pod);
            format!("{}/Pod/{}", pod.namespace, pod.name)
        }
        None => title(&Party::of(end, world.cluster())),
    }
}

/// Whether two cases have the same result by the same policies.
fn alike(known: &PairGroup, case: &PairGroup) -> bool {
    let gist = |case: &PairGroup| -> Vec<_> {
        let walks = [&case.egress, &case.ingress].into_iter();
        let steps = |walk: &Walk| -> Vec<(String, PolicyOutcome, Option<String>, Option<String>)> {
            let policies = walk.tiers.iter().flat_map(|tier| &tier.policies);
            let nearest = |mismatch: &RuleMismatch| format!("{} {:?}", mismatch.rule, mismatch.failed);
            policies
                .map(|it| (it.policy.to_string(), it.outcome, it.rule.clone(), it.nearest.as_ref().map(nearest)))
                .collect()
        };
        walks.map(|walk| (walk.answer, walk.decided_by, steps(walk))).collect()
    };
    known.port == case.port && gist(known) == gist(case)
}
