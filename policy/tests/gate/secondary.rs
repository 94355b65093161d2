//! Traffic on networks that pods have beside their default network: no NetworkPolicy holds for it.

use foretell_policy::report::data::{Decision, Report};
use foretell_policy::report::markdown;
use serde_json::{Value, json};

use crate::manifests::policy;
use crate::stage::{Stage, denials, shop};

const DENY_IN: &str = "{podSelector: {}, policyTypes: [Ingress]}";
const DENY_OUT: &str = "{podSelector: {}, policyTypes: [Egress]}";

/// The shop with two more pods, `left` and `right`, that have these statuses of their networks.
fn twins(spec: &str, networks: [&str; 2]) -> Stage {
    let mut stage = shop().head("it.yaml", &policy("shop", "it", spec));
    for (name, ip, networks) in [("left", "10.1.1.41", networks[0]), ("right", "10.1.2.42", networks[1])] {
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]});
        let annotations = json!({"k8s.v1.cni.cncf.io/network-status": networks});
        stage = stage.pod_with(name, ("Pod", "shop", name), "n1", &json!({"app": name}), &status, &annotations);
    }
    stage
}

/// The status of a pod with an address on the network `shop/copies`.
fn status(ip: &str) -> String {
    format!(
        r#"[{{"name": "cluster", "ips": ["10.1.9.9"], "default": true}}, {{"name": "shop/copies", "interface": "net1", "ips": ["{ip}"]}}]"#
    )
}

fn end(ip: &str, uid: Option<&str>) -> Value {
    match uid {
        Some(uid) => json!({"ip": ip, "podUid": uid}),
        None => json!({"ip": ip}),
    }
}

/// The numbers of connections that are judged, and of those that are set apart.
fn counts(report: &Report) -> (u64, u64) {
    (report.evidence.connections, report.evidence.secondary_networks.as_ref().map_or(0, |it| it.connections))
}

#[test]
fn a_connection_is_judged_at_each_end_that_is_on_the_default_network() {
    const LEFT: (&str, &str) = ("uid-left", "172.31.0.5");
    const RIGHT: (&str, &str) = ("uid-right", "172.31.0.7");
    let (left, right) = (end(LEFT.1, Some(LEFT.0)), end(RIGHT.1, Some(RIGHT.0)));
    let arrives = ["Unresolved Ingress right -> left TCP 7000 by shop/it"];
    let leaves = ["Unresolved Egress right -> left TCP 7000 by shop/it"];
    for (case, spec, src, dst, denied, apart) in [
        ("both by UID", DENY_IN, right.clone(), left.clone(), &[][..], true),
        ("both by address", DENY_IN, end(RIGHT.1, None), end(LEFT.1, None), &[], true),
        ("one by address", DENY_IN, end(RIGHT.1, None), left.clone(), &[], true),
        ("leaving", DENY_OUT, right.clone(), left.clone(), &[], true),
        ("from outside", DENY_IN, end("172.31.0.99", None), left.clone(), &[], true),
        ("to outside", DENY_OUT, right.clone(), end("172.31.0.99", None), &[], true),
        (
            "on the default network",
            DENY_IN,
            end("10.1.2.42", Some("uid-right")),
            end("10.1.1.41", Some("uid-left")),
            &arrives,
            false,
        ),
        ("on the default network, leaving", DENY_OUT, end("10.1.2.42", None), end("10.1.1.41", None), &leaves, false),
        // A pod that reaches the other's second address over its own default network is restricted there.
        ("into the network, arriving", DENY_IN, end("10.1.2.42", Some("uid-right")), left.clone(), &[], false),
        (
            "into the network, leaving",
            DENY_OUT,
            end("10.1.2.42", Some("uid-right")),
            left.clone(),
            &["Unresolved Egress right -> 172.31.0.5 TCP 7000 by shop/it"],
            false,
        ),
        // A selector does not match an end there, a block would.
        (
            "out of the network",
            DENY_IN,
            right.clone(),
            end("10.1.1.41", Some("uid-left")),
            &["Unresolved Ingress 172.31.0.7 -> left TCP 7000 by shop/it"],
            false,
        ),
    ] {
        let (left, right) = (status(LEFT.1), status(RIGHT.1));
        let stage = twins(spec, [&left, &right]);
        let report = stage.flow_with("left -> right TCP 7000", &json!({"src": src, "dst": dst})).judge();
        assert_eq!(denials(&report), denied, "{case}");
        assert_eq!(counts(&report), if apart { (0, 1) } else { (1, 0) }, "{case}");
        let page = markdown::render(&report);
        let sentence = "1 connection on secondary networks (`shop/copies`) is not judged: NetworkPolicies hold for the \
                        default network of a pod only.";
        assert_eq!(page.contains(sentence), apart, "{case}: {page}");
    }
}

#[test]
fn an_address_that_another_pod_has_on_the_default_network_is_that_pods() {
    let status = status("10.1.2.2");
    let report = twins(DENY_IN, [&status, "[]"])
        .flow("web -> cart TCP 7000")
        .flow_with("web -> cart TCP 7001", &json!({"dst": {"ip": "10.1.2.2", "podUid": "uid-left"}}))
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 7000 by shop/it"]);
}

#[test]
fn networks_that_cannot_be_read_are_ignored_and_said() {
    let status = status("172.31.0.7");
    let stage = |left: &str| {
        twins(DENY_IN, [left, &status])
            .flow_with(
                "left -> right TCP 7000",
                &json!({"src": end("172.31.0.7", Some("uid-right")), "dst": end("172.31.0.5", Some("uid-left"))}),
            )
            .judge()
    };
    for unreadable in ["", "{", "null", "{}", r#"[{"ips": "172.31.0.5"}]"#, "[[", "\u{0}"] {
        let report = stage(unreadable);
        assert_eq!(report.decision, Decision::Blocked, "{unreadable}");
        assert_eq!(denials(&report), ["Unresolved Ingress 172.31.0.7 -> left TCP 7000 by shop/it"], "{unreadable}");
        assert!(
            report.notes.iter().any(|note| note.contains("of Pod shop/left is not a list in JSON")),
            "{:?}",
            report.notes
        );
    }
    let report = stage(r#"[{"name": "shop/copies", "ips": ["172.31.0.5"]}]"#);
    assert_eq!((report.decision, report.notes.len()), (Decision::MayMerge, 0), "{:?}", report.notes);
}

#[test]
fn the_former_name_of_the_annotation_counts_as_well() {
    let status = status("172.31.0.5");
    let pod = json!({"phase": "Running", "podIP": "10.1.1.41", "podIPs": [{"ip": "10.1.1.41"}]});
    let annotations = json!({"k8s.v1.cni.cncf.io/networks-status": status});
    let report = shop()
        .head("it.yaml", &policy("shop", "it", DENY_IN))
        .pod_with("left", ("Pod", "shop", "left"), "n1", &json!({"app": "left"}), &pod, &annotations)
        .flow_with(
            "left -> left TCP 7000",
            &json!({"src": end("172.31.0.7", None), "dst": end("172.31.0.5", Some("uid-left"))}),
        )
        .judge();
    assert_eq!((denials(&report), counts(&report)), (Vec::new(), (0, 1)));
}
