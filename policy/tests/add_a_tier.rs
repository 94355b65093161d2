//! The example of `docs/add-a-tier.md`, compiled and run.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics on what it does not expect")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use foretell_objects::manifest::documents::documents;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::ownership::End;
use foretell_policy::engine::end_decision::{EndDecision, Permission};
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::pair::{Dialled, Pair};
use foretell_policy::engine::tier::chain::{self, TIERS, Tier};
use foretell_policy::engine::world::World;
use foretell_policy::policy::network_policy::Policy;

/// The code of the document.
#[allow(unreachable_pub, reason = "the document shows it as part of a crate")]
mod allow_list {
    // begin
    use foretell_objects::model::policy_ref::PolicyRef;
    use foretell_policy::engine::end_decision::{Permission, PolicyRuling};
    use foretell_policy::engine::tier::chain::{Opinion, PolicyVerdict, Tier, TierAnswer, TierQuestion};
    use foretell_policy::policy::tier::TierName;
    use ipnet::IpNet;

    /// Addresses that every pod may reach, and addresses that no pod may reach. It has no opinion on others.
    pub struct AddressLists {
        pub policy: PolicyRef,
        pub allowed: Vec<IpNet>,
        pub denied: Vec<IpNet>,
    }

    impl AddressLists {
        /// `None` if no list contains the peer.
        fn ruling(&self, question: &TierQuestion<'_>) -> Option<PolicyRuling> {
            let ip = question.pair.peer(question.direction).ip();
            let lists = [(&self.allowed, Permission::Allowed), (&self.denied, Permission::Denied)];
            let entries =
                lists.into_iter().flat_map(|(list, permission)| list.iter().map(move |net| (net, permission)));
            let (net, permission) = entries.into_iter().find(|(net, _)| net.contains(&ip))?;
            let reason = format!("{net} is on its list");
            Some(PolicyRuling { tier: self.name(), policy: self.policy.clone(), permission, reason })
        }
    }

    impl Tier for AddressLists {
        fn name(&self) -> TierName {
            TierName::new("AddressLists")
        }

        fn judge(&self, question: &TierQuestion<'_>) -> TierAnswer {
            // Pass: the next tier decides.
            TierAnswer::sure(self.ruling(question).map_or(Opinion::Pass, Opinion::of))
        }

        fn policies(&self, question: &TierQuestion<'_>) -> Vec<PolicyVerdict> {
            self.ruling(question).map(PolicyVerdict::Other).into_iter().collect()
        }
    }
    // end
}

use allow_list::AddressLists;

const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: {containers: [{name: web, image: web}]},
 status: {podIP: 10.1.0.1}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed, namespace: shop},
 spec: {podSelector: {}, policyTypes: [Egress]}}
";

/// The permission of a connection from the pod to an address, and the tiers that were evaluated.
fn decide(lists: &AddressLists, address: &str) -> (EndDecision, Vec<String>) {
    let read = |document| read(document, &Origin::Cluster).unwrap().unwrap();
    let objects: Vec<Object> = documents(CLUSTER).into_iter().map(|document| read(document.value.unwrap())).collect();
    let cluster = Cluster::build(&objects);
    let policies = objects.iter().filter_map(Policy::of).map(Arc::new).collect();
    let world = World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), policies);
    let pod = cluster.pods_by_name("shop", "web")[0];
    let pair = Pair {
        src: End::Pod { pod, ip: "10.1.0.1".parse().unwrap() },
        dst: End::Address { ip: address.parse().unwrap() },
        protocol: Protocol::Tcp,
        port: 443,
        dialled: Dialled::Backend,
    };
    let tiers: Vec<&dyn Tier> = [lists as &dyn Tier].into_iter().chain(TIERS).collect();
    let question = world.view().tier_question(&pair, Direction::Egress);
    let trace = chain::trace(&tiers, &question);
    assert_eq!(trace.decision, chain::decide(&tiers, &question), "with and without a trace");
    (trace.decision, trace.steps.iter().map(|step| step.tier.to_string()).collect())
}

fn lists() -> AddressLists {
    let policy =
        Policy::of(&read(documents(CLUSTER).pop().unwrap().value.unwrap(), &Origin::Cluster).unwrap().unwrap());
    let nets = |text: &str| vec![text.parse().unwrap()];
    AddressLists { policy: policy.unwrap().reference, allowed: nets("192.0.2.0/24"), denied: nets("198.51.100.0/24") }
}

#[test]
fn a_tier_that_accepts_or_denies_ends_the_chain() {
    for (address, permission) in [("192.0.2.7", Permission::Allowed), ("198.51.100.7", Permission::Denied)] {
        let (decision, evaluated) = decide(&lists(), address);
        assert_eq!((decision.permission(), evaluated), (permission, vec!["AddressLists".to_owned()]), "{address}");
    }
}

#[test]
fn a_tier_that_passes_leaves_the_decision_to_the_next() {
    let (decision, evaluated) = decide(&lists(), "203.0.113.7");
    assert!(matches!(decision, EndDecision::Denied(_)), "{decision:?}");
    assert_eq!(evaluated, ["AddressLists", "Admin", "NetworkPolicy"]);
}

#[test]
fn the_document_shows_this_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("tests/add_a_tier.rs")).unwrap();
    let lines = source.lines().skip_while(|line| line.trim() != "// begin").skip(1);
    let shown: Vec<&str> =
        lines.take_while(|line| line.trim() != "// end").map(|l| l.strip_prefix("    ").unwrap_or(l)).collect();
    let document = fs::read_to_string(root.join("../docs/add-a-tier.md")).unwrap();
    assert!(
        document.contains(&format!("```rust\n{}\n```", shown.join("\n"))),
        "docs/add-a-tier.md shows another example"
    );
}
