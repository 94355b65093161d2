//! Which flows of a batch take the fast path. That the verdicts are the same on both paths is checked by every other test.

use crate::scenario::{NOTHING, Scenario, audit, flow, shop};
use foretell_objects::model::flow::Direction;
use foretell_policy::engine::index::batch::{BatchVerdicts, FlowKey};
use serde_json::{Value, json};

const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop},
 spec: {clusterIP: 10.96.0.1, selector: {app: cart}, ports: [{port: 80, targetPort: http}]}}";

/// A node on which nothing runs.
const EMPTY_NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: n3},
 status: {addresses: [{type: InternalIP, address: 192.168.0.3}]}}";

fn scenario() -> Scenario {
    shop().and(SERVICE).and(EMPTY_NODE).and(&audit("{policyTypes: [Ingress, Egress]}"))
}

/// How many of these flows needed a full lookup, which is the same in a world and in a live cluster.
fn full_lookups(scenario: &Scenario, flows: &[&str]) -> usize {
    let keys: Vec<FlowKey> = flows.iter().map(|text| FlowKey::of(&scenario.flow(text)).unwrap()).collect();
    let cluster = scenario.cluster();
    let (mut in_world, mut in_live) = (BatchVerdicts::default(), BatchVerdicts::default());
    scenario.world(&cluster).judge(&keys, &mut in_world);
    scenario.live().unwrap().judge(&keys, &mut in_live);
    assert_eq!(in_world.full_lookups(), in_live.full_lookups(), "{flows:?}");
    in_world.full_lookups()
}

#[test]
fn addresses_with_at_most_one_owner_take_the_fast_path() {
    for text in [
        "db -> web TCP 8080",
        "web -> web TCP 8080",
        "fd00:1::1 -> db TCP 5432",
        "web -> 203.0.113.9 TCP 443",
        "203.0.113.9 -> web TCP 8080",
        "2001:db8::9 -> web TCP 8080",
        "192.168.0.3 -> web TCP 8080",
        "web -> 192.168.0.3 TCP 10250",
        "10.1.1.99 -> web TCP 8080",
        "db -> 10.96.0.1 TCP 80",
        "cart -> 10.96.0.1 TCP 80",
    ] {
        assert_eq!(full_lookups(&scenario(), &[text]), 0, "{text}");
    }
    for text in [
        "web -> 127.0.0.1 TCP 80",
        "203.0.113.9 -> 10.96.0.1 TCP 80",
        "db -> 10.96.0.1 TCP 81",
        "db -> 10.96.0.1 UDP 80",
    ] {
        assert_eq!(full_lookups(&scenario(), &[text, "db -> web TCP 8080", text]), 2, "{text}");
    }
}

#[test]
fn an_address_with_several_owners_needs_a_full_lookup() {
    let twin =
        "{apiVersion: v1, kind: Pod, metadata: {name: twin, namespace: shop, uid: uid-twin, labels: {app: twin}},
 spec: {containers: [{name: c, image: c}]}, status: {phase: Running, podIP: 10.1.1.3}}";
    assert_eq!(full_lookups(&scenario().and(twin), &["web -> 10.1.1.3 TCP 5432"]), 1);
}

#[test]
fn loopback_addresses_need_a_full_lookup() {
    let mad = "{apiVersion: v1, kind: Pod, metadata: {name: mad, namespace: shop, uid: uid-mad, labels: {app: mad}},
 spec: {containers: [{name: c, image: c}]}, status: {phase: Running, podIP: 127.0.0.1}}";
    let spec =
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: mad}}}]}]}";
    let scenario = shop().and(mad).and(&audit(spec));
    assert_eq!(scenario.verdicts("127.0.0.1 -> web TCP 8080", Direction::Ingress), NOTHING);
    assert_eq!(full_lookups(&scenario, &["127.0.0.1 -> web TCP 8080"]), 1);
}

#[test]
fn cleared_batch_verdicts_are_empty() {
    let scenario = scenario();
    let cluster = scenario.cluster();
    let (world, mut verdict) = (scenario.world(&cluster), BatchVerdicts::default());
    let keys = ["web -> 127.0.0.1 TCP 80", "db -> web TCP 8080"].map(|text| FlowKey::of(&scenario.flow(text)).unwrap());
    world.judge(&keys, &mut verdict);
    assert_eq!((verdict.full_lookups(), verdict.answers().len()), (1, 3), "web leaves, web, and web is reached");
    assert_eq!((verdict.of(1, Direction::Egress).len(), verdict.of(1, Direction::Ingress).len()), (0, 1));
    verdict.clear();
    assert_eq!((verdict.full_lookups(), verdict.answers().len()), (0, 0));
    world.judge(&keys[1..], &mut verdict);
    assert_eq!((verdict.of(0, Direction::Egress).len(), verdict.of(0, Direction::Ingress).len()), (0, 1));
}

#[test]
fn a_flow_that_names_a_pod_has_no_key() {
    let line = |src: Value, dst: Value| flow(&json!({"src": src, "dst": dst, "protocol": "TCP", "port": 80}));
    let bare = json!({"ip": "10.1.1.1"});
    assert!(FlowKey::of(&line(bare.clone(), bare.clone())).is_some());
    for named in
        [json!({"ip": "10.1.1.1", "podUid": "uid-web"}), json!({"ip": "10.1.1.1", "namespace": "shop", "pod": "web"})]
    {
        assert!(FlowKey::of(&line(named.clone(), bare.clone())).is_none(), "{named}");
        assert!(FlowKey::of(&line(bare.clone(), named.clone())).is_none(), "{named}");
    }
}

/// A pod at 10.1.1.50, from and to these times.
fn lived(from: &str, until: &str) -> Scenario {
    let gone = if until.is_empty() { String::new() } else { format!("foretell.dev/gone-at: '{until}'") };
    let pod = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: old, namespace: shop, uid: uid-old, labels: {{app: old}}, annotations: {{{gone}}}}}
spec: {{containers: [{{name: c, image: c}}]}}
status: {{phase: Running, podIP: 10.1.1.50, startTime: '{from}'}}"
    );
    let spec =
        "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {matchLabels: {app: old}}}]}]}";
    shop().and(&pod).and(&audit(spec))
}

#[test]
fn pods_may_start_and_end_at_any_time() {
    let (pod, nobody) = ("allow 0", "deny UnresolvedPeer");
    for (from, until, at, verdict) in [
        ("2026-11-21T08:00:00Z", "", "2026-11-21T08:00:00Z", pod),
        ("2026-11-21T08:00:00Z", "", "2026-11-21T07:59:59.999999999Z", nobody),
        ("2026-11-21T08:00:00.5Z", "", "2026-11-21T08:00:00.4Z", nobody),
        ("2026-11-21T08:00:00.5Z", "", "2026-11-21T08:00:00.6Z", pod),
        // Seconds since 2020 are counted in 31 bits.
        ("2088-01-19T03:14:07Z", "", "2088-01-19T03:14:07Z", pod),
        ("2088-01-19T03:14:08Z", "", "2088-01-19T03:14:08Z", pod),
        ("2088-01-19T03:14:08Z", "", "2088-01-19T03:14:07Z", nobody),
        ("2019-12-31T23:59:59Z", "", "2019-12-31T23:59:59Z", pod),
        ("2019-12-31T23:59:59Z", "", "2019-12-31T23:59:58Z", nobody),
        // Nanoseconds since 1970 reach from 1677 to 2262.
        ("1600-01-01T00:00:00Z", "", "1700-01-01T00:00:00Z", pod),
        ("2300-01-01T00:00:00Z", "", "2200-01-01T00:00:00Z", nobody),
        ("2026-11-21T08:00:00Z", "2300-01-01T00:00:00Z", "2200-01-01T00:00:00Z", pod),
        ("2026-11-21T08:00:00Z", "", "1600-01-01T00:00:00Z", nobody),
        ("2026-11-21T08:00:00Z", "2300-01-01T00:00:00Z", "2400-01-01T00:00:00Z", nobody),
        ("2026-11-21T08:00:00Z", "", "2400-01-01T00:00:00Z", pod),
    ] {
        let line = json!({"start": at, "end": at, "src": {"ip": "10.1.1.50"}, "dst": {"ip": "10.1.2.2"},
            "protocol": "TCP", "port": 9090});
        assert_eq!(
            lived(from, until).verdicts_of(&flow(&line), Direction::Ingress),
            verdict,
            "{from} to {until} at {at}"
        );
    }
}
