//! How an index reads rules under a dialect.

use std::collections::HashMap;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::Ending;
use crate::engine::identities::Identities;
use crate::policy::end_kind::EndKind;
use crate::policy::peer::{PeerMatcher, PeerSet};
use crate::policy::port::{PortMatcher, Ports};
use foretell_objects::model::dialect::{ByBlock, Dialect, Excepts, NamedPorts, ToOwnNode};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::port::NamedPort;

/// A dialect, with the facts about the cluster that it depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResolvedDialect {
    pub(crate) dialect: Dialect,
    /// Whether the dialect states if blocks match pods and nodes.
    decides_blocks: bool,
    /// By namespace: the named ports of its running pods. Empty unless the dialect resolves named ports by them.
    names: HashMap<String, Vec<NamedPort>>,
}

/// How the blocks and ports of an egress rule are read.
pub(crate) struct PortsAndBlocks {
    /// The ports to use instead; `None` if the rule's own ports apply.
    pub(crate) ports: Option<Vec<PortMatcher>>,
    /// Whether the blocks of the rule match no one.
    pub(crate) without_blocks: bool,
}

impl ResolvedDialect {
    pub(crate) fn of(dialect: Dialect, cluster: &Cluster, identities: &Identities) -> Self {
        let mut names: HashMap<String, Vec<NamedPort>> = HashMap::new();
        if dialect.named_ports == NamedPorts::OfTheNamespace {
            // hostNetwork pods and finished pods do not count.
            let pods = cluster.pods().filter(|(_, pod)| !pod.host_network && pod.life.end == Ending::Running);
            for (id, _) in pods {
                let identity = identities.identity(id);
                names.entry(identity.namespace.clone()).or_default().extend(identity.ports.iter().cloned());
            }
            for list in names.values_mut() {
                list.sort();
                list.dedup();
            }
        }
        let decides_blocks = [dialect.pods_by_block, dialect.nodes_by_block] != [ByBlock::Unspecified; 2];
        Self { dialect, decides_blocks, names }
    }

    /// Whether it is unspecified that blocks match pods and nodes, so that such an allow carries a note. This is upstream's dialect
    /// and the common case.
    #[inline]
    pub(crate) fn leaves_blocks_open(&self) -> bool {
        !self.decides_blocks
    }

    /// Whether an `ipBlock` that contains the address of an end matches it.
    #[inline]
    pub(crate) fn by_block(&self, kind: EndKind) -> ByBlock {
        match kind {
            EndKind::Pod(_) => self.dialect.pods_by_block,
            EndKind::Node => self.dialect.nodes_by_block,
            // An unknown pod is treated like a pod: if blocks never match pods, they do not match it. Otherwise they do, without
            // the note that enforcers differ.
            EndKind::Unresolved if self.dialect.pods_by_block == ByBlock::NotMatched => ByBlock::NotMatched,
            EndKind::Outside | EndKind::Unresolved => ByBlock::Matched,
        }
    }

    /// Whether traffic between a pod and its own node is exempt from policies.
    #[inline]
    pub(crate) fn exempts_own_node(&self, direction: Direction) -> bool {
        direction == Direction::Ingress || self.dialect.to_own_node != ToOwnNode::Judged
    }

    pub(crate) fn excepts(&self) -> Excepts {
        self.dialect.excepts
    }

    /// How the ports of a rule are read, if the policy belongs to `namespace`. A cluster policy (`None`) is read by upstream's
    /// text: only enforced policies have a dialect, and a cluster policy is enforced as one policy in each namespace.
    pub(crate) fn read(
        &self,
        peers: &PeerSet,
        ports: &[PortMatcher],
        direction: Direction,
        namespace: Option<&str>,
    ) -> PortsAndBlocks {
        let as_written = PortsAndBlocks { ports: None, without_blocks: false };
        let Some(namespace) = namespace.filter(|_| {
            self.dialect.named_ports == NamedPorts::OfTheNamespace
                && direction == Direction::Egress
                && ports.iter().any(PortMatcher::is_named)
        }) else {
            return as_written;
        };
        match peers {
            PeerSet::Everyone => {
                let declared = self.names.get(namespace).map_or(&[][..], Vec::as_slice);
                let numbers = ports.iter().flat_map(|matcher| numbers(matcher, declared));
                PortsAndBlocks { ports: Some(numbers.collect()), without_blocks: false }
            }
            PeerSet::AnyOf(matchers) if matchers.iter().all(|it| matches!(it, PeerMatcher::Block { .. })) => {
                let numbers = ports.iter().filter(|matcher| !matcher.is_named()).cloned();
                PortsAndBlocks { ports: Some(numbers.collect()), without_blocks: false }
            }
            // With selectors and blocks in one rule, named ports apply to what selectors match. If the rule has numeric ports as
            // well, it would have to be split in two; it is kept as written.
            PeerSet::AnyOf(_) => {
                PortsAndBlocks { ports: None, without_blocks: ports.iter().all(PortMatcher::is_named) }
            }
        }
    }
}

/// Replaces a matcher of a port name by matchers of the numbers that pods declare under that name.
fn numbers(matcher: &PortMatcher, declared: &[NamedPort]) -> Vec<PortMatcher> {
    let Ports::Named(name) = &matcher.ports else { return vec![matcher.clone()] };
    let protocol = matcher.protocol;
    let matching = declared.iter().filter(|port| port.name == *name && port.protocol == protocol);
    matching.map(|port| PortMatcher { protocol, ports: Ports::Range(port.number, port.number) }).collect()
}
