//! From a question to its answer: who is meant, which of their pods policies can tell apart, and what becomes of each.

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
use crate::engine::index::EndKind;
use crate::engine::pair::{Dialled, Pair};
use crate::engine::world::World;
use crate::explain::explanation::ends::{ConnectionEnd, EndName, ExplainError, NamedEnd, ResolvedName, find, ports};
use crate::explain::explanation::sentence::{QueryNames, headline, title};
use crate::explain::explanation::walk::walk;
use crate::explain::explanation::{Explanation, PairGroup, PolicyOutcome, Reachability, SCHEMA_VERSION, Walk, audits};
use crate::model::dialect::EnforcedEnds::EitherOnOneNode;
use crate::model::flow::{Direction, Endpoint, Flow, Protocol};
use crate::policy::network_policy::{Policy, Restriction};

/// May one reach the other?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainQuery {
    /// Who would open the connection.
    pub from: EndName,
    /// Who would answer.
    pub to: EndName,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port that is dialled.
    pub port: u16,
    /// When: pods that live then are meant.
    pub at: Timestamp,
}

/// A client and a server that stand for all that policies cannot tell from them.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairClass {
    pub(super) pair: Pair,
    pub(super) count: u64,
}

/// Answers a question in the world of what is enforced, and says what the audit policies would add.
///
/// # Errors
/// [`ExplainError`] where it is not clear who is meant.
pub fn explain(world: &World<'_>, audited: &[Arc<Policy>], asked: &ExplainQuery) -> Result<Explanation, ExplainError> {
    let cluster = world.cluster();
    let ExplainQuery { protocol, port, at, .. } = *asked;
    let ResolvedName { name: from, meant: clients, note: of_client } =
        find(cluster, &asked.from, ConnectionEnd::Client, at)?;
    let ResolvedName { name: to, meant: servers, note: of_server } =
        find(cluster, &asked.to, ConnectionEnd::Server, at)?;
    let dials = destination(cluster, servers, asked)?;
    let dials_service = matches!(dials, DialTargets::Service(..));
    if let NamedEnd::Address(ip) = clients
        && let Some(service) = cluster.services_by_address(ip).first().map(|id| cluster.service(*id))
    {
        return Err(ExplainError::ServiceAsClient(format!("{ip}, of {}/{},", service.namespace, service.name)));
    }
    let pairs = pairs(world, audited, clients, &dials, asked);
    if pairs.is_empty() {
        return Err(ExplainError::NoCommonFamily { from, to });
    }
    let is_unanswered =
        |it: &PairClass| matches!(it.pair.dst, End::Address { ip } if !cluster.services_by_address(ip).is_empty());
    let unanswered = (dials_service && pairs.iter().any(is_unanswered))
        .then(|| format!("no pod behind {to} is ready; it is judged by its address"));
    let cni = world.dialect();
    let enforcer = recognise(cluster, at).and_then(|recognised| remark(&recognised, cni));
    let notes = [of_client, of_server, unanswered, enforcer].into_iter().flatten().collect();
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
    let sentence = headline(&named, &cases, dials_service);
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

/// Whom a client dials.
enum DialTargets {
    /// One of these.
    Ends(Vec<End>),
    /// A Service, by one of its addresses.
    Service(Vec<Destination>),
}

fn destination(cluster: &Cluster, servers: NamedEnd, asked: &ExplainQuery) -> Result<DialTargets, ExplainError> {
    let ExplainQuery { protocol, port, at, .. } = *asked;
    let without_port = |id| {
        let service = cluster.service(id);
        let name = format!("{}/{}", service.namespace, service.name);
        ExplainError::NoServicePort { service: name, protocol, port, has: ports(service) }
    };
    match servers {
        NamedEnd::Pods(pods) => Ok(DialTargets::Ends(pods.into_iter().flat_map(|pod| ends_of(cluster, pod)).collect())),
        NamedEnd::Address(ip) => match (resolve(cluster, ip, asked, at).dst, cluster.services_by_address(ip).first()) {
            (service @ Destination::Service { .. }, _) => Ok(DialTargets::Service(vec![service])),
            (Destination::Direct(End::Address { .. }), Some(service)) => Err(without_port(*service)),
            (Destination::Direct(end), _) => Ok(DialTargets::Ends(vec![end])),
        },
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

/// Who has an address, and what it is to those who dial it.
fn resolve(cluster: &Cluster, ip: IpAddr, asked: &ExplainQuery, at: Timestamp) -> Ends {
    cluster.resolve(&Flow {
        start: at,
        end: at,
        node: None,
        observed: None,
        src: Endpoint::address(ip),
        dst: Endpoint::address(ip),
        protocol: asked.protocol,
        port: asked.port,
        outcome: None,
        guessed: false,
        connections: 1,
        packets: 0,
        bytes: 0,
    })
}

/// A pod by each of its addresses.
fn ends_of(cluster: &Cluster, id: PodId) -> impl Iterator<Item = End> {
    let pod = cluster.pod(id);
    pod.addresses.iter().map(move |ip| {
        let ip = *ip;
        if pod.host_network { End::Host { node: pod.node, ip } } else { End::Pod { pod: id, ip } }
    })
}

/// All that policies can tell of an end: its address's family, who it is, its node where that may matter to the other end, and in
/// which blocks its address is.
type Likeness = (bool, Option<u32>, Option<u32>, Option<IpAddr>, Vec<bool>);

fn likeness(world: &World<'_>, end: &End, blocks: &BTreeSet<IpNet>, tells_nodes: bool) -> Likeness {
    let view = world.view();
    let family = end.ip().is_ipv4();
    let in_blocks = blocks.iter().map(|block| block.contains(&end.ip())).collect();
    let (who, node, ip) = match *end {
        End::Pod { pod, .. } => (Some(view.identity(pod)), view.cluster.pod(pod).node.filter(|_| tells_nodes), None),
        // Two hosts may be known by one address.
        End::Host { node, ip } => (None, node, Some(ip)),
        End::UnknownPod { ip } | End::Address { ip } => (None, None, Some(ip)),
    };
    (family, who, node.map(NodeId::number), ip, in_blocks)
}

/// Every kind of client with every kind of server that it can dial by an address of its own family.
fn pairs(
    world: &World<'_>,
    audited: &[Arc<Policy>],
    clients: NamedEnd,
    dials: &DialTargets,
    asked: &ExplainQuery,
) -> Vec<PairClass> {
    let cluster = world.cluster();
    let clients: Vec<End> = match clients {
        NamedEnd::Pods(pods) => pods.into_iter().flat_map(|pod| ends_of(cluster, pod)).collect(),
        NamedEnd::Address(ip) => vec![resolve(cluster, ip, asked, asked.at).src],
        NamedEnd::Service(_) => Vec::new(),
    };
    let blocks = blocks(world, audited);
    let is_no_pod = |end: &End| end.pod().is_none();
    match dials {
        DialTargets::Ends(servers) => {
            // Where one node's pods fare otherwise among themselves, all are told apart by their nodes.
            let tells = |others: &[End]| world.dialect().ends == EitherOnOneNode || others.iter().any(is_no_pod);
            let (tells_clients, tells_servers) = (tells(servers), tells(&clients));
            let clients = grouped(world, &clients, &blocks, tells_clients);
            let servers = grouped(world, servers, &blocks, tells_servers);
            direct(&clients, &servers, asked)
        }
        DialTargets::Service(addresses) => {
            let clients = grouped(world, &clients, &blocks, true);
            clients.iter().flat_map(|client| through(world, client, addresses, asked)).collect()
        }
    }
}

/// The blocks by which any policy tells addresses apart.
fn blocks(world: &World<'_>, audited: &[Arc<Policy>]) -> BTreeSet<IpNet> {
    let policies = world.policies().chain(audited);
    let of_policies = policies.flat_map(|policy| Direction::BOTH.map(|direction| policy.restriction(direction)));
    let of_tiers = world.tiers().policies().iter().flat_map(|policy| policy.networks());
    of_policies.flat_map(Restriction::blocks).chain(of_tiers).collect()
}

/// Ends that policies cannot tell apart.
fn grouped(world: &World<'_>, ends: &[End], blocks: &BTreeSet<IpNet>, tells_nodes: bool) -> Vec<Vec<End>> {
    let mut groups: BTreeMap<Likeness, Vec<End>> = BTreeMap::new();
    for end in ends {
        groups.entry(likeness(world, end, blocks, tells_nodes)).or_default().push(*end);
    }
    groups.into_values().collect()
}

fn direct(clients: &[Vec<End>], servers: &[Vec<End>], asked: &ExplainQuery) -> Vec<PairClass> {
    let ExplainQuery { protocol, port, .. } = *asked;
    let mut found = Vec::new();
    let mut to_themselves = Vec::new();
    for (clients, servers) in clients.iter().flat_map(|clients| servers.iter().map(move |servers| (clients, servers))) {
        let each = || clients.iter().flat_map(|src| servers.iter().map(move |dst| (*src, *dst)));
        let is_own = |(src, dst): &(End, End)| src.pod().is_some() && src.pod() == dst.pod();
        let same_family = |(src, dst): &(End, End)| src.ip().is_ipv4() == dst.ip().is_ipv4();
        // All of a group are of one family.
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
    // Who asks whether pods of one workload reach each other does not mean each pod itself, unless there is one alone.
    if found.is_empty() { to_themselves } else { found }
}

fn through(world: &World<'_>, clients: &[End], addresses: &[Destination], asked: &ExplainQuery) -> Vec<PairClass> {
    let ExplainQuery { protocol, port, at, .. } = *asked;
    let view = world.view();
    let mut found = Vec::new();
    for dst in addresses {
        let Destination::Service { ip, .. } = dst else { continue };
        let Some(src) = clients.first().filter(|client| client.ip().is_ipv4() == ip.is_ipv4()) else { continue };
        let ends = Ends { src: *src, dst: *dst };
        for Backend { end, port } in view.backends(&ends, protocol, port, at) {
            let pair = Pair { src: *src, dst: end, protocol, port, dialled: Dialled::Service };
            found.push(PairClass { pair, count: clients.len() as u64 });
        }
    }
    found
}

/// What becomes of a pair.
fn case(world: &World<'_>, PairClass { pair, count }: &PairClass) -> PairGroup {
    let [egress, ingress] = Direction::BOTH.map(|direction| told(world, pair, direction));
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

/// The walk; but where nobody knows which pod stands there, what restricts it is not known either.
pub(super) fn told(world: &World<'_>, pair: &Pair, direction: Direction) -> Walk {
    let view = world.view();
    let walk = walk(&view, pair, direction);
    if view.kind(pair.subject(direction)) == EndKind::Unresolved {
        Walk { answer: Reachability::Unknown, ..walk }
    } else {
        walk
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

/// Whether the same policies say the same of both.
fn alike(known: &PairGroup, case: &PairGroup) -> bool {
    let gist = |case: &PairGroup| -> Vec<_> {
        let walks = [&case.egress, &case.ingress].into_iter();
        let said = |walk: &Walk| -> Vec<(String, PolicyOutcome, Option<String>, Option<String>)> {
            let steps = walk.tiers.iter().flat_map(|tier| &tier.policies);
            let nearest =
                |mismatch: &crate::explain::nearest::RuleMismatch| format!("{} {:?}", mismatch.rule, mismatch.failed);
            steps
                .map(|it| (it.policy.to_string(), it.outcome, it.rule.clone(), it.nearest.as_ref().map(nearest)))
                .collect()
        };
        walks.map(|walk| (walk.answer, walk.decided_by, said(walk))).collect()
    };
    known.port == case.port && gist(known) == gist(case)
}
