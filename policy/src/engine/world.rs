//! A world: a cluster, the identities of its pods, and the policies in force. It judges flows.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::End;
use crate::engine::end_decision::EndDecision;
use crate::engine::identities::Identities;
use crate::engine::index::Index;
use crate::engine::index::batch::{BatchVerdicts, FlowKey};
use crate::engine::index::directory::Directory;
use crate::engine::index::resolved_dialect::ResolvedDialect;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::policy_id::PolicyId;
use crate::engine::tier::admin_index::{AdminPolicyIndex, AdminQuery};
use crate::engine::verdict::Verdict;
use crate::policy::admin_policy::AdminPolicy;
use crate::policy::end_kind::EndKind;
use crate::policy::flow_question::Question;
use crate::policy::network_policy::Policy;
use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;

/// A cluster with identities and policies. There is one before a change and one after it.
///
/// ```
/// use std::sync::Arc;
///
/// use foretell_policy::cluster::inventory::Cluster;
/// use foretell_policy::engine::backends::Backend;
/// use foretell_policy::engine::end_decision::EndDecision;
/// use foretell_policy::engine::identities::Identities;
/// use foretell_policy::engine::pair::Pair;
/// use foretell_policy::engine::verdict::Verdict;
/// use foretell_policy::engine::world::World;
/// use foretell_objects::model::flow::{Direction, Line};
/// use foretell_policy::policy::network_policy::Policy;
/// use foretell_objects::resource::object::origin::Origin;
/// use foretell_objects::resource::read::read;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pod = |name: &str, ip: &str| {
///     json!({
///         "apiVersion": "v1", "kind": "Pod",
///         "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
///         "spec": {"nodeName": "n1", "containers": [{"name": name, "image": name}]},
///         "status": {"phase": "Running", "podIP": ip},
///     })
/// };
/// let policy = json!({
///     "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
///     "metadata": {"name": "db", "namespace": "shop"},
///     "spec": {
///         "podSelector": {"matchLabels": {"app": "db"}},
///         "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]}],
///     },
/// });
/// let mut objects = Vec::new();
/// for value in [pod("web", "10.1.1.1"), pod("db", "10.1.1.2"), policy] {
///     objects.extend(read(value, &Origin::Cluster)?);
/// }
/// let cluster = Cluster::build(&objects);
/// let identities = Arc::new(Identities::as_recorded(&cluster));
/// let policies = objects.iter().filter_map(Policy::of).map(Arc::new).collect();
/// let world = World::new(&cluster, identities, policies);
///
/// let line = r#"{"start": "2026-01-01T12:00:00Z", "end": "2026-01-01T12:00:01Z", "src": {"ip": "10.1.1.1"},
///     "dst": {"ip": "10.1.1.2"}, "protocol": "TCP", "port": 5432}"#;
/// let Line::Flow(flow) = Line::parse(line.as_bytes())? else { return Err("not a flow".into()) };
/// let ends = cluster.resolve(&flow);
/// let backend = world.view().backends(&ends, flow.protocol, flow.port, flow.start)[0];
/// let Backend { end, port, dialled } = backend;
/// let pair = Pair { src: ends.src, dst: end, protocol: flow.protocol, port, dialled };
///
/// // The verdict of the one policy that applies at the destination, and the joint decision at each end.
/// let verdicts: Vec<Verdict> = world.verdicts(&pair, Direction::Ingress).map(|(_, verdict)| verdict).collect();
/// assert_eq!(verdicts, [Verdict::Allow { rule: 0, by_block_alone: false }]);
/// assert!(matches!(world.decide(&pair, Direction::Ingress), EndDecision::Allowed { rule: 0, .. }));
/// assert_eq!(world.decide(&pair, Direction::Egress), EndDecision::Open);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct World<'c> {
    cluster: &'c Cluster,
    identities: Arc<Identities>,
    policies: Vec<PolicyId>,
    index: Index,
    /// Admin policies.
    tiers: AdminPolicyIndex,
    /// Built when [`World::judge`] is first called.
    directory: OnceLock<Directory>,
}

impl<'c> World<'c> {
    /// A world with these identities and policies, which are read by upstream's text. The policies are ordered by reference.
    #[must_use]
    pub fn new(cluster: &'c Cluster, identities: Arc<Identities>, policies: Vec<Arc<Policy>>) -> Self {
        Self::in_dialect(Dialect::UPSTREAM, cluster, identities, policies)
    }

    /// A world in which policies are read as an enforcer reads them.
    #[must_use]
    pub fn in_dialect(
        dialect: Dialect,
        cluster: &'c Cluster,
        identities: Arc<Identities>,
        mut policies: Vec<Arc<Policy>>,
    ) -> Self {
        policies.sort_by(|a, b| a.reference.order().cmp(&b.reference.order()));
        let dialect = ResolvedDialect::of(dialect, cluster, &identities);
        let index = Index::build(dialect, identities.namespaces(), identities.all(), &policies);
        let policies = index.policies().map(|(id, _)| id).collect();
        Self { cluster, identities, policies, index, tiers: AdminPolicyIndex::default(), directory: OnceLock::new() }
    }

    /// The same world in another dialect.
    #[must_use]
    pub fn with_dialect(&self, dialect: Dialect) -> Self {
        let policies = self.policies().cloned().collect();
        Self {
            tiers: self.tiers.clone(),
            ..Self::in_dialect(dialect, self.cluster, Arc::clone(&self.identities), policies)
        }
    }

    /// The same world with these admin policies.
    #[must_use]
    pub fn with_admin_policies(mut self, policies: Vec<Arc<AdminPolicy>>) -> Self {
        self.tiers = AdminPolicyIndex::new(&self.identities, policies);
        self
    }

    /// Adds a policy. Returns the policy of the same kind, namespace and name that it replaces, if there was one.
    pub fn set(&mut self, policy: &Arc<Policy>) -> Option<Arc<Policy>> {
        // The new one is added first, so that what both of them name is not removed in between.
        let id = self.index.add_policy(policy);
        let former = match self.place(&policy.reference) {
            Ok(place) => Some(std::mem::replace(&mut self.policies[place], id)),
            Err(place) => {
                self.policies.insert(place, id);
                None
            }
        };
        let former = former.map(|id| {
            let policy = Arc::clone(self.index.policy(id));
            self.index.remove_policy(id);
            policy
        });
        self.index.settle();
        former
    }

    /// Removes a policy; nothing happens if there is none of this reference.
    pub fn remove(&mut self, reference: &PolicyRef) {
        if let Ok(place) = self.place(reference) {
            let id = self.policies.remove(place);
            self.index.remove_policy(id);
            self.index.settle();
        }
    }

    /// Calls `query` with this policy in the world, in place of the one of the same kind, namespace and name, and then restores
    /// the world. Building a world is expensive; adding or removing one policy is cheap.
    pub fn with_policy<T>(&mut self, policy: &Arc<Policy>, query: impl FnOnce(&Self) -> T) -> T {
        let former = self.set(policy);
        let answer = query(self);
        match former {
            Some(former) => _ = self.set(&former),
            None => self.remove(&policy.reference),
        }
        answer
    }

    /// The place of a policy in `policies`, or the place at which to insert it.
    fn place(&self, reference: &PolicyRef) -> Result<usize, usize> {
        self.policies.binary_search_by(|id| self.policy(*id).reference.order().cmp(&reference.order()))
    }

    /// What policies see of the pods, namespaces and Services.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The cluster as it was recorded.
    #[must_use]
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// The policy of an id.
    ///
    /// # Panics
    /// If the id is not of this world, or its policy was removed.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> &Policy {
        self.index.policy(id)
    }

    /// All policies of this world, in their order.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.iter().map(|id| self.index.policy(*id))
    }

    /// The admin policies.
    #[must_use]
    pub fn tiers(&self) -> &AdminPolicyIndex {
        &self.tiers
    }

    /// The blocks by which policies distinguish the destinations of a client, sorted.
    #[must_use]
    pub fn blocks(&self, client: &End) -> Cow<'_, [IpNet]> {
        self.view().blocks(client)
    }

    /// The policies, resolved against the identities.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The parts of the world, for queries.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { cluster: self.cluster, identities: &self.identities, index: &self.index, tiers: &self.tiers }
    }

    /// The verdict of each policy that applies to a flow, in isolation.
    pub fn verdicts(&self, pair: &Pair, direction: Direction) -> impl Iterator<Item = (PolicyId, Verdict)> {
        self.view().answers(pair, direction).map(|(policy, answer)| (policy, answer.verdict()))
    }

    /// Judges many flows and appends the verdict of each policy that applies to `verdicts`.
    pub fn judge(&self, flows: &[FlowKey], verdicts: &mut BatchVerdicts) {
        let view = self.view();
        let directory = self.directory.get_or_init(|| Directory::of(view.cluster, view.identities));
        view.judge(directory, flows, verdicts);
    }

    /// The joint decision of all policies about a flow at one end, by the chain of tiers.
    #[must_use]
    pub fn decide(&self, pair: &Pair, direction: Direction) -> EndDecision {
        self.view().decide(pair, direction)
    }

    /// The query for the admin policies that select the subject of a flow; `None` if there are none, or if the flow is from a pod
    /// to itself by its own address.
    #[must_use]
    pub fn admin_query(&self, pair: &Pair, direction: Direction) -> Option<AdminQuery<'_>> {
        self.view().admin_query(pair, direction)
    }

    /// The dialect in which policies are read.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.view().dialect()
    }

    /// The flow in the form that rules of a policy are matched against.
    #[must_use]
    pub fn question(&self, pair: &Pair, direction: Direction) -> Question<'_> {
        self.view().question(pair, direction)
    }

    /// Whether an end is an unknown pod: its address or the observer of the flow shows that it is a pod, and the snapshot does not
    /// contain it.
    #[must_use]
    pub fn is_unresolved(&self, end: &End) -> bool {
        self.view().kind(end) == EndKind::Unresolved
    }
}
