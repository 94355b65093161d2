//! A world: who lives in it and which policies hold. It answers what becomes of a flow.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::End;
use crate::engine::end_decision::EndDecision;
use crate::engine::identities::Identities;
use crate::engine::index::directory::Directory;
use crate::engine::index::terms::ResolvedDialect;
use crate::engine::index::view::View;
use crate::engine::index::{BatchVerdicts, EndKind, FlowKey, Index};
use crate::engine::pair::Pair;
use crate::engine::tier::index::{TierQuery, Tiers};
use crate::engine::verdict::Verdict;
use crate::model::dialect::Dialect;
use crate::model::flow::Direction;
use crate::model::policy_id::PolicyId;
use crate::model::policy_ref::PolicyRef;
use crate::policy::admin_policy::AdminPolicy;
use crate::policy::flow_question::Question;
use crate::policy::network_policy::Policy;

/// A world.
#[derive(Clone, Debug)]
pub struct World<'c> {
    cluster: &'c Cluster,
    identities: Arc<Identities>,
    policies: Vec<PolicyId>,
    index: Index,
    /// Admin policies.
    tiers: Tiers,
    /// For flows in bulk alone.
    directory: OnceLock<Directory>,
}

impl<'c> World<'c> {
    /// A world of these identities and policies, which mean what upstream's text says. The policies are ordered by reference.
    #[must_use]
    pub fn new(cluster: &'c Cluster, identities: Arc<Identities>, policies: Vec<Arc<Policy>>) -> Self {
        Self::in_dialect(Dialect::UPSTREAM, cluster, identities, policies)
    }

    /// A world in which policies mean what an enforcer takes them to mean.
    #[must_use]
    pub fn in_dialect(
        dialect: Dialect,
        cluster: &'c Cluster,
        identities: Arc<Identities>,
        mut policies: Vec<Arc<Policy>>,
    ) -> Self {
        policies.sort_by(|a, b| a.reference.order().cmp(&b.reference.order()));
        let terms = ResolvedDialect::of(dialect, cluster, &identities);
        let index = Index::build(terms, identities.namespaces(), identities.all(), &policies);
        let policies = index.policies().map(|(id, _)| id).collect();
        Self { cluster, identities, policies, index, tiers: Tiers::default(), directory: OnceLock::new() }
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
        self.tiers = Tiers::new(&self.identities, policies);
        self
    }

    /// Adds a policy, or puts it in the place of the one of its name and kind, which is given back.
    pub fn set(&mut self, policy: &Arc<Policy>) -> Option<Arc<Policy>> {
        // First the new one: what both name need not be forgotten in between.
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

    /// Takes a policy away.
    pub fn remove(&mut self, reference: &PolicyRef) {
        if let Ok(place) = self.place(reference) {
            let id = self.policies.remove(place);
            self.index.remove_policy(id);
            self.index.settle();
        }
    }

    /// What is to be known of this world with this policy in it, in place of the one of its name and kind. A world is long in the
    /// making, and a policy enters and leaves it in no time.
    pub fn with_policy<T>(&mut self, policy: &Arc<Policy>, ask: impl FnOnce(&Self) -> T) -> T {
        let former = self.set(policy);
        let answer = ask(self);
        match former {
            Some(former) => _ = self.set(&former),
            None => self.remove(&policy.reference),
        }
        answer
    }

    /// Where a policy stands among the others, or would.
    fn place(&self, reference: &PolicyRef) -> Result<usize, usize> {
        self.policies.binary_search_by(|id| self.policy(*id).reference.order().cmp(&reference.order()))
    }

    /// What policies see of its pods, namespaces and Services.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The cluster beneath.
    #[must_use]
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// A policy of this world.
    ///
    /// # Panics
    /// Where the id is another world's.
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
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// The blocks by which policies tell apart to whom a client speaks.
    #[must_use]
    pub fn blocks(&self, client: &End) -> Cow<'_, [IpNet]> {
        self.view().blocks(client)
    }

    /// Its policies, resolved.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// What the world is made of.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { cluster: self.cluster, identities: &self.identities, index: &self.index, tiers: &self.tiers }
    }

    /// What each policy that applies says of a flow, taken alone.
    pub fn verdicts(&self, pair: &Pair, direction: Direction) -> impl Iterator<Item = (PolicyId, Verdict)> {
        self.view().answers(pair, direction).map(|(policy, answer)| (policy, answer.verdict()))
    }

    /// What each policy that applies says of each of many flows.
    pub fn judge(&self, flows: &[FlowKey], said: &mut BatchVerdicts) {
        let view = self.view();
        let directory = self.directory.get_or_init(|| Directory::of(view.cluster, view.identities));
        view.judge(directory, flows, said);
    }

    /// What all policies together make of a flow at one end: one tier after the other.
    #[must_use]
    pub fn decide(&self, pair: &Pair, direction: Direction) -> EndDecision {
        self.view().decide(pair, direction)
    }

    /// The flow as admin policies of its subject see it; `None` where none can speak of it.
    #[must_use]
    pub fn tier_question(&self, pair: &Pair, direction: Direction) -> Option<TierQuery<'_>> {
        self.view().tier_question(pair, direction)
    }

    /// What policies mean here.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.view().dialect()
    }

    /// The flow as a policy of its subject sees it.
    #[must_use]
    pub fn question(&self, pair: &Pair, direction: Direction) -> Question<'_> {
        self.view().question(pair, direction)
    }

    /// Whether an end is a pod, by its address or its observer's word, of which nothing else is known.
    #[must_use]
    pub fn is_unresolved(&self, end: &End) -> bool {
        self.view().kind(end) == EndKind::Unresolved
    }
}
