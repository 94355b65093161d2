//! The cluster at one time, in the engine's form.

use foretell_objects::model::dialect::Dialect;
use foretell_objects::resource::object::Object;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::snapshot::text::Snapshot;
use jiff::Timestamp;

use crate::objects::{Unreadable, typed};
use crate::window::Window;

/// The cluster at one time.
pub struct Assembled {
    /// The time.
    pub at: Timestamp,
    /// Index of the objects, with the nodes' addresses that agents reported.
    pub cluster: Cluster,
    /// The objects.
    pub objects: Vec<Object>,
    /// Objects that the engine cannot read.
    pub unreadable: Vec<Unreadable>,
    /// The enforcer whose reading of policies counts.
    pub cni: Dialect,
}

impl Assembled {
    /// From a snapshot of the cluster and the window's node reports.
    #[must_use]
    pub fn new(snapshot: &Snapshot, window: &Window, at: Timestamp, cni: Dialect) -> Self {
        let (objects, unreadable) = typed(snapshot);
        let mut assembled = Self { at, cluster: Cluster::build(&objects), objects, unreadable, cni };
        assembled.add_node_addresses(window);
        assembled
    }

    /// The same cluster at a later time, with what agents have reported since.
    #[must_use]
    pub fn later(&self, window: &Window, at: Timestamp) -> Self {
        let (cluster, objects) = (self.cluster.clone(), self.objects.clone());
        let mut assembled = Self { at, cluster, objects, unreadable: Vec::new(), cni: self.cni };
        assembled.add_node_addresses(window);
        assembled
    }

    fn add_node_addresses(&mut self, window: &Window) {
        for (node, addresses) in window.node_addresses() {
            self.cluster.add_node_addresses(node, &addresses.iter().copied().collect::<Vec<_>>());
        }
    }
}
