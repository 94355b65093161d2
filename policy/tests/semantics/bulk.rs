//! Flows in bulk go the short way wherever their ends leave nothing to think about. That what is said is the same either way, every
//! other test sees to.

use crate::stage::{NOTHING, Stage, audit, flow, shop};
use foretell_policy::engine::index::{BatchVerdicts, FlowKey};
use foretell_policy::model::flow::Direction;
use serde_json::{Value, json};

const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop},
 spec: {clusterIP: 10.96.0.1, selector: {app: cart}, ports: [{port: 80, targetPort: http}]}}";

/// A node on which nothing runs.
const EMPTY_NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: n3},
 status: {addresses: [{type: InternalIP, address: 192.168.0.3}]}}";

fn stage() -> Stage {
    shop().and(SERVICE).and(EMPTY_NODE).and(&audit("{policyTypes: [Ingress, Egress]}"))
}

/// How many of these flows took the long way, in a world that stands; in one that lives it is as many.
fn long_ways(stage: &Stage, flows: &[&str]) -> usize {
    let keys: Vec<FlowKey> = flows.iter().map(|text| FlowKey::of(&stage.flow(text)).unwrap()).collect();
    let cluster = stage.cluster();
    let (mut decision, mut living) = (BatchVerdicts::default(), BatchVerdicts::default());
    stage.world(&cluster).judge(&keys, &mut decision);
    stage.live().unwrap().judge(&keys, &mut living);
    assert_eq!(decision.full_lookups(), living.full_lookups(), "{flows:?}");
    decision.full_lookups()
}

#[test]
fn what_one_pod_node_service_or_nobody_has_goes_the_short_way() {
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
        assert_eq!(long_ways(&stage(), &[text]), 0, "{text}");
    }
    for text in [
        "web -> 127.0.0.1 TCP 80",
        "203.0.113.9 -> 10.96.0.1 TCP 80",
        "db -> 10.96.0.1 TCP 81",
        "db -> 10.96.0.1 UDP 80",
    ] {
        assert_eq!(long_ways(&stage(), &[text, "db -> web TCP 8080", text]), 2, "{text}");
    }
}

#[test]
fn an_address_that_several_have_wants_thought() {
    let twin =
        "{apiVersion: v1, kind: Pod, metadata: {name: twin, namespace: shop, uid: uid-twin, labels: {app: twin}},
 spec: {containers: [{name: c, image: c}]}, status: {phase: Running, podIP: 10.1.1.3}}";
    assert_eq!(long_ways(&stage().and(twin), &["web -> 10.1.1.3 TCP 5432"]), 1);
}

#[test]
fn loopback_is_nobodys_address() {
    let mad = "{apiVersion: v1, kind: Pod, metadata: {name: mad, namespace: shop, uid: uid-mad, labels: {app: mad}},
 spec: {containers: [{name: c, image: c}]}, status: {phase: Running, podIP: 127.0.0.1}}";
    let spec =
        "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: mad}}}]}]}";
    let stage = shop().and(mad).and(&audit(spec));
    assert_eq!(stage.says("127.0.0.1 -> web TCP 8080", Direction::Ingress), NOTHING);
    assert_eq!(long_ways(&stage, &["127.0.0.1 -> web TCP 8080"]), 1);
}

#[test]
fn what_was_said_is_forgotten() {
    let stage = stage();
    let cluster = stage.cluster();
    let (world, mut said) = (stage.world(&cluster), BatchVerdicts::default());
    let keys = ["web -> 127.0.0.1 TCP 80", "db -> web TCP 8080"].map(|text| FlowKey::of(&stage.flow(text)).unwrap());
    world.judge(&keys, &mut said);
    assert_eq!((said.full_lookups(), said.answers().len()), (1, 3), "web leaves, web, and web is reached");
    assert_eq!((said.of(1, Direction::Egress).len(), said.of(1, Direction::Ingress).len()), (0, 1));
    said.clear();
    assert_eq!((said.full_lookups(), said.answers().len()), (0, 0));
    world.judge(&keys[1..], &mut said);
    assert_eq!((said.of(0, Direction::Egress).len(), said.of(0, Direction::Ingress).len()), (0, 1));
}

#[test]
fn an_end_that_is_named_by_more_than_its_address_has_no_key() {
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
fn lived(from: &str, until: &str) -> Stage {
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
fn lives_have_any_beginning_and_end() {
    let (pod, nobody) = ("allow 0", "deny UnresolvedPeer");
    for (from, until, at, said) in [
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
        assert_eq!(lived(from, until).says_of(&flow(&line), Direction::Ingress), said, "{from} to {until} at {at}");
    }
}
