//! Which pod had an address at which time.

use crate::scenario::{NOTHING, Scenario, audit, flow, shop};
use foretell_objects::model::flow::Direction;
use serde_json::json;

/// A policy on `cart` that allows only `app: old`.
fn scenario() -> Scenario {
    shop().and(&audit(
        "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {matchLabels: {app: old}}}]}]}",
    ))
}

fn pod(name: &str, app: &str, annotations: &str, status: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, uid: uid-{name}, labels: {{app: {app}}}, annotations: {{{annotations}}}}}
spec: {{containers: [{{name: c, image: c}}]}}
status: {{podIP: 10.1.1.50, {status}}}"
    )
}

fn terminated(at: &str) -> String {
    format!(
        "containerStatuses: [{{name: c, image: c, imageID: c, ready: false, restartCount: 0, state: {{terminated: {{exitCode: 0, finishedAt: '{at}'}}}}}}]"
    )
}

/// The verdict on a flow from 10.1.1.50 to `cart` between two times of the day.
fn at(scenario: &Scenario, start: &str, end: &str) -> String {
    let day = |time: &str| format!("2026-11-21T{time}:00Z");
    let line = json!({"start": day(start), "end": day(end), "src": {"ip": "10.1.1.50"}, "dst": {"ip": "10.1.2.2"},
        "protocol": "TCP", "port": 9090});
    scenario.verdicts_of(&flow(&line), Direction::Ingress)
}

#[test]
fn a_reused_address_belongs_to_the_pod_that_had_it_at_the_time() {
    let first = pod(
        "first",
        "old",
        "",
        &format!("phase: Succeeded, startTime: '2026-11-21T08:00:00Z', {}", terminated("2026-11-21T10:00:00Z")),
    );
    let second = pod("second", "new", "", "phase: Running, startTime: '2026-11-21T11:00:00Z'");
    for scenario in [scenario().and(&first).and(&second), scenario().and(&second).and(&first)] {
        assert_eq!(at(&scenario, "07:59", "07:59"), "deny UnresolvedPeer", "nobody yet");
        assert_eq!(at(&scenario, "08:00", "08:01"), "allow 0");
        assert_eq!(at(&scenario, "09:59", "11:30"), "allow 0", "it began in the first one's time");
        assert_eq!(at(&scenario, "10:00", "10:30"), "deny UnresolvedPeer", "nobody any more");
        assert_eq!(at(&scenario, "10:30", "11:30"), "deny NoRuleMatched", "it ended in the second one's time");
        assert_eq!(at(&scenario, "11:00", "11:00"), "deny NoRuleMatched");
    }
}

#[test]
fn of_two_pods_at_one_address_the_one_that_started_last_has_it() {
    let first = pod("first", "new", "", "phase: Running, startTime: '2026-11-21T08:00:00Z'");
    let second = pod("second", "old", "", "phase: Running, startTime: '2026-11-21T09:00:00Z'");
    for scenario in [scenario().and(&first).and(&second), scenario().and(&second).and(&first)] {
        assert_eq!(at(&scenario, "10:00", "10:00"), "allow 0");
        assert_eq!(at(&scenario, "08:30", "08:30"), "deny NoRuleMatched");
    }
}

#[test]
fn a_pod_without_a_start_time_counts_as_always_running() {
    let scenario = scenario().and(&pod("first", "old", "", "phase: Running"));
    assert_eq!(at(&scenario, "00:00", "00:00"), "allow 0");
}

#[test]
fn a_peer_that_is_gone_is_still_resolved() {
    let gone = pod("gone", "old", "foretell.dev/gone-at: '2026-11-21T10:00:00Z'", "phase: Running");
    let scenario = scenario().and(&gone);
    assert_eq!(at(&scenario, "09:00", "09:00"), "allow 0");
    assert_eq!(at(&scenario, "10:00", "10:00"), "deny UnresolvedPeer");
}

#[test]
fn a_finished_pod_is_not_a_subject_after_its_end() {
    for phase in ["Succeeded", "Failed"] {
        let status = format!("phase: {phase}, {}", terminated("2026-11-21T10:00:00Z"));
        let scenario = shop().and(&audit("{policyTypes: [Egress]}")).and(&pod("batch", "old", "", &status));
        let egress = |time: &str| {
            let line = json!({"start": time, "end": time, "src": {"ip": "10.1.1.50"}, "dst": {"ip": "10.1.2.2"},
                "protocol": "TCP", "port": 9090});
            scenario.verdicts_of(&flow(&line), Direction::Egress)
        };
        assert_eq!(egress("2026-11-21T09:59:59Z"), "deny NoRules", "{phase}");
        assert_eq!(egress("2026-11-21T10:00:00Z"), NOTHING, "{phase}");
    }
}

#[test]
fn a_pod_that_finished_at_an_unknown_time_keeps_its_address_unless_another_pod_has_it() {
    let finished = pod("finished", "old", "", "phase: Failed, startTime: '2026-11-21T08:00:00Z'");
    let scenario = scenario().and(&finished);
    assert_eq!(at(&scenario, "09:00", "09:00"), "allow 0");
    assert_eq!(at(&scenario, "07:00", "07:00"), "deny UnresolvedPeer", "before it started");
    let scenario = scenario.and(&pod("second", "new", "", "phase: Running, startTime: '2026-11-21T08:30:00Z'"));
    assert_eq!(at(&scenario, "09:00", "09:00"), "deny NoRuleMatched");
    assert_eq!(at(&scenario, "08:10", "08:10"), "allow 0");
}

#[test]
fn uid_beats_name_and_name_beats_address() {
    let scenario = scenario().and(&pod("old", "old", "", "phase: Running"));
    let verdict = |src: serde_json::Value| {
        let line = json!({"src": src, "dst": {"ip": "10.1.2.2"}, "protocol": "TCP", "port": 9090});
        scenario.verdicts_of(&flow(&line), Direction::Ingress)
    };
    let (old, web) = ("10.1.1.50", "10.1.1.1");
    assert_eq!(verdict(json!({"ip": old})), "allow 0");
    assert_eq!(verdict(json!({"ip": web})), "deny NoRuleMatched");
    assert_eq!(verdict(json!({"ip": web, "namespace": "shop", "pod": "old"})), "allow 0");
    assert_eq!(verdict(json!({"ip": old, "namespace": "shop", "pod": "web"})), "deny NoRuleMatched");
    assert_eq!(verdict(json!({"ip": web, "namespace": "shop", "pod": "web", "podUid": "uid-old"})), "allow 0");
    assert_eq!(
        verdict(json!({"ip": old, "namespace": "shop", "pod": "old", "podUid": "uid-web"})),
        "deny NoRuleMatched"
    );
    assert_eq!(verdict(json!({"ip": old, "namespace": "shop", "pod": "old", "podUid": "uid-nobody"})), "allow 0");
}

#[test]
fn a_pod_that_the_observer_names_and_the_snapshot_lacks_is_unresolved() {
    let scenario = scenario().and(&pod("old", "old", "", "phase: Running"));
    for end in [
        json!({"ip": "10.1.1.50", "podUid": "uid-nobody"}),
        json!({"ip": "10.1.1.50", "namespace": "shop", "pod": "nobody"}),
        json!({"ip": "203.0.113.9", "podUid": "uid-nobody"}),
        json!({"ip": "203.0.113.9", "namespace": "shop", "pod": "nobody"}),
    ] {
        let line = json!({"src": end, "dst": {"ip": "10.1.2.2"}, "protocol": "TCP", "port": 9090});
        assert_eq!(scenario.verdicts_of(&flow(&line), Direction::Ingress), "deny UnresolvedPeer", "{end}");
    }
}

#[test]
fn the_name_of_a_pod_without_a_namespace_is_ignored() {
    let scenario = scenario().and(&pod("old", "old", "", "phase: Running"));
    for (end, verdict) in [
        (json!({"ip": "10.1.1.50", "pod": "nobody"}), "allow 0"),
        (json!({"ip": "203.0.113.9", "pod": "nobody"}), "deny NoRuleMatched"),
        (json!({"ip": "203.0.113.9", "namespace": "shop"}), "deny NoRuleMatched"),
    ] {
        let line = json!({"src": end, "dst": {"ip": "10.1.2.2"}, "protocol": "TCP", "port": 9090});
        assert_eq!(scenario.verdicts_of(&flow(&line), Direction::Ingress), verdict, "{end}");
    }
}

#[test]
fn a_snapshot_without_uids_is_resolved_by_address() {
    let scenario = scenario().and(
        "{apiVersion: v1, kind: Pod, metadata: {name: old, namespace: shop, labels: {app: old}}, status: {podIP: 10.1.1.50}}",
    );
    let line = json!({"src": {"ip": "10.1.1.50", "podUid": "uid-1"}, "dst": {"ip": "10.1.2.2"}, "protocol": "TCP",
        "port": 9090});
    assert_eq!(scenario.verdicts_of(&flow(&line), Direction::Ingress), "allow 0");
}

#[test]
fn a_reused_pod_name_refers_to_the_pod_of_that_time() {
    let first = "{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, uid: first, labels: {app: old},
 annotations: {foretell.dev/gone-at: '2026-11-21T10:00:00Z'}}, status: {podIP: 10.1.1.50}}";
    let second = "{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, uid: second, labels: {app: new}},
 status: {podIP: 10.1.1.51, startTime: '2026-11-21T10:00:00Z'}}";
    let scenario = scenario().and(first).and(second);
    for (time, verdict) in [("2026-11-21T09:00:00Z", "allow 0"), ("2026-11-21T11:00:00Z", "deny NoRuleMatched")] {
        let line = json!({"start": time, "end": time, "src": {"ip": "10.9.9.9", "namespace": "shop", "pod": "db-0"},
            "dst": {"ip": "10.1.2.2"}, "protocol": "TCP", "port": 9090});
        assert_eq!(scenario.verdicts_of(&flow(&line), Direction::Ingress), verdict, "{time}");
    }
}

#[test]
fn a_static_pod_is_identified_by_its_config_hash_and_by_its_uid() {
    let scenario = scenario().and(
        "apiVersion: v1
kind: Pod
metadata:
  name: etcd-n1
  namespace: shop
  uid: 11111111-2222-3333-4444-555555555555
  labels: {app: old}
  annotations: {kubernetes.io/config.hash: 0a1b2c3d4e5f60718293a4b5c6d7e8f9, kubernetes.io/config.source: file}
status: {podIP: 10.1.1.60}",
    );
    for uid in ["0a1b2c3d4e5f60718293a4b5c6d7e8f9", "11111111-2222-3333-4444-555555555555"] {
        let line = json!({"src": {"ip": "10.9.9.9", "podUid": uid}, "dst": {"ip": "10.1.2.2"}, "protocol": "TCP",
            "port": 9090});
        assert_eq!(scenario.verdicts_of(&flow(&line), Direction::Ingress), "allow 0", "{uid}");
    }
}

#[test]
fn of_two_manifests_of_one_pod_or_service_the_last_counts() {
    let pod = |ip: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: old, namespace: shop, uid: one, labels: {{app: old}}}}, status: {{podIP: {ip}}}}}"
        )
    };
    let scenario = scenario().and(&pod("10.1.1.50")).and(&pod("10.1.1.51"));
    assert_eq!(scenario.verdicts("10.1.1.51 -> cart TCP 9090", Direction::Ingress), "allow 0");
    assert_eq!(scenario.verdicts("10.1.1.50 -> cart TCP 9090", Direction::Ingress), "deny UnresolvedPeer");

    let service = |ip: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: cart, namespace: shop}}, spec: {{clusterIP: {ip}, selector: {{app: cart}}, ports: [{{port: 80}}]}}}}"
        )
    };
    let scenario = shop().and(&audit("{egress: [{to: [{podSelector: {}}]}]}"));
    let scenario = scenario.and(&service("10.96.0.1")).and(&service("10.96.0.2"));
    assert_eq!(scenario.verdicts("web -> 10.96.0.2 TCP 80", Direction::Egress), "allow 0");
    assert_eq!(scenario.verdicts("web -> 10.96.0.1 TCP 80", Direction::Egress), "deny NoRuleMatched");
}

/// Whether an address is attributed to an unknown pod, with pods at these addresses and these declared ranges.
fn is_a_pods(ranges: &[&'static str], seen: &[&str], address: &str) -> bool {
    let mut scenario =
        shop().and(&audit("{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}"));
    for (number, ip) in seen.iter().enumerate() {
        scenario = scenario.and(
            &pod(&format!("seen-{number}"), "seen", "", "phase: Running").replace("10.1.1.50", &format!("'{ip}'")),
        );
    }
    for range in ranges {
        scenario = scenario.pod_range(range);
    }
    let to = if address.contains(':') { "fd00:1::1" } else { "web" };
    match scenario.verdicts(&format!("{address} -> {to} TCP 8080"), Direction::Ingress).as_str() {
        "deny UnresolvedPeer" => true,
        "deny NoRuleMatched" => false,
        other => panic!("{other}"),
    }
}

#[test]
fn an_address_in_a_declared_range_belongs_to_a_pod() {
    for (ranges, address, is) in [
        (&["10.3.0.0/16", "10.200.0.0/16"][..], "10.3.0.0", true),
        (&["10.3.0.0/16", "10.200.0.0/16"], "10.200.255.255", true),
        (&["10.3.0.0/16", "10.200.0.0/16"], "10.2.255.255", false),
        (&["10.3.0.0/16", "10.200.0.0/16"], "10.100.0.1", false),
        (&["10.3.0.0/16", "10.200.0.0/16"], "10.201.0.0", false),
        (&["10.3.0.0/16", "10.0.0.0/12"], "10.15.0.1", true),
        (&["10.0.0.0/12", "10.3.0.0/16"], "10.15.0.1", true),
        (&["10.3.0.0/16", "10.4.0.0/16", "10.3.255.255/32"], "10.4.0.1", true),
        (&["fd00:7::/48"], "fd00:7:0:ffff::1", true),
        (&["fd00:7::/48"], "fd00:8::1", false),
    ] {
        assert_eq!(is_a_pods(ranges, &[], address), is, "{ranges:?} {address}");
        let reversed: Vec<&str> = ranges.iter().rev().copied().collect();
        assert_eq!(is_a_pods(&reversed, &[], address), is, "{reversed:?} {address}");
    }
}

#[test]
fn without_declared_ranges_addresses_near_that_of_a_pod_belong_to_pods() {
    for (ranges, seen, address, is) in [
        (&[][..], "10.5.5.1", "10.5.5.100", true),
        (&[], "10.5.5.1", "10.5.6.100", false),
        // A range that ends or begins in the neighbourhood has precedence.
        (&["10.5.5.224/27"], "10.5.5.1", "10.5.5.100", false),
        (&["10.5.5.224/27"], "10.5.5.1", "10.5.5.230", true),
        (&[], "fd00:5::1", "fd00:5::8000:0:0:1", true),
        (&[], "fd00:5::1", "fd00:5:0:1::1", false),
        (&["fd00:5:0:0:ffff::/80"], "fd00:5::1", "fd00:5::100", false),
        (&["fd00:5:0:0:ffff::/80"], "fd00:5::1", "fd00:5::8000:0:0:1", false),
        (&["fd00:5:0:0:ffff::/80"], "fd00:5::1", "fd00:5::ffff:0:0:1", true),
    ] {
        assert_eq!(is_a_pods(ranges, &[seen], address), is, "{ranges:?} {seen} {address}");
    }
}
