//! A generated cluster with its policies and its traffic, for benchmarks and tests: the same for one size and seed on every
//! machine.
//!
//! Its properties:
//! - *Nodes* hold a hundred pods each and have a /24 for them. Every fifth namespace is of a dual stack: its pods and nodes have
//!   IPv6 addresses too, and half of the flows between such pods use them.
//! - *Namespaces* have a team, an environment and sometimes a compliance label. The first three are the cluster's own: DNS in
//!   `kube-system`, Prometheus in `monitoring`, the controller in `ingress`.
//! - *Apps* are workloads of one to forty pods with the usual labels, one in ten a `StatefulSet`, each pod of which carries its name
//!   as a label and so is an identity of its own. An app listens on a named port, `http` or `grpc`, and on `metrics`; each
//!   has a Service, and calls up to four others, mostly of its namespace.
//! - *Policies* of a namespace: denied by default, DNS, scrapes, what an app's callers may reach and what an app may call,
//!   by labels, named and numbered ports, ranges and blocks with exceptions. Cluster-scoped: some for everyone, one a team
//!   and direction, some an environment, the others for one tier of a few teams.
//! - *Admin policies*, if requested: in both tiers the same kinds in turn, for everyone, an environment, a team, a tier of apps.
//! - *Flows* name their ends by address alone and are all different: calls between apps (two of three), some of them by a
//!   Service's address, DNS queries, scrapes, the ingress controller's, kubelets' probes, from and to outside addresses, and
//!   flows between unrelated pods.
#![allow(dead_code, reason = "shared by several programs, of which each uses a part")]
#![expect(clippy::unwrap_used, reason = "the data is made here")]

use std::sync::Arc;

use foretell_objects::model::flow::Flow;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::policy::network_policy::Policy;

mod admin_policies;
mod flows;
mod landscape;
mod numbers;
mod objects;
mod policies;

use landscape::Landscape;
use numbers::Numbers;

/// The seed of every published figure.
pub(crate) const SEED: u64 = 20_261_121;

/// The size of a generated cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Its name in tables.
    pub(crate) name: &'static str,
    /// Namespaces.
    pub(crate) namespaces: usize,
    /// Pods.
    pub(crate) pods: usize,
    /// All policies.
    pub(crate) policies: usize,
    /// Of these cluster-scoped.
    pub(crate) cluster_policies: usize,
    /// Of these for every pod.
    pub(crate) for_everyone: usize,
    /// Distinct flows.
    pub(crate) flows: usize,
}

/// A large cluster.
pub(crate) const LARGE: Size = Size {
    name: "large",
    namespaces: 200,
    pods: 20_000,
    policies: 5_000,
    cluster_policies: 100,
    for_everyone: 3,
    flows: 100_000,
};

/// A small one.
pub(crate) const SMALL: Size = Size {
    name: "small",
    namespaces: 20,
    pods: 500,
    policies: 100,
    cluster_policies: 10,
    for_everyone: 10,
    flows: 100_000,
};

/// The cluster.
pub(crate) struct Generated {
    landscape: Landscape,
    seed: u64,
    /// Namespaces, nodes, Services and pods.
    pub(crate) objects: Vec<Object>,
    /// Policies.
    pub(crate) policies: Vec<Object>,
}

impl Generated {
    /// Makes a cluster.
    pub(crate) fn new(size: &Size, seed: u64) -> Self {
        let landscape = Landscape::new(size, &mut Numbers::new(seed));
        let object = |value| read(value, &Origin::Cluster).unwrap().unwrap();
        let objects = objects::of(&landscape).into_iter().map(object).collect();
        let policies = policies::of(size, &landscape, &mut Numbers::new(seed ^ 1)).into_iter().map(object).collect();
        Self { landscape, seed, objects, policies }
    }

    /// This many distinct flows.
    pub(crate) fn flows(&self, count: usize) -> Vec<Flow> {
        flows::of(&self.landscape, count, &mut Numbers::new(self.seed ^ 2))
    }

    /// This many admin policies, compiled.
    pub(crate) fn admin_policies(count: usize) -> Vec<Arc<AdminPolicy>> {
        let objects =
            admin_policies::of(count).into_iter().map(|value| read(value, &Origin::Cluster).unwrap().unwrap());
        objects.map(|object| Arc::new(AdminPolicy::of(&object).unwrap())).collect()
    }

    /// The policies, compiled.
    pub(crate) fn compiled(&self) -> Vec<Arc<Policy>> {
        self.policies.iter().filter_map(Policy::of).map(Arc::new).collect()
    }
}
