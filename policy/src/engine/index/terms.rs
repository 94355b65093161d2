//! On which terms an index reads the text of rules.

use std::collections::HashMap;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::Ending;
use crate::engine::identities::Identities;
use crate::engine::index::EndKind;
use crate::model::dialect::{ByBlock, Dialect, Excepts, NamedPorts, ToOwnNode};
use crate::model::flow::Direction;
use crate::model::port::NamedPort;
use crate::policy::peer::{PeerMatcher, PeerSet};
use crate::policy::port::{PortMatcher, Ports};

/// A dialect, with what of the cluster it asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResolvedDialect {
    pub(crate) dialect: Dialect,
    /// Blocks do not mean what upstream's most usual answer is.
    decides_blocks: bool,
    /// By namespace the named ports of the pods that run there, where names of ports mean these.
    names: HashMap<String, Vec<NamedPort>>,
}

/// Blocks and ports of an egress rule, as they are read.
pub(crate) struct PortsAndBlocks {
    /// `None`: as they are written.
    pub(crate) ports: Option<Vec<PortMatcher>>,
    /// Blocks take nobody.
    pub(crate) without_blocks: bool,
}

impl ResolvedDialect {
    pub(crate) fn of(dialect: Dialect, cluster: &Cluster, identities: &Identities) -> Self {
        let mut names: HashMap<String, Vec<NamedPort>> = HashMap::new();
        if dialect.named_ports == NamedPorts::OfTheNamespace {
            // Pods on nodes' networks and finished ones are not asked.
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
        let decides_blocks = [dialect.pods_by_block, dialect.nodes_by_block] != [ByBlock::Unsaid; 2];
        Self { dialect, decides_blocks, names }
    }

    /// Whether blocks take pods and nodes alike, and say that enforcers differ: nearly everybody asks so.
    #[inline]
    pub(crate) fn leaves_blocks_open(&self) -> bool {
        !self.decides_blocks
    }

    /// Whether an `ipBlock` takes an end by its address.
    #[inline]
    pub(crate) fn by_block(&self, kind: EndKind) -> ByBlock {
        match kind {
            EndKind::Pod(_) => self.dialect.pods_by_block,
            EndKind::Node => self.dialect.nodes_by_block,
            // A pod that nobody knows is left as a pod is; that a block takes it nobody leaves open.
            EndKind::Unresolved if self.dialect.pods_by_block == ByBlock::NotMatched => ByBlock::NotMatched,
            EndKind::Outside | EndKind::Unresolved => ByBlock::Taken,
        }
    }

    /// Whether no policy can deny what passes between a pod and its own node.
    #[inline]
    pub(crate) fn exempts_own_node(&self, direction: Direction) -> bool {
        direction == Direction::Ingress || self.dialect.to_own_node != ToOwnNode::Judged
    }

    pub(crate) fn excepts(&self) -> Excepts {
        self.dialect.excepts
    }

    /// How the ports of a rule are read whose policy holds in a namespace. A cluster policy is read as upstream has it: only what
    /// is enforced has a dialect, and it is enforced as one policy a namespace.
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
            // Selectors and blocks side by side: names are looked up for what selectors take. Where numbers stand beside the
            // names, a rule would have to be two; there it stays as it is written.
            PeerSet::AnyOf(_) => {
                PortsAndBlocks { ports: None, without_blocks: ports.iter().all(PortMatcher::is_named) }
            }
        }
    }
}

/// A matcher of a name as matchers of the numbers that pods call so.
fn numbers(matcher: &PortMatcher, declared: &[NamedPort]) -> Vec<PortMatcher> {
    let Ports::Named(name) = &matcher.ports else { return vec![matcher.clone()] };
    let protocol = matcher.protocol;
    let meant = declared.iter().filter(|port| port.name == *name && port.protocol == protocol);
    meant.map(|port| PortMatcher { protocol, ports: Ports::Range(port.number, port.number) }).collect()
}
