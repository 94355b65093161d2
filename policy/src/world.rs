//! A world: who lives in it and which policies hold. It answers what becomes of a flow.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use crate::cluster::Cluster;
use crate::cluster::ownership::{Destination, End};
use crate::compiled::{Policy, PolicyRef};
use crate::dialect::Dialect;
use crate::dialect::terms::Terms;
use crate::flow::{Direction, Protocol};
use crate::index::directory::Directory;
use crate::index::view::View;
use crate::index::{FlowKey, Index, Kind, Said};
use crate::population::Population;
use crate::tier::chain::{Passage, Undecidable};
use crate::tier::index::{Asked, Tiers};
use crate::tier::policy::TierPolicy;
use crate::tier::ruling::Ruling;
use crate::verdict::{Exemption, Question, Reason, Verdict};

/// A flow to one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Who opened it.
    pub src: End,
    /// Who answers.
    pub dst: End,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the listener.
    pub port: u16,
    /// How the listener was reached.
    pub dialled: Dialled,
}

/// What a client spoke to. A pod that reaches itself by its own address is subject to no policy; one that reaches itself through
/// a Service is subject to administrators' policies, as upstream has it, and not to NetworkPolicies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// To the listener's own address.
    Listener,
    /// To a Service's.
    Service,
}

impl From<&Destination> for Dialled {
    fn from(destination: &Destination) -> Self {
        match destination {
            Destination::Direct(_) => Self::Listener,
            Destination::Service { .. } => Self::Service,
        }
    }
}

impl Pair {
    /// The end that a policy of this direction would select.
    #[must_use]
    pub fn subject(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.dst,
            Direction::Egress => &self.src,
        }
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.src,
            Direction::Egress => &self.dst,
        }
    }
}

/// Index of a policy in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub(crate) u32);

/// A world.
#[derive(Clone, Debug)]
pub struct World<'c> {
    population: Arc<Population<'c>>,
    policies: Vec<PolicyId>,
    index: Index,
    /// Administrators' policies.
    tiers: Tiers,
    /// For flows in bulk alone.
    directory: OnceLock<Directory>,
}

/// What all policies of a world together make of a flow, at one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No pod that policies select stands there, or none restricts it.
    Open,
    /// No policy can deny it.
    Exempt(Exemption),
    /// This policy allows it.
    Allowed {
        /// Which.
        policy: PolicyId,
        /// By which of its rules.
        rule: usize,
        /// No policy allows it but by an `ipBlock` that takes in a pod or a node.
        by_block_alone: bool,
    },
    /// Policies restrict it here and none allows it; but this one allows it at the other end, which is enough for the enforcer.
    AllowedAtOtherEnd {
        /// Which.
        policy: PolicyId,
        /// By which of its rules.
        rule: usize,
    },
    /// Policies restrict it and none allows it.
    Denied(Vec<(PolicyId, Reason)>),
    /// A rule of an administrators' policy accepts or denies it.
    Ruled(Ruling),
    /// It cannot be told: that depends on whether a rule takes the flow, which traffic does not tell.
    Unknown(Box<Undecidable>),
}

impl Standing {
    /// Whether the flow passes this end.
    #[must_use]
    pub fn passage(&self) -> Passage {
        match self {
            Self::Open | Self::Exempt(_) | Self::Allowed { .. } | Self::AllowedAtOtherEnd { .. } => Passage::Passes,
            Self::Denied(_) => Passage::Denied,
            Self::Ruled(ruling) => ruling.passage(),
            Self::Unknown(_) => Passage::Unknown,
        }
    }

    /// Whether the flow surely passes this end.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.passage() == Passage::Passes
    }
}

impl<'c> World<'c> {
    /// A world of these inhabitants and policies, which mean what upstream's text says. The policies are ordered by reference.
    #[must_use]
    pub fn new(population: Arc<Population<'c>>, policies: Vec<Arc<Policy>>) -> Self {
        Self::in_dialect(Dialect::UPSTREAM, population, policies)
    }

    /// A world in which policies mean what an enforcer takes them to mean.
    #[must_use]
    pub fn in_dialect(dialect: Dialect, population: Arc<Population<'c>>, mut policies: Vec<Arc<Policy>>) -> Self {
        policies.sort_by(|a, b| a.reference.order().cmp(&b.reference.order()));
        let terms = Terms::of(dialect, &population);
        let index = Index::build(terms, population.inhabitants().namespaces(), population.identities(), &policies);
        let policies = index.policies().map(|(id, _)| id).collect();
        Self { population, policies, index, tiers: Tiers::default(), directory: OnceLock::new() }
    }

    /// The same world in another dialect.
    #[must_use]
    pub fn read_as(&self, dialect: Dialect) -> Self {
        let policies = self.policies().cloned().collect();
        Self { tiers: self.tiers.clone(), ..Self::in_dialect(dialect, Arc::clone(&self.population), policies) }
    }

    /// The same world with these policies of administrators.
    #[must_use]
    pub fn under(mut self, policies: Vec<Arc<TierPolicy>>) -> Self {
        self.tiers = Tiers::new(self.population.inhabitants(), policies);
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
    pub fn trying<T>(&mut self, policy: &Arc<Policy>, ask: impl FnOnce(&Self) -> T) -> T {
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

    /// Its inhabitants.
    #[must_use]
    pub fn population(&self) -> &Population<'c> {
        &self.population
    }

    /// The cluster beneath.
    #[must_use]
    pub fn cluster(&self) -> &'c Cluster {
        self.population.cluster()
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

    /// The policies of administrators.
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
        let (cluster, inhabitants) = (self.population.cluster(), self.population.inhabitants());
        View { cluster, inhabitants, index: &self.index, tiers: &self.tiers }
    }

    /// What each policy that applies says of a flow, taken alone.
    pub fn verdicts(&self, pair: &Pair, direction: Direction) -> impl Iterator<Item = (PolicyId, Verdict)> {
        self.view().answers(pair, direction).map(|(policy, answer)| (policy, answer.verdict()))
    }

    /// What each policy that applies says of each of many flows.
    pub fn judge(&self, flows: &[FlowKey], said: &mut Said) {
        let view = self.view();
        let directory = self.directory.get_or_init(|| Directory::of(view.cluster, view.inhabitants));
        view.judge(directory, flows, said);
    }

    /// What all policies together make of a flow at one end: one tier after the other.
    #[must_use]
    pub fn standing(&self, pair: &Pair, direction: Direction) -> Standing {
        self.view().standing(pair, direction)
    }

    /// The flow as administrators' policies of its subject see it; `None` where none can speak of it.
    #[must_use]
    pub fn tier_question(&self, pair: &Pair, direction: Direction) -> Option<Asked<'_>> {
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
        self.view().kind(end) == Kind::Unresolved
    }
}
