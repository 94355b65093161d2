//! A flow to the address of a Service is judged as flows to its backends.

use crate::scenario::{Scenario, audit, shop};
use foretell_objects::model::flow::Direction;

const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, 'fd00:96::1']
  externalIPs: [203.0.113.50]
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}, {name: raw, port: 8080}, {name: other, port: 81, targetPort: 9000},
    {name: empty, port: 9001, targetPort: ''}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.60}, {hostname: web.example.com}]}}";

/// A pod of the shop like `web`, at another address.
fn twin(name: &str, labels: &str, ip: &str, more: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}
spec: {{containers: [{{name: c, image: c, ports: [{{name: http, containerPort: 8080}}]}}]}}
status: {{phase: Running, podIP: {ip}{more}}}"
    )
}

fn scenario(spec: &str) -> Scenario {
    shop().and(WEB).and(&audit(spec))
}

fn leaves(scenario: &Scenario, flow: &str) -> String {
    scenario.verdicts(flow, Direction::Egress)
}

#[test]
fn cluster_ip_external_ip_and_load_balancer_ip_lead_to_the_backends() {
    let scenario = scenario("{egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}");
    for ip in ["10.96.0.1", "fd00:96::1", "203.0.113.50", "203.0.113.60"] {
        assert_eq!(leaves(&scenario, &format!("cart -> {ip} TCP 80")), "allow 0", "{ip}");
    }
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.9 TCP 80"), "deny NoRuleMatched", "no Service's address");
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.1 TCP 8443"), "deny NoRuleMatched", "no port of the Service");
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.1 UDP 80"), "deny NoRuleMatched", "no protocol of the Service");
}

#[test]
fn the_port_that_is_judged_is_the_target_port() {
    for (port, target) in [(80, 8080), (8080, 8080), (81, 9000), (9001, 9001)] {
        let spec = format!("{{egress: [{{ports: [{{port: {target}}}]}}]}}");
        let flow = format!("cart -> 10.96.0.1 TCP {port}");
        assert_eq!(leaves(&scenario(&spec), &flow), "allow 0", "by name, by default, by number");
        assert_eq!(leaves(&scenario("{egress: [{ports: [{port: 1}]}]}"), &flow), "deny NoRuleMatched");
    }
    let to_web = "{egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 9001}]}]}";
    assert_eq!(leaves(&scenario(to_web), "cart -> 10.96.0.1 TCP 9001"), "allow 0", "no name is no name");
    assert_eq!(
        leaves(&scenario("{egress: [{ports: [{port: 80}]}]}"), "cart -> 10.96.0.1 TCP 80"),
        "deny NoRuleMatched"
    );
    assert_eq!(leaves(&scenario("{egress: [{ports: [{port: http}]}]}"), "cart -> 10.96.0.1 TCP 80"), "allow 0");
}

#[test]
fn the_backends_are_judged_on_arrival_too() {
    let scenario = scenario(
        "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 8080}], from: [{podSelector: {}}]}]}",
    );
    assert_eq!(scenario.verdicts("cart -> 10.96.0.1 TCP 80", Direction::Ingress), "allow 0");
    assert_eq!(scenario.verdicts("cart -> 10.96.0.1 TCP 81", Direction::Ingress), "deny NoRuleMatched");
    assert_eq!(scenario.verdicts("db -> 10.96.0.1 TCP 80", Direction::Ingress), "deny NoRuleMatched");
}

#[test]
fn one_denied_backend_is_enough_and_is_named() {
    let scenario =
        scenario("{egress: [{to: [{podSelector: {matchExpressions: [{key: canary, operator: DoesNotExist}]}}]}]}");
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.1 TCP 80"), "allow 0");
    let scenario = scenario.and(&twin("canary", "app: web, canary: 'yes'", "10.1.1.40", ""));
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.1 TCP 80"), "deny NoRuleMatched");
    assert_eq!(
        scenario.message("cart -> 10.96.0.1 TCP 80", Direction::Egress),
        "no egress rule matches Pod/canary in shop on TCP 8080; egress[0] allows TCP 8080, but only for pods with !canary \
         of its own namespace: the pod has canary=yes (backend Pod/canary in shop of Service shop/web)"
    );
    // Of several backends the first by name is reported.
    let another = twin("canary-2", "app: web, canary: 'yes'", "10.1.1.41", "");
    let message = scenario.and(&another).message("cart -> 10.96.0.1 TCP 80", Direction::Egress);
    assert!(message.contains("(backend Pod/canary in shop of"), "{message}");
}

#[test]
fn a_named_target_port_is_looked_up_on_each_backend() {
    let scenario = scenario("{egress: [{ports: [{port: 8080}]}]}").and(
        "{apiVersion: v1, kind: Pod, metadata: {name: odd, namespace: shop, labels: {app: web}},
 spec: {containers: [{name: c, image: c, ports: [{name: http, containerPort: 8081}]}]}, status: {podIP: 10.1.1.41}}",
    );
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.1 TCP 80"), "deny NoRuleMatched");
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.1 TCP 8080"), "allow 0", "a number is the same for all");
}

/// Two pods of one workload behind Service `many` at 10.96.0.7, and a policy.
fn many(policy: &str) -> Scenario {
    let owned = |name: &str, ip: &str| {
        format!(
            "apiVersion: v1
kind: Pod
metadata:
  {{name: {name}, namespace: shop, labels: {{app: many}},
   ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: many, uid: u, controller: true}}]}}
spec: {{containers: [{{name: c, image: c}}]}}
status: {{phase: Running, podIP: {ip}}}"
        )
    };
    let service = "{apiVersion: v1, kind: Service, metadata: {name: many, namespace: shop},
 spec: {clusterIP: 10.96.0.7, selector: {app: many}, ports: [{port: 80}]}}";
    shop().and(&owned("many-1", "10.1.1.61")).and(&owned("many-2", "10.1.1.62")).and(service).and(policy)
}

#[test]
fn a_pod_that_calls_its_own_service_may_reach_itself_or_another_backend() {
    let closed = audit("{podSelector: {matchLabels: {app: many}}, policyTypes: [Ingress]}");
    for client in ["many-1", "many-2"] {
        let verdict = many(&closed).verdicts(&format!("{client} -> 10.96.0.7 TCP 80"), Direction::Ingress);
        assert_eq!(verdict, "deny NoRules", "{client} meets the other");
    }
    let alone = "{apiVersion: v1, kind: Service, metadata: {name: alone, namespace: shop},
 spec: {clusterIP: 10.96.0.8, selector: {app: cart}, ports: [{port: 80}]}}";
    let scenario = shop().and(alone).and(&audit("{policyTypes: [Ingress, Egress]}"));
    for direction in Direction::BOTH {
        assert_eq!(scenario.verdicts("cart -> 10.96.0.8 TCP 80", direction), "exempt self");
    }
    // A block distinguishes the two backends.
    for (block, client, verdict) in [
        ("10.1.1.62/32", "many-1", "allow 0, enforcers differ"),
        ("10.1.1.61/32", "many-1", "deny NoRuleMatched"),
        ("10.1.1.61/32", "many-2", "allow 0, enforcers differ"),
        ("10.1.1.62/32", "many-2", "deny NoRuleMatched"),
    ] {
        let spec = format!("{{egress: [{{to: [{{ipBlock: {{cidr: {block}}}}}]}}]}}");
        let flow = format!("{client} -> 10.96.0.7 TCP 80");
        assert_eq!(leaves(&many(&audit(&spec)), &flow), verdict, "{block} {client}");
    }
}

#[test]
fn a_policy_that_restricts_only_some_backends_is_listed_in_order() {
    let policy = |name: &str, spec: &str| audit(spec).replace("name: it", &format!("name: {name}"));
    let canary = "{podSelector: {matchLabels: {canary: 'yes'}}, policyTypes: [Ingress]}";
    let all = "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}";
    let plain =
        "{podSelector: {matchExpressions: [{key: canary, operator: DoesNotExist}]}, ingress: [{ports: [{port: 1}]}]}";
    // A backend whose address comes before the other's, and one whose address comes after it.
    for ip in ["10.1.1.0", "10.1.1.40"] {
        let scenario = shop()
            .and(WEB)
            .and(&twin("canary", "app: web, canary: 'yes'", ip, ""))
            .and(&policy("b-all", all))
            .and(&policy("a-canary", canary))
            .and(&policy("c-plain", plain));
        let verdict = scenario.verdicts("cart -> 10.96.0.1 TCP 80", Direction::Ingress);
        assert_eq!(verdict, "deny NoRules\nallow 0\ndeny NoRuleMatched", "{ip}");
        let verdict = scenario.verdicts("db -> 10.96.0.1 TCP 80", Direction::Ingress);
        assert_eq!(verdict, "deny NoRules\ndeny NoRuleMatched\ndeny NoRuleMatched", "{ip}");
    }
}

#[test]
fn the_strictest_verdict_on_several_backends_counts() {
    let odd = "{apiVersion: v1, kind: Pod, metadata: {name: odd, namespace: shop, labels: {app: web, odd: 'yes'}},
 spec: {containers: [{name: c, image: c, ports: [{name: http, containerPort: 8081}]}]}, status: {podIP: 10.1.1.41}}";
    let flow = "cart -> 10.96.0.1 TCP 80";
    for (rules, verdict) in [
        ("[{ports: [{port: 8080}]}]", "deny NoRuleMatched"),
        ("[{ports: [{port: 8081}]}]", "deny NoRuleMatched"),
        ("[{ports: [{port: 8081}]}, {ports: [{port: 8080}]}]", "allow 0"),
        (
            "[{ports: [{port: 8080}]}, {to: [{ipBlock: {cidr: 10.1.1.0/24}}], ports: [{port: 8081}]}]",
            "allow 1, enforcers differ",
        ),
        (
            "[{ports: [{port: 8081}]}, {to: [{ipBlock: {cidr: 10.1.1.0/24}}], ports: [{port: 8080}]}]",
            "allow 1, enforcers differ",
        ),
    ] {
        assert_eq!(leaves(&scenario(&format!("{{egress: {rules}}}")).and(odd), flow), verdict, "{rules}");
    }
}

#[test]
fn a_block_distinguishes_backends_of_one_workload() {
    let scenario = |block: &str| many(&audit(&format!("{{egress: [{{to: [{{ipBlock: {block}}}]}}]}}")));
    for (block, verdict) in [
        ("{cidr: 10.1.1.0/24}", "allow 0, enforcers differ"),
        ("{cidr: 10.1.1.61/32}", "deny NoRuleMatched"),
        ("{cidr: 10.1.1.62/32}", "deny NoRuleMatched"),
        ("{cidr: 10.1.1.0/24, except: [10.1.1.61/32]}", "deny NoRuleMatched"),
        ("{cidr: 10.1.1.0/24, except: [10.1.1.62/32]}", "deny NoRuleMatched"),
        ("{cidr: 10.1.1.0/24, except: [10.1.1.63/32]}", "allow 0, enforcers differ"),
    ] {
        assert_eq!(leaves(&scenario(block), "cart -> 10.96.0.7 TCP 80"), verdict, "{block}");
    }
}

#[test]
fn a_services_ipv6_address_leads_to_its_pods_ipv6_addresses() {
    let scenario = scenario("{egress: [{to: [{ipBlock: {cidr: 'fd00:1::/64'}}]}]}");
    assert_eq!(leaves(&scenario, "cart -> fd00:96::1 TCP 80"), "allow 0, enforcers differ");
    assert_eq!(leaves(&scenario, "cart -> 10.96.0.1 TCP 80"), "deny NoRuleMatched");
    let scenario = scenario.and(&twin("v4-only", "app: web", "10.1.1.40", ""));
    assert_eq!(leaves(&scenario, "cart -> fd00:96::1 TCP 80"), "allow 0, enforcers differ", "it has no IPv6 address");
}

#[test]
fn backends_that_are_not_ready_do_not_answer() {
    let everyone_but_twins =
        "{egress: [{to: [{podSelector: {matchExpressions: [{key: twin, operator: DoesNotExist}]}}]}]}";
    let not_ready = ", conditions: [{type: Ready, status: 'False'}]";
    let scenario = |more: &str| scenario(everyone_but_twins).and(&twin("twin", "app: web, twin: a", "10.1.1.40", more));
    assert_eq!(leaves(&scenario(not_ready), "cart -> 10.96.0.1 TCP 80"), "allow 0");
    assert_eq!(leaves(&scenario(""), "cart -> 10.96.0.1 TCP 80"), "deny NoRuleMatched");

    // EndpointSlices have precedence over the condition of the pod.
    let slice = |ready: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-x, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{{addresses: [10.1.1.40], {ready}targetRef: {{kind: Pod, name: twin, namespace: shop}}}}]"
        )
    };
    let flow = "cart -> 10.96.0.1 TCP 80";
    assert_eq!(leaves(&scenario("").and(&slice("conditions: {ready: false}, ")), flow), "allow 0");
    assert_eq!(leaves(&scenario(not_ready).and(&slice("conditions: {ready: true}, ")), flow), "deny NoRuleMatched");
    assert_eq!(leaves(&scenario(not_ready).and(&slice("")), flow), "deny NoRuleMatched", "absent means ready");
}

#[test]
fn a_backend_counts_only_while_it_runs() {
    let spec = "{egress: [{to: [{podSelector: {matchExpressions: [{key: twin, operator: DoesNotExist}]}}]}]}";
    for (from, until, verdict) in [
        ("2026-11-21T11:59:59Z", "2026-11-21T12:00:00Z", "allow 0"),
        ("2026-11-21T11:59:59Z", "2026-11-21T12:00:01Z", "deny NoRuleMatched"),
        ("2026-11-21T12:00:00Z", "2026-11-21T12:00:01Z", "deny NoRuleMatched"),
        ("2026-11-21T12:00:01Z", "2026-11-21T12:00:02Z", "allow 0"),
    ] {
        let more = format!(", startTime: '{from}'");
        let twin = twin("twin", "app: web, twin: a", "10.1.1.40", &more)
            .replace("name: twin,", &format!("name: twin, annotations: {{foretell.dev/gone-at: '{until}'}},"));
        assert_eq!(leaves(&scenario(spec).and(&twin), "cart -> 10.96.0.1 TCP 80"), verdict, "{from} to {until}");
    }
}

#[test]
fn without_a_ready_backend_the_address_of_the_service_is_judged() {
    let none = "{apiVersion: v1, kind: Service, metadata: {name: none, namespace: shop},
 spec: {clusterIP: 10.96.0.3, selector: {app: none}, ports: [{port: 80, targetPort: 8080}]}}";
    let scenario = |spec: &str| scenario(spec).and(none);
    assert_eq!(
        leaves(&scenario("{egress: [{to: [{namespaceSelector: {}}]}]}"), "cart -> 10.96.0.3 TCP 80"),
        "deny NoRuleMatched"
    );
    let by_block =
        |port: u16| format!("{{egress: [{{to: [{{ipBlock: {{cidr: 10.96.0.0/16}}}}], ports: [{{port: {port}}}]}}]}}");
    assert_eq!(leaves(&scenario(&by_block(80)), "cart -> 10.96.0.3 TCP 80"), "allow 0", "at the port that was dialled");
    assert_eq!(leaves(&scenario(&by_block(8080)), "cart -> 10.96.0.3 TCP 80"), "deny NoRuleMatched");
}

#[test]
fn a_service_without_a_selector_leads_to_the_endpoints_of_its_slices() {
    let scenario = |spec: &str, address: &str| {
        let slice = format!(
            "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: legacy-1, namespace: shop, labels: {{kubernetes.io/service-name: legacy}}}}
addressType: IPv4
ports: [{{port: 5432}}]
endpoints: [{{addresses: [{address}]}}, {{addresses: [10.1.2.4], conditions: {{ready: false}}}}]"
        );
        shop().and(&audit(spec)).and(&slice).and(
            "{apiVersion: v1, kind: Service, metadata: {name: legacy, namespace: shop}, spec: {clusterIP: 10.96.0.4, ports: [{port: 80}]}}",
        )
    };
    let flow = "cart -> 10.96.0.4 TCP 80";
    let by_block = "{egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: 5432}]}]}";
    assert_eq!(leaves(&scenario(by_block, "203.0.113.9"), flow), "allow 0", "outside the cluster");
    assert_eq!(leaves(&scenario(by_block, "198.51.100.9"), flow), "deny NoRuleMatched");
    let by_labels =
        "{egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]}";
    assert_eq!(leaves(&scenario(by_labels, "10.1.1.3"), flow), "allow 0", "db's address");
    assert_eq!(leaves(&scenario(by_labels, "10.1.2.2"), flow), "exempt self", "its own address");
    assert_eq!(leaves(&scenario(by_labels, "192.168.0.1"), flow), "deny NoRuleMatched", "another node");
}

#[test]
fn a_headless_service_has_no_address_of_its_own() {
    let scenario = shop().and(&audit("{egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}")).and(
        "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
 spec: {clusterIP: None, clusterIPs: [None], selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}",
    );
    assert_eq!(leaves(&scenario, "cart -> web TCP 8080"), "allow 0");
}

#[test]
fn backends_are_the_pods_that_ran_at_the_time_of_the_flow() {
    let gone = "
apiVersion: v1
kind: Pod
metadata:
  {name: gone, namespace: shop, labels: {app: web, twin: a}, annotations: {foretell.dev/gone-at: '2026-11-21T11:00:00Z'}}
spec: {containers: [{name: c, image: c, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.1.1.40}";
    let scenario =
        scenario("{egress: [{to: [{podSelector: {matchExpressions: [{key: twin, operator: DoesNotExist}]}}]}]}")
            .and(gone);
    let mut flow = scenario.flow("cart -> 10.96.0.1 TCP 80");
    assert_eq!(scenario.verdicts_of(&flow, Direction::Egress), "allow 0");
    flow.start = "2026-11-21T10:00:00Z".parse().unwrap();
    assert_eq!(scenario.verdicts_of(&flow, Direction::Egress), "deny NoRuleMatched");
}

#[test]
fn the_client_among_the_backends_reaches_itself_and_the_others_are_judged() {
    let scenario = scenario("{egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}");
    assert_eq!(leaves(&scenario, "web -> 10.96.0.1 TCP 80"), "exempt self");
    let scenario = scenario.and(&twin("twin", "app: web", "10.1.1.40", ""));
    assert_eq!(leaves(&scenario, "web -> 10.96.0.1 TCP 80"), "allow 0");
}

#[test]
fn of_two_exempt_backends_the_one_on_which_enforcers_differ_is_reported() {
    let scenario = scenario("{policyTypes: [Egress]}").and(
        "apiVersion: v1
kind: Pod
metadata: {name: on-host, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, hostNetwork: true, containers: [{name: c, image: c}]}
status: {phase: Running, podIP: 192.168.0.1}",
    );
    assert_eq!(leaves(&scenario, "web -> 10.96.0.1 TCP 8080"), "exempt node, enforcers differ");
}

#[test]
fn a_host_network_backend_is_distinguished_from_a_backend_with_a_pod_address() {
    let pod = |name: &str, more: &str, ip: &str| {
        format!(
            "apiVersion: v1
kind: Pod
metadata:
  {{name: {name}, namespace: shop, labels: {{app: many}},
   ownerReferences: [{{apiVersion: apps/v1, kind: DaemonSet, name: many, uid: u, controller: true}}]}}
spec: {{nodeName: n1, {more}containers: [{{name: c, image: c}}]}}
status: {{phase: Running, podIP: {ip}}}"
        )
    };
    let service = "{apiVersion: v1, kind: Service, metadata: {name: many, namespace: shop},
 spec: {clusterIP: 10.96.0.7, selector: {app: many}, ports: [{port: 80}]}}";
    let (on_host, in_network) = (pod("a", "hostNetwork: true, ", "192.168.0.1"), pod("b", "", "10.1.1.61"));
    for pods in [[&on_host, &in_network], [&in_network, &on_host]] {
        let scenario = shop().and(pods[0]).and(pods[1]).and(service).and(&audit("{policyTypes: [Egress]}"));
        assert_eq!(leaves(&scenario, "web -> 10.96.0.7 TCP 80"), "deny NoRules", "the twin, not only the own node");
    }
}
