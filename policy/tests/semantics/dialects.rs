//! The deviations of enforcers, each compared with upstream and the other enforcers.

use foretell_objects::model::dialect::{Cni, Dialect};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::flow::Direction::{Egress, Ingress};

use crate::scenario::{Scenario, audit, shop};

const FROM_EVERYWHERE: &str = "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}";

/// The verdict of the shop's policy on a flow, as an enforcer reads it.
fn verdict(cni: &str, spec: &str, flow: &str, direction: Direction) -> String {
    shop().and(&audit(spec)).under(cni).verdicts(flow, direction)
}

fn enforced(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
    )
}

#[test]
fn a_block_matches_no_pod_and_no_node_under_cilium() {
    for (flow, upstream) in [
        ("cart -> web TCP 8080", "allow 0, enforcers differ"),
        ("192.168.0.2 -> web TCP 8080", "allow 0, enforcers differ"),
    ] {
        assert_eq!(verdict("upstream", FROM_EVERYWHERE, flow, Ingress), upstream);
        assert_eq!(verdict("cilium", FROM_EVERYWHERE, flow, Ingress), "deny NoRuleMatched", "{flow}");
        assert_eq!(verdict("calico", FROM_EVERYWHERE, flow, Ingress), "allow 0", "{flow}");
        assert_eq!(verdict("kube-router", FROM_EVERYWHERE, flow, Ingress), "allow 0", "{flow}");
        assert_eq!(verdict("antrea", FROM_EVERYWHERE, flow, Ingress), upstream, "nothing is written of it");
    }
    assert_eq!(
        verdict("cilium", FROM_EVERYWHERE, "203.0.113.9 -> web TCP 8080", Ingress),
        "allow 0",
        "the world outside"
    );
    let labels = "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}, {from: [{podSelector: {}}]}]}";
    assert_eq!(verdict("cilium", labels, "cart -> web TCP 8080", Ingress), "allow 1");
}

#[test]
fn a_block_matches_no_unknown_pod_under_cilium() {
    let flow = "10.1.1.99 -> web TCP 8080";
    assert_eq!(verdict("upstream", FROM_EVERYWHERE, flow, Ingress), "allow 0");
    assert_eq!(verdict("cilium", FROM_EVERYWHERE, flow, Ingress), "deny UnresolvedPeer");
    assert_eq!(verdict("cilium,policy-cidr-match-mode=pods", FROM_EVERYWHERE, flow, Ingress), "allow 0");
    assert_eq!(verdict("calico", FROM_EVERYWHERE, flow, Ingress), "allow 0");
}

#[test]
fn a_block_matches_the_kinds_in_ciliums_match_mode() {
    let (pod, node) = ("cart -> web TCP 8080", "192.168.0.2 -> web TCP 8080");
    for (mode, to_pod, to_node) in [
        ("pods", "allow 0", "deny NoRuleMatched"),
        ("nodes", "deny NoRuleMatched", "allow 0"),
        ("pods+nodes", "allow 0", "allow 0"),
    ] {
        let cni = format!("cilium,policy-cidr-match-mode={mode}");
        assert_eq!(verdict(&cni, FROM_EVERYWHERE, pod, Ingress), to_pod, "{mode}");
        assert_eq!(verdict(&cni, FROM_EVERYWHERE, node, Ingress), to_node, "{mode}");
    }
}

#[test]
fn a_pod_needs_a_rule_for_its_own_node_under_cilium_and_calico() {
    let flow = "web -> 192.168.0.1 TCP 10250";
    let (nothing, everything) = ("{policyTypes: [Egress]}", "{egress: [{}]}");
    let block = "{egress: [{to: [{ipBlock: {cidr: 192.168.0.0/24}}]}]}";
    for (cni, by_nothing, by_block) in [
        ("upstream", "exempt node, enforcers differ", "exempt node, enforcers differ"),
        ("cilium", "deny NoRules", "deny NoRuleMatched"),
        ("cilium,policy-cidr-match-mode=nodes", "deny NoRules", "allow 0"),
        ("calico", "deny NoRules", "allow 0"),
        ("kube-network-policies", "exempt node", "exempt node"),
        ("weave", "exempt node", "exempt node"),
        ("kube-router", "exempt node, enforcers differ", "exempt node, enforcers differ"),
    ] {
        assert_eq!(verdict(cni, nothing, flow, Egress), by_nothing, "{cni}");
        assert_eq!(verdict(cni, block, flow, Egress), by_block, "{cni}");
        let open = verdict(cni, everything, flow, Egress);
        assert!(open.starts_with("allow 0") || open.starts_with("exempt node"), "{cni}: {open}");
    }
}

#[test]
fn a_node_reaches_its_own_pods_under_every_enforcer() {
    for cni in Cni::ALL {
        let verdict = verdict(cni.name(), "{policyTypes: [Ingress]}", "192.168.0.1 -> web TCP 8080", Ingress);
        assert_eq!(verdict, "exempt node", "{cni}");
    }
}

#[test]
fn an_except_removes_addresses_from_wider_blocks_of_its_rule_under_kube_router() {
    let beside = "{egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/30]}}, \
                  {ipBlock: {cidr: 203.0.113.0/28}}, {ipBlock: {cidr: 203.0.113.11/32}}]}]}";
    for (dst, upstream, kube_router) in [
        ("203.0.113.9", "allow 0", "deny NoRuleMatched"),
        ("203.0.113.11", "allow 0", "allow 0"),
        ("203.0.113.7", "allow 0", "allow 0"),
        ("203.0.113.99", "allow 0", "allow 0"),
    ] {
        let flow = format!("web -> {dst} TCP 443");
        assert_eq!(verdict("upstream", beside, &flow, Egress), upstream, "{dst}");
        assert_eq!(verdict("kube-router", beside, &flow, Egress), kube_router, "{dst}");
    }
    let apart = "{egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/30]}}]}, \
                 {to: [{ipBlock: {cidr: 203.0.113.0/28}}]}]}";
    assert_eq!(verdict("kube-router", apart, "web -> 203.0.113.9 TCP 443", Egress), "allow 1", "another rule");
}

#[test]
fn a_named_port_means_the_ports_of_the_namespaces_pods_under_kube_router() {
    // Port http is 8080 on web and 9090 on cart, both in the policy's namespace; db is in another.
    let spec = "{egress: [{ports: [{port: http}]}]}";
    for (flow, upstream, kube_router) in [
        ("web -> cart TCP 9090", "allow 0", "allow 0"),
        ("web -> cart TCP 8080", "deny NoRuleMatched", "allow 0"),
        ("web -> 203.0.113.9 TCP 8080", "deny NoRuleMatched", "allow 0"),
        ("web -> 203.0.113.9 TCP 8081", "deny NoRuleMatched", "deny NoRuleMatched"),
        ("web -> cart UDP 9090", "deny NoRuleMatched", "deny NoRuleMatched"),
    ] {
        assert_eq!(verdict("upstream", spec, flow, Egress), upstream, "{flow}");
        assert_eq!(verdict("kube-router", spec, flow, Egress), kube_router, "{flow}");
        assert_eq!(verdict("calico", spec, flow, Egress), upstream, "{flow}");
    }
    let sql = "{egress: [{ports: [{port: sql}]}]}";
    assert_eq!(verdict("upstream", sql, "web -> db TCP 5432", Egress), "allow 0");
    assert_eq!(
        verdict("kube-router", sql, "web -> db TCP 5432", Egress),
        "deny NoRuleMatched",
        "no pod here calls one so"
    );
    let selected = "{egress: [{to: [{namespaceSelector: {}}], ports: [{port: sql}]}]}";
    assert_eq!(
        verdict("kube-router", selected, "web -> db TCP 5432", Egress),
        "allow 0",
        "selectors look at their pods"
    );
    let by_block = "{egress: [{to: [{ipBlock: {cidr: 10.1.0.0/16}}], ports: [{port: sql}, {port: 53}]}]}";
    assert_eq!(
        verdict("kube-router", by_block, "web -> db TCP 5432", Egress),
        "deny NoRuleMatched",
        "blocks know no names"
    );
    assert_eq!(verdict("kube-router", by_block, "web -> db TCP 53", Egress), "allow 0");
    let beside = "{egress: [{to: [{podSelector: {}}, {ipBlock: {cidr: 10.1.0.0/16}}], ports: [{port: sql}]}]}";
    assert_eq!(verdict("upstream", beside, "web -> db TCP 5432", Egress), "allow 0, enforcers differ");
    assert_eq!(
        verdict("kube-router", beside, "web -> db TCP 5432", Egress),
        "deny NoRuleMatched",
        "nor beside selectors"
    );
    let ingress = "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: http}]}]}";
    assert_eq!(verdict("kube-router", ingress, "cart -> web TCP 8080", Ingress), "allow 0");
    assert_eq!(
        verdict("kube-router", ingress, "cart -> web TCP 9090", Ingress),
        "deny NoRuleMatched",
        "ingress is per pod"
    );
}

/// The decisions about a flow at both ends.
fn decisions(scenario: Scenario, cni: &str, flow: &str) -> [String; 2] {
    let scenario = scenario.under(cni);
    Direction::BOTH.map(|direction| scenario.decide(flow, direction))
}

#[test]
fn either_end_is_enough_for_two_isolated_pods_of_one_node_under_kube_router() {
    // web and near are on n1, cart on n2.
    let near = "apiVersion: v1
kind: Pod
metadata: {name: near, namespace: shop, labels: {app: near}}
spec: {nodeName: n1, containers: [{name: c, image: c}]}
status: {phase: Running, podIP: 10.1.1.7, podIPs: [{ip: 10.1.1.7}]}";
    let scenario = || {
        shop()
            .and(near)
            .and(&enforced("closed", "{policyTypes: [Egress]}"))
            .and(&enforced(
                "open",
                "{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}, ingress: [{}]}",
            ))
            .and(&enforced("shut", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}"))
    };
    let denied = "denied by closed".to_owned();
    assert_eq!(
        decisions(scenario(), "upstream", "web -> near TCP 80"),
        [denied.clone(), "allowed by open 0".to_owned()]
    );
    let allowed = ["allowed at the other end by open 0".to_owned(), "allowed by open 0".to_owned()];
    assert_eq!(decisions(scenario(), "kube-router", "web -> near TCP 80"), allowed);
    let far = [denied.clone(), "allowed by open 0".to_owned()];
    assert_eq!(decisions(scenario(), "kube-router", "web -> cart TCP 80"), far, "on another node both ends are asked");
    let both = [denied.clone(), "denied by shut".to_owned()];
    assert_eq!(decisions(scenario(), "kube-router", "near -> web TCP 80"), both, "no end allows it");
    let open_there = decisions(
        shop().and(near).and(&enforced("closed", "{policyTypes: [Egress]}")),
        "kube-router",
        "web -> near TCP 80",
    );
    assert_eq!(open_there, [denied, "open".to_owned()], "the other one is not isolated");
    let alone = scenario().under("kube-router").verdicts("web -> near TCP 80", Egress);
    assert_eq!(alone, "deny NoRules", "a policy by itself denies it all the same");
}

#[test]
fn a_dialect_is_displayed_in_the_form_in_which_it_is_parsed() {
    for cni in Cni::ALL {
        assert_eq!(Dialect::of(cni).to_string(), cni.name());
        assert_eq!(cni.name().parse(), Ok(Dialect::of(cni)));
    }
    for text in ["cilium,policy-cidr-match-mode=nodes", "cilium,policy-cidr-match-mode=pods+nodes"] {
        assert_eq!(text.parse::<Dialect>().unwrap().to_string(), text);
    }
    assert_eq!(
        "cilium, policy-cidr-match-mode=pods".parse::<Dialect>().unwrap().to_string(),
        "cilium,policy-cidr-match-mode=pods"
    );
}

#[test]
fn an_unknown_dialect_is_refused_with_a_list_of_known_ones() {
    let refused = |text: &str| text.parse::<Dialect>().unwrap_err().to_string();
    let unknown = refused("flannel");
    for cni in Cni::ALL {
        assert!(unknown.contains(cni.name()), "{unknown}");
    }
    assert_eq!(
        refused("cilium,policy-cidr-match-mode=hosts"),
        "policy-cidr-match-mode=hosts: write pods, nodes or pods+nodes"
    );
    assert_eq!(refused("calico,nodes"), "\"nodes\": calico has no such option: this enforcer has no options");
    assert!(refused("cilium,mode=nodes").contains("policy-cidr-match-mode=pods"));
    assert!(refused("").contains("choose one of upstream"));
}

#[test]
fn every_deviation_of_every_enforcer_has_its_source() {
    for cni in Cni::ALL {
        for deviation in Dialect::of(cni).deviations() {
            assert!(deviation.source(cni).starts_with("https://"), "{cni} {deviation:?}");
        }
    }
    assert_eq!(Dialect::UPSTREAM.deviations().count(), 0);
    assert_eq!(Dialect::of(Cni::Upstream), Dialect::UPSTREAM);
}

#[test]
fn a_denial_that_upstream_would_not_give_names_the_enforcer() {
    let message =
        |cni: &str, spec: &str, flow: &str, direction| shop().and(&audit(spec)).under(cni).message(flow, direction);
    assert!(
        message("cilium", FROM_EVERYWHERE, "cart -> web TCP 8080", Ingress).ends_with(
            "; by the Kubernetes specification ingress[0] allows it, but for Cilium an ipBlock matches no pod"
        ),
    );
    let by_block =
        "{ingress: [{from: [{podSelector: {}}], ports: [{port: 1}]}, {from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}";
    let second = message("cilium", by_block, "cart -> web TCP 8080", Ingress);
    assert!(second.contains("; by the Kubernetes specification ingress[1] allows it, but for Cilium"), "{second}");
    let to_node = message("calico", "{policyTypes: [Egress]}", "web -> 192.168.0.1 TCP 80", Egress);
    assert!(
        to_node.ends_with("; for Calico the pod's policies apply to traffic from a pod to its own node"),
        "{to_node}"
    );
    let sql = message("kube-router", "{egress: [{ports: [{port: sql}]}]}", "web -> db TCP 5432", Egress);
    assert!(
        sql.contains(
            "; by the Kubernetes specification egress[0] allows it, but for kube-router in an egress rule a port's name"
        ),
        "{sql}"
    );
    let plain = message("cilium", "{policyTypes: [Ingress]}", "cart -> web TCP 8080", Ingress);
    assert_eq!(plain, "policy has no ingress rules: every ingress flow is denied");
}

/// `cart` is behind a Service whose selector is a part of the labels that policies may ask for.
const CART_SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], externalIPs: [198.51.100.7], selector: {app: cart}, ports: [{port: 80, targetPort: http}]}";

#[test]
fn the_vpc_cni_sees_a_service_by_its_address() {
    let to = |peer: &str, ports: &str| {
        format!("{{podSelector: {{matchLabels: {{app: web}}}}, egress: [{{to: [{peer}], ports: {ports}}}]}}")
    };
    let (own, backend) =
        ("{podSelector: {matchLabels: {app: cart}}}", "{podSelector: {matchLabels: {app: cart, tier: back}}}");
    let (address, service) = ("web -> 10.96.0.10 TCP 80", "{ipBlock: {cidr: 10.96.0.10/32}}");
    let (denied, allowed) = ("deny NoRuleMatched", "allow 0");
    for (peer, ports, flow, upstream, there) in [
        // The Service's own selector is matched, and its target port stands for its port.
        (own, "[{port: 9090}]", address, allowed, allowed),
        (own, "[{port: http}]", address, allowed, allowed),
        (own, "[]", address, allowed, allowed),
        ("{podSelector: {}}", "[{port: 9090}]", address, allowed, allowed),
        (own, "[{port: 80}]", address, denied, denied),
        // It does not select by `tier`, so only the pod's own address is opened.
        (backend, "[{port: 9090}]", address, allowed, denied),
        (backend, "[{port: 9090}]", "web -> cart TCP 9090", allowed, allowed),
        ("{podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}", "[]", address, allowed, denied),
        (
            "{namespaceSelector: {matchLabels: {team: data}}, podSelector: {matchLabels: {app: cart}}}",
            "[]",
            address,
            denied,
            denied,
        ),
        // A block has to contain the Service's address, and its port is the Service's.
        (service, "[{port: 80}]", address, denied, allowed),
        (service, "[{port: 9090}]", address, denied, denied),
        (service, "[{port: http}]", address, denied, denied),
        ("{ipBlock: {cidr: 10.1.0.0/16}}", "[]", address, "allow 0, enforcers differ", denied),
        // Selectors open the cluster IP alone.
        (own, "[{port: 9090}]", "web -> 198.51.100.7 TCP 80", allowed, denied),
        ("{ipBlock: {cidr: 198.51.100.7/32}}", "[{port: 80}]", "web -> 198.51.100.7 TCP 80", denied, allowed),
    ] {
        let scene = || shop().and(CART_SERVICE).and(&audit(&to(peer, ports)));
        assert_eq!(scene().verdicts(flow, Egress), upstream, "{peer} {ports} {flow}");
        assert_eq!(scene().under("aws-vpc-cni").verdicts(flow, Egress), there, "{peer} {ports} {flow}");
    }
    let everyone = "{podSelector: {matchLabels: {app: web}}, egress: [{ports: [{port: 80}]}]}";
    let scene = || shop().and(CART_SERVICE).and(&audit(everyone));
    assert_eq!(scene().verdicts(address, Egress), denied);
    assert_eq!(scene().under("aws-vpc-cni").verdicts(address, Egress), allowed);
    let message =
        shop().and(CART_SERVICE).and(&audit(&to(backend, "[]"))).under("aws-vpc-cni").message(address, Egress);
    assert!(
        message.contains("for the Amazon VPC CNI egress policies see the address and port of a Service"),
        "{message}"
    );
}

#[test]
fn ovn_kubernetes_assigns_the_host_network_to_a_namespace() {
    const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: openshift-host-network, labels: \
        {policy-group.network.openshift.io/host-network: '', network.openshift.io/policy-group: ingress}}}";
    let from = |peer: &str| format!("{{podSelector: {{}}, ingress: [{{from: [{peer}], ports: [{{port: 8080}}]}}]}}");
    let by_label = "{namespaceSelector: {matchLabels: {policy-group.network.openshift.io/host-network: ''}}}";
    let (node, denied) = ("192.168.0.2 -> web TCP 8080", "deny NoRuleMatched");
    for (peer, with_namespace, without) in [
        (by_label, "allow 0", "allow 0"),
        ("{namespaceSelector: {matchLabels: {network.openshift.io/policy-group: ingress}}}", "allow 0", denied),
        (
            "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-host-network}}}",
            "allow 0",
            denied,
        ),
        ("{namespaceSelector: {}}", "allow 0", denied),
        ("{namespaceSelector: {matchLabels: {team: data}}}", denied, denied),
        ("{namespaceSelector: {}, podSelector: {}}", denied, denied),
        ("{podSelector: {}}", denied, denied),
    ] {
        let scene = || shop().and(&audit(&from(peer)));
        assert_eq!(scene().and(NAMESPACE).under("ovn-kubernetes").verdicts(node, Ingress), with_namespace, "{peer}");
        assert_eq!(scene().under("ovn-kubernetes").verdicts(node, Ingress), without, "{peer}");
        assert_eq!(scene().and(NAMESPACE).verdicts(node, Ingress), denied, "{peer}");
        let pod = scene().and(NAMESPACE).under("ovn-kubernetes").verdicts("db -> web TCP 8080", Ingress);
        assert_eq!(pod, scene().verdicts("db -> web TCP 8080", Ingress), "{peer}: pods are selected as ever");
    }
    let other_port =
        shop().and(&audit(&from(by_label))).under("ovn-kubernetes").verdicts("192.168.0.2 -> web TCP 9000", Ingress);
    assert_eq!(other_port, denied);
}

#[test]
fn calico_sees_a_node_port_of_the_own_node_by_its_backend() {
    const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {type: NodePort, clusterIP: 10.96.0.10, selector: {app: cart}, ports: [{port: 80, targetPort: http, nodePort: 30080}]}";
    let to = |peer: &str| format!("{{podSelector: {{matchLabels: {{app: web}}}}, egress: [{{to: [{peer}]}}]}}");
    let (node, pod) = ("{ipBlock: {cidr: 192.168.0.0/24}}", "{podSelector: {matchLabels: {app: cart}}}");
    let (own, other) = ("web -> 192.168.0.1 TCP 30080", "web -> 192.168.0.2 TCP 30080");
    for (peer, flow, there) in [
        (node, own, "deny NoRuleMatched"),
        (pod, own, "allow 0"),
        (node, other, "allow 0"),
        (pod, other, "deny NoRuleMatched"),
        // No Service has this port, so it is the node's.
        (node, "web -> 192.168.0.1 TCP 30081", "allow 0"),
        (pod, "web -> 192.168.0.1 TCP 30081", "deny NoRuleMatched"),
        (node, "web -> 192.168.0.1 UDP 30080", "allow 0"),
    ] {
        let scene = shop().and(SERVICE).and(&audit(&to(peer))).under("calico");
        assert_eq!(scene.verdicts(flow, Egress), there, "{peer} {flow}");
    }
    assert_eq!(shop().and(SERVICE).and(&audit(&to(pod))).verdicts(own, Egress), "exempt node, enforcers differ");
    // The backend sees the node as its client, in a flow of its own.
    let inwards = "{podSelector: {matchLabels: {app: cart}}, policyTypes: [Ingress]}";
    assert_eq!(shop().and(SERVICE).and(&audit(inwards)).under("calico").verdicts(own, Ingress), "");
    let message = shop().and(SERVICE).and(&audit(&to(node))).under("calico").message(own, Egress);
    assert!(message.contains("for Calico egress policies see a connection to a node port"), "{message}");
}
