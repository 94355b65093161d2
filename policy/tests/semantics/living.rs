//! A cluster that changes between queries.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::scenario::{Scenario, audit, audit_cluster, shop};
use foretell_objects::model::flow::Direction;
use foretell_objects::resource::kubernetes::Pod;
use foretell_policy::engine::index::batch::{BatchVerdicts, FlowKey};
use foretell_policy::engine::index::packed_verdict::PackedVerdict;
use foretell_policy::engine::index::sizes::IndexSizes;
use foretell_policy::engine::live::Live;
use foretell_policy::engine::verdict::Verdict;
use foretell_policy::engine::world::World;
use foretell_policy::policy::network_policy::Policy;

fn pod(name: &str, labels: &str, ip: &str, more: &str) -> Pod {
    let text = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, uid: uid-{name}, labels: {{{labels}}}}}
spec: {{nodeName: n1, containers: [{{name: c, image: c, ports: [{{name: {name}, containerPort: 8080}}]}}]}}
status: {{phase: Running, podIP: {ip}{more}}}"
    );
    serde_saphyr::from_str(&text).unwrap()
}

fn policy(name: &str, manifest: &str) -> Arc<Policy> {
    let text = manifest.replace("name: it", &format!("name: {name}"));
    let objects = shop().and(&text);
    objects.policies().pop().unwrap()
}

/// The ingress verdict of each policy on a flow: its name, and the rule that allows the flow.
fn arrives(live: &Live, scenario: &Scenario, flow: &str) -> Vec<String> {
    let mut verdict = BatchVerdicts::default();
    live.judge(&[FlowKey::of(&scenario.flow(flow)).unwrap()], &mut verdict);
    let describe = |(id, answer): &(_, PackedVerdict)| {
        let name = &live.view().index.policy(*id).reference.name;
        match answer.verdict() {
            Verdict::Allow { rule, .. } => format!("{name} allows by {rule}"),
            verdict => format!("{name} {verdict:?}").split(' ').take(2).collect::<Vec<_>>().join(" "),
        }
    };
    verdict.of(0, Direction::Ingress).iter().map(describe).collect()
}

#[test]
fn removed_pods_and_policies_leave_nothing_in_the_index() {
    let scenario = shop();
    let mut live = scenario.live().unwrap();
    let before = live.sizes();
    // The two agents share an identity, no pod has a start time, and no pod is restricted in either direction.
    assert_eq!(before, IndexSizes { identities: 5, port_lists: 4, sections: 4, lifetimes: 5, ..IndexSizes::default() });
    for number in 1..101 {
        let (name, ip) = (format!("p{number}"), format!("10.1.1.{}", 100 + number % 100));
        // A start time with a fraction of a second does not fit into the entry of the address.
        let started = ", startTime: '2026-11-21T08:00:00.5Z'";
        live.set_pod(&pod(&name, &format!("app: {name}"), &ip, started));
        live.set_pod(&pod(&name, &format!("app: {name}, again: 'yes'"), &ip, started));
        let spec = format!(
            "{{podSelector: {{matchLabels: {{app: {name}}}}}, ingress: [{{ports: [{{port: {number}}}], from: [
  {{podSelector: {{matchLabels: {{own: {name}}}}}}}, {{ipBlock: {{cidr: 10.{number}.0.0/16}}}},
  {{namespaceSelector: {{matchLabels: {{team: {name}}}}}, podSelector: {{matchExpressions: [{{key: {name}, operator: Exists}}]}}}}]}}]}}"
        );
        let (one, other) = (policy(&name, &audit(&spec)), policy(&name, &audit_cluster(&spec)));
        live.set_policy(&one);
        live.set_policy(&other);
        live.set_policy(&one);
        let with_pod = IndexSizes {
            policies: 2,
            identities: 6,
            // Pod selectors: `app`, `own` and the one with `Exists`. Namespace selectors: `team`, and the cluster policy's, which
            // selects all.
            selectors: 5,
            // Three labels with their values, and two selectors that require none.
            anchors: 8,
            // One set by namespaces, which both policies name, and one own set of each.
            peers: 3,
            terms: 3,
            blocks: 1,
            ports: 1,
            port_lists: before.port_lists + 1,
            sections: before.sections + 2,
            lifetimes: before.lifetimes + 1,
        };
        assert_eq!(live.sizes(), with_pod);
        live.remove_policy(&one.reference);
        live.remove_policy(&other.reference);
        live.remove_pod("shop", &name, Some(&format!("uid-{name}")));
    }
    assert_eq!(live.sizes(), before);

    // A start time at a full second fits into the entry of the address, and a removed pod leaves no entry.
    live.set_pod(&pod("new", "app: new", "10.1.1.70", ", startTime: '2026-11-21T08:00:00Z'"));
    assert_eq!(live.sizes().lifetimes, before.lifetimes);
    live.remove_pod("shop", "new", Some("uid-new"));
    let mut verdict = BatchVerdicts::default();
    live.judge(&[FlowKey::of(&scenario.flow("10.1.1.70 -> web TCP 8080")).unwrap()], &mut verdict);
    assert_eq!(verdict.full_lookups(), 0);
}

#[test]
fn a_reused_number_has_its_new_meaning() {
    let scenario = shop();
    let mut live = scenario.live().unwrap();
    let peers = |of: &str, pods: &str| {
        format!(
            "{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{from: [{{{of}podSelector: {{matchLabels: {{app: {pods}}}}}}}]}}]}}"
        )
    };
    for of in ["", "namespaceSelector: {matchLabels: {team: shop}}, "] {
        let (first, second) =
            (policy("first", &audit(&peers(of, "new"))), policy("second", &audit(&peers(of, "other"))));
        live.set_policy(&first);
        live.remove_policy(&first.reference);
        live.set_policy(&second);
        // It is first seen now, by its labels, of which the first policy spoke.
        live.set_pod(&pod("new", "app: new", "10.1.1.70", ""));
        assert_eq!(arrives(&live, &scenario, "10.1.1.70 -> web TCP 8080"), ["second WouldDeny(NoRuleMatched"], "{of}");
        live.remove_pod("shop", "new", Some("uid-new"));
        live.remove_policy(&second.reference);
    }
    // So it is with blocks and with ports.
    let block = |cidr: &str, port: u16| {
        format!(
            "{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}], ports: [{{port: {port}}}]}}]}}"
        )
    };
    let (first, second) = (
        policy("first", &audit(&block("203.0.113.0/24", 8080))),
        policy("second", &audit(&block("198.51.100.0/24", 9090))),
    );
    live.set_policy(&first);
    assert_eq!(arrives(&live, &scenario, "203.0.113.9 -> web TCP 8080"), ["first allows by 0"]);
    live.remove_policy(&first.reference);
    live.set_policy(&second);
    assert_eq!(arrives(&live, &scenario, "203.0.113.9 -> web TCP 8080"), ["second WouldDeny(NoRuleMatched"]);
    assert_eq!(arrives(&live, &scenario, "198.51.100.9 -> web TCP 9090"), ["second allows by 0"]);
}

#[test]
fn verdicts_are_in_the_order_of_policies_whatever_the_order_in_which_they_were_added() {
    let scenario = shop();
    let mut live = scenario.live().unwrap();
    for name in ["m", "z", "a", "k"] {
        live.set_policy(&policy(name, &audit("{ingress: [{}]}")));
    }
    live.set_policy(&policy("c", &audit_cluster("{ingress: [{}]}")));
    live.set_policy(&policy("b", &audit_cluster("{ingress: [{}]}")));
    let order = ["b", "c", "a", "k", "m", "z"].map(|name| format!("{name} allows by 0"));
    assert_eq!(arrives(&live, &scenario, "cart -> web TCP 8080"), order);
}

#[test]
fn new_labels_of_a_namespace_change_it_as_peer_and_as_subject() {
    let scenario = shop();
    let mut live = scenario.live().unwrap();
    let from_team = "{ingress: [{from: [{namespaceSelector: {matchLabels: {team: new}}}]}]}";
    live.set_policy(&policy("peer", &audit(from_team)));
    live.set_policy(&policy(
        "stays",
        &audit_cluster("{namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}, ingress: [{}]}"),
    ));
    live.set_policy(&policy("comes", &audit_cluster("{namespaceSelector: {matchLabels: {team: new}}, ingress: [{}]}")));
    live.set_policy(&policy("goes", &audit_cluster("{namespaceSelector: {matchLabels: {team: data}}, ingress: [{}]}")));
    live.set_policy(&policy(
        "of-others",
        &audit_cluster(
            "{namespaceSelector: {matchLabels: {team: new}}, podSelector: {matchLabels: {app: nobody}}, ingress: [{}]}",
        ),
    ));
    let (to_web, to_db) = ("db -> web TCP 8080", "web -> db TCP 5432");
    assert_eq!(arrives(&live, &scenario, to_web), ["stays allows by 0", "peer WouldDeny(NoRuleMatched"]);
    assert_eq!(arrives(&live, &scenario, to_db), ["goes allows by 0", "stays allows by 0"]);
    live.set_namespace("data", BTreeMap::from([("team".to_owned(), "new".to_owned())]));
    assert_eq!(arrives(&live, &scenario, to_web), ["stays allows by 0", "peer allows by 0"]);
    assert_eq!(arrives(&live, &scenario, to_db), ["comes allows by 0", "stays allows by 0"]);
    assert_eq!(live.view().cluster.namespaces()["data"]["team"], "new");
    live.remove_namespace("data");
    assert_eq!(arrives(&live, &scenario, to_web), ["stays allows by 0", "peer WouldDeny(NoRuleMatched"]);
    assert_eq!(arrives(&live, &scenario, to_db), [""; 0]);
}

#[test]
fn a_namespace_without_an_object_has_its_name_as_a_label() {
    let scenario = shop();
    let mut live = scenario.live().unwrap();
    let mut elsewhere = pod("client", "app: client", "10.1.1.70", "");
    elsewhere.metadata.namespace = Some("fresh".to_owned());
    live.set_pod(&elsewhere);
    let spec = "{ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: fresh}}}]}]}";
    live.set_policy(&policy("it", &audit(spec)));
    assert_eq!(arrives(&live, &scenario, "10.1.1.70 -> web TCP 8080"), ["it allows by 0"]);
}

#[test]
fn a_pod_may_be_the_first_object_that_states_an_address_of_its_node() {
    let scenario = shop();
    let mut live = scenario.live().unwrap();
    live.set_policy(&policy("it", &audit("{policyTypes: [Ingress]}")));
    let flow = "172.16.0.9 -> web TCP 8080";
    assert_eq!(arrives(&live, &scenario, flow), ["it WouldDeny(NoRules)"]);
    live.set_pod(&pod("new", "app: new", "10.1.1.70", ", hostIP: 172.16.0.9"));
    assert_eq!(arrives(&live, &scenario, flow), ["it Exempt(Node)"]);
}

#[test]
fn trying_a_policy_leaves_the_world_unchanged() {
    let scenario = shop().and(&audit("{podSelector: {matchLabels: {app: web}}, ingress: [{}]}"));
    let cluster = scenario.cluster();
    let mut world = scenario.world(&cluster);
    // Where each of its policies lies in memory, to tell those of one name apart.
    let policies = |world: &World<'_>| world.policies().map(Arc::as_ptr).collect::<Vec<_>>();
    let before = policies(&world);
    let new = policy("new", &audit("{}"));
    for tried in [Arc::clone(&new), policy("it", &audit("{}"))] {
        let meanwhile = world.with_policy(&tried, policies);
        assert!(meanwhile.contains(&Arc::as_ptr(&tried)), "it is asked of the world with it");
        assert_eq!(policies(&world), before);
    }
    assert!(world.set(&new).is_none());
    assert_eq!(world.set(&new).map(|former| Arc::as_ptr(&former)), Some(Arc::as_ptr(&new)));
    world.remove(&new.reference);
    world.remove(&new.reference);
    assert_eq!(policies(&world), before);
}
