//! `foretell explain`, as a user runs it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with other tests")]
mod foretell;

use std::fmt::Write as _;

use foretell::{Ended, Place};
use serde_json::Value;

/// Two nodes, an admin policy for each tier, a policy at the database and an audit policy at the shop.
const CLUSTER: &str = r"
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: data, labels: {team: data}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.1.1.0/24}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: headless, namespace: shop}, spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: both, namespace: data}, spec: {clusterIP: 10.96.0.11, selector: {app: both}, ports: [{port: 8080}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: data}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {app: web, track: stable}}}]
    ports: [{port: 5432}]
---
apiVersion: kguardian.dev/v1alpha1
kind: AuditNetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: guard}
spec:
  priority: 10
  subject: {namespaces: {matchLabels: {team: shop}}}
  egress:
  - {action: Deny, name: no-metadata, to: [{networks: [169.254.0.0/16]}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress:
  - {action: Deny, from: [{namespaces: {matchLabels: {team: data}}}]}
";

fn pod(namespace: &str, name: &str, owner: &str, labels: &str, ip: &str) -> String {
    let owner = match owner.split_once('/') {
        Some((kind, name)) => {
            format!("ownerReferences: [{{apiVersion: v1, kind: {kind}, name: {name}, uid: u, controller: true}}], ")
        }
        None => String::new(),
    };
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, uid: uid-{name}, {owner}labels: {{{labels}}}}}, \
         spec: {{nodeName: n1, containers: [{{name: c, image: i, ports: [{{name: http, containerPort: 8080}}]}}]}}, \
         status: {{phase: Running, podIP: {ip}, startTime: '2026-11-20T00:00:00Z'}}}}\n"
    )
}

fn place() -> Place {
    let mut text = CLUSTER.to_owned();
    for (namespace, name, owner, labels, ip) in [
        ("shop", "web-0", "StatefulSet/web", "app: web, track: stable", "10.1.1.1"),
        ("shop", "web-1", "StatefulSet/web", "app: web, track: canary", "10.1.1.2"),
        ("shop", "lonely", "", "app: lonely", "10.1.1.3"),
        ("data", "db-0", "StatefulSet/db", "app: db", "10.1.1.4"),
        ("data", "twin-a", "DaemonSet/twin", "app: twin", "10.1.1.5"),
        ("data", "twin-b", "StatefulSet/twin", "app: twin", "10.1.1.6"),
        ("data", "both-0", "StatefulSet/both", "app: both", "10.1.1.7"),
    ] {
        text.write_str(&pod(namespace, name, owner, labels, ip)).unwrap();
    }
    let place = Place::new();
    place.write("cluster.yaml", text);
    place
}

fn explain(arguments: &str) -> Ended {
    place().run(&format!("explain {arguments} --snapshot cluster.yaml --at 2026-11-21T00:00:00Z"))
}

/// The first line of the answer, with its exit status.
fn answer(arguments: &str) -> (i32, String) {
    let ended = explain(arguments);
    assert!(ended.stderr.is_empty(), "{arguments}: {}", ended.stderr);
    (ended.status.unwrap(), ended.stdout.lines().next().unwrap().to_owned())
}

fn json(arguments: &str) -> Value {
    serde_json::from_str(&explain(&format!("{arguments} --format json")).stdout).unwrap()
}

#[test]
fn a_denied_connection_names_the_policy_and_its_nearest_rule() {
    assert_eq!(
        answer("shop/lonely data/db 5432"),
        (
            1,
            "No: shop/Pod/lonely may not reach data/StatefulSet/db on TCP 5432: NetworkPolicy data/db denies ingress: \
             ingress[0] allows TCP 5432, but only for pods with app=web,track=stable of namespaces with team=shop: \
             the pod has app=lonely and lacks the label track."
                .to_owned()
        )
    );
}

#[test]
fn kinds_have_the_short_names_of_kubectl() {
    let (_, long) = answer("shop/Pod/lonely data/StatefulSet/db 5432");
    for (from, to) in [("po", "sts"), ("pods", "statefulsets"), ("POD", "Sts")] {
        assert_eq!(answer(&format!("shop/{from}/lonely data/{to}/db 5432")).1, long);
    }
    let (_, long) = answer("shop/lonely shop/Service/web 80");
    assert_eq!(answer("shop/lonely shop/svc/web 80").1, long);
    assert!(
        answer("shop/lonely data/ds/twin 8080").1.starts_with("Yes: shop/Pod/lonely may reach data/DaemonSet/twin")
    );
}

#[test]
fn the_port_decides_between_a_workload_and_a_service_of_one_name() {
    for (port, to) in [(80, "shop/Service/web"), (8080, "shop/StatefulSet/web"), (9999, "shop/StatefulSet/web")] {
        let said = json(&format!("shop/lonely shop/web {port}"));
        assert_eq!(said["to"], to, "{port}");
    }
}

#[test]
fn a_range_of_addresses_is_answered_by_its_worst_part() {
    // The admin policy denies 169.254.0.0/16.
    for (range, status) in [("203.0.113.0/24", 0), ("169.254.7.0/24", 1), ("169.0.0.0/8", 1), ("169.253.0.0/16", 0)] {
        let (said, sentence) = answer(&format!("shop/lonely {range} 443"));
        assert_eq!(said, status, "{sentence}");
        assert!(sentence.contains(range), "{sentence}");
    }
    let (status, sentence) = answer("203.0.113.0/24 data/db 5432");
    assert_eq!(status, 1, "{sentence}");
    assert_eq!(answer("shop/lonely 203.0.113.7/32 443"), answer("shop/lonely 203.0.113.7 443"));
}

#[test]
fn if_pods_differ_the_worst_answer_counts_with_the_number_of_its_pairs() {
    let (status, said) = answer("shop/StatefulSet/web data/StatefulSet/db 5432");
    assert_eq!(status, 1);
    let end =
        "the pod has track=canary. This applies to 1 of 2 pairs of addresses; the other pairs are less restricted.";
    assert!(said.starts_with("No: shop/StatefulSet/web may not reach") && said.ends_with(end), "{said}");

    let found = json("shop/StatefulSet/web data/StatefulSet/db 5432");
    let cases: Vec<(&str, &str)> = found["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| (case["answer"].as_str().unwrap(), case["client"].as_str().unwrap()))
        .collect();
    assert_eq!(cases, [("no", "shop/Pod/web-1"), ("yes", "shop/Pod/web-0")]);
    let cause = &found["cases"][0]["ingress"]["tiers"][1]["policies"][0]["nearest"]["peers"][0]["causes"][0];
    assert_eq!((&cause["type"], &cause["found"]), (&"podLabel".into(), &"canary".into()), "{found:#}");
}

#[test]
fn an_allowed_connection_names_the_rule_and_lists_the_tiers_in_order() {
    let (status, said) = answer("shop/web-0 data/db-0 5432");
    assert_eq!(status, 0);
    assert!(said.starts_with("Yes: shop/Pod/web-0 may reach data/Pod/db-0 on TCP 5432: "), "{said}");
    assert!(said.ends_with("NetworkPolicy data/db allows it by ingress[0]."), "{said}");
    let found = json("shop/web-0 data/db-0 5432");
    let tiers: Vec<&str> = found["cases"][0]["egress"]["tiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tier| tier["tier"].as_str().unwrap())
        .collect();
    assert_eq!(tiers, ["Admin", "NetworkPolicy", "Baseline"]);
    let ingress = &found["cases"][0]["ingress"];
    assert_eq!(
        (&ingress["decidedBy"], &ingress["tiers"][2]["outcome"]),
        (&"NetworkPolicy".into(), &"notReached".into())
    );
}

#[test]
fn the_admin_tier_is_first_and_the_baseline_tier_last() {
    let (status, said) = answer("shop/lonely 169.254.169.254 80");
    assert_eq!(status, 1);
    assert!(said.contains("in the Admin tier AdminNetworkPolicy guard: egress[0] \"no-metadata\" denies it"), "{said}");
    let (status, said) = answer("data/db shop/lonely 8080");
    assert_eq!(status, 1);
    assert!(said.contains("in the Baseline tier BaselineAdminNetworkPolicy default: ingress[0] denies it"), "{said}");
}

#[test]
fn with_equal_priorities_the_stricter_policy_counts_and_a_note_says_so() {
    let place = place();
    let lets = "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: lets}, spec: \
                {priority: 10, subject: {namespaces: {}}, egress: [{action: Allow, to: [{networks: [0.0.0.0/0]}]}]}}";
    place.write("lets.yaml", lets);
    let asked = "explain shop/lonely 169.254.169.254 80 --snapshot cluster.yaml lets.yaml --at 2026-11-21T00:00:00Z";
    let ended = place.run(asked);
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    let tie = "AdminNetworkPolicy guard decides; AdminNetworkPolicy lets, priority 10 accepts it by egress[0], and the order of \
               the two is not defined, so the stricter answer counts";
    assert!(ended.stdout.contains(tie), "{}", ended.stdout);
    assert!(ended.stdout.contains("not evaluated: an earlier tier decides"), "{}", ended.stdout);
}

#[test]
fn a_service_leads_to_its_pods_and_their_port() {
    let (status, said) = answer("shop/lonely shop/Service/web 80");
    assert_eq!(status, 0);
    let whom = "Yes: shop/Pod/lonely may reach shop/Service/web on TCP 80, which leads to shop/Pod/web-";
    assert!(said.starts_with(whom) && said.contains(" on TCP 8080: "), "{said}");
    assert_eq!(answer("shop/lonely 10.96.0.10 80").0, 0, "by its address too");
    assert_eq!(answer("data/db shop/Service/web 80").0, 1, "Baseline");
}

#[test]
fn an_address_is_the_pod_or_node_that_has_it() {
    assert_eq!(answer("shop/lonely 10.1.1.4 5432").0, 1, "the database's");
    assert_eq!(answer("203.0.113.9 shop/lonely 8080").0, 0);
    assert_eq!(answer("203.0.113.9 data/db 5432").0, 1);
    assert_eq!(answer("192.168.0.1 data/db 5432").0, 0, "its own node");
}

#[test]
fn an_unknown_pod_makes_the_answer_unknown_unless_the_other_end_denies() {
    let (status, said) = answer("10.1.1.99 shop/lonely 8080");
    assert_eq!(status, 2);
    assert!(said.starts_with("Unknown: it cannot be determined whether 10.1.1.99 may reach shop/Pod/lonely"), "{said}");
    assert!(said.contains("it is unknown which pod had 10.1.1.99 at that time"), "{said}");
    assert_eq!(answer("10.1.1.99 data/db 5432").0, 1, "denied whichever pod it is");
}

#[test]
fn an_audit_policy_shows_how_it_would_change_the_answer() {
    let found = json("data/twin-a shop/web-0 9999");
    let audit = &found["audits"][0];
    assert_eq!((&found["answer"], &audit["outcome"]), (&"no".into(), &"denies".into()));
    assert_eq!(audit["changesAnswer"], false, "Baseline denies it already");
    let found = json("203.0.113.9 shop/web-0 8080");
    let audit = &found["audits"][0];
    assert_eq!((&audit["policy"]["kind"], &audit["answerIfPromoted"]), (&"AuditNetworkPolicy".into(), &"no".into()));
    assert_eq!(audit["changesAnswer"], true);
    let shown = explain("203.0.113.9 shop/web-0 8080").stdout;
    assert!(shown.contains("If an audit policy were promoted:") && shown.contains("becomes No"), "{shown}");
}

#[test]
fn a_workload_to_itself_means_its_pods_to_each_other() {
    assert_eq!(answer("shop/StatefulSet/web shop/StatefulSet/web 8080").0, 0);
    assert_eq!(answer("data/StatefulSet/db data/StatefulSet/db 1").0, 0, "itself");
    let found = json("shop/StatefulSet/web shop/StatefulSet/web 8080");
    assert_eq!(found["cases"][0]["pairs"], 2, "each with the other");
}

#[test]
fn the_text_fits_the_width_of_the_terminal() {
    let words = "explain shop/StatefulSet/web data/db 5432 --snapshot cluster.yaml --at 2026-11-21T00:00:00Z";
    let place = place();
    let output = place.command(words.split_whitespace()).env("COLUMNS", "100").output().unwrap();
    let shown = Ended::from(output).stdout;
    let too_wide = |line: &&str| line.contains('│') || line.starts_with(' ') && line.chars().count() > 100;
    assert_eq!(shown.lines().find(too_wide), None, "{shown}");
    for part in [
        "Denied for 1 pair of addresses:",
        "Allowed for 1 pair of addresses:",
        "Leaving shop/Pod/web-1",
        "Arriving at data/Pod/db-0, TCP 5432: denied, by the NetworkPolicy tier.",
        "AdminNetworkPolicy guard",
    ] {
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn names_that_cannot_be_resolved_are_errors_with_exit_status_2() {
    for (arguments, said) in [
        (
            "shop/nobody data/db 1",
            "shop/nobody: not found in the snapshot; its namespace contains Pod/lonely, Service/headless, Service/web, StatefulSet/web",
        ),
        ("nowhere/a data/db 1", "namespace nowhere has no pods; namespaces with pods: data, shop"),
        ("shop/Deployment/web data/db 1", "shop/Deployment/web: not found in the snapshot"),
        ("shop/lonely data/twin 1", "data/twin is ambiguous; write one of: data/DaemonSet/twin, data/StatefulSet/twin"),
        // The Service leads to this port of its pods, and has a port of this number.
        (
            "shop/lonely data/both 8080",
            "data/both is ambiguous; write one of: data/StatefulSet/both, data/Service/both",
        ),
        ("shop/headless data/db 1", "shop/headless is a Service and opens no connections"),
        ("10.96.0.10 data/db 1", "is a Service and opens no connections"),
        ("shop/lonely shop/Service/web 81", "Service shop/web has no port TCP 81; it has TCP 80"),
        ("shop/lonely shop/Service/web 80/UDP", "Service shop/web has no port UDP 80; it has TCP 80"),
        ("shop/lonely 10.96.0.10 81", "Service shop/web has no port TCP 81; it has TCP 80"),
        ("shop/lonely shop/Service/headless 80", "Service shop/headless has no address of its own (it is headless)"),
        ("127.0.0.1 data/db 1", "127.0.0.1: loopback traffic never leaves its pod"),
        ("shop/lonely fd00::1 1", "share no address family"),
        ("lonely data/db 1", "write NAMESPACE/KIND/NAME"),
        ("shop/lonely data/db/c/d 1", "write NAMESPACE/KIND/NAME"),
        ("shop/lonely data/db 0", "write a number from 1 to 65535"),
        ("shop/lonely data/db 80/ICMP", "write a number from 1 to 65535"),
    ] {
        let ended = explain(arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments}: {}", ended.stdout);
        assert!(ended.stderr.contains(said), "{arguments}: {}", ended.stderr);
    }
}

#[test]
fn a_workload_without_pods_is_judged_by_its_last_pod_and_is_an_error_before_its_first() {
    let place = place();
    let gone = pod("shop", "night-1", "CronJob/night", "app: night", "10.1.1.9")
        .replace("namespace: shop,", "namespace: shop, annotations: {foretell.dev/gone-at: '2026-11-20T01:00:00Z'},");
    place.write("gone.yaml", gone.trim_start_matches("---\n"));
    let asked = "explain shop/night data/db 5432 --snapshot cluster.yaml gone.yaml --at";
    let ended = place.run(&format!("{asked} 2026-11-21T00:00:00Z"));
    assert_eq!(ended.status, Some(1), "{}", ended.stderr);
    let note = "Note: shop/CronJob/night has no pod at 2026-11-21 00:00 UTC; its last pod, night-1, is used instead.";
    assert!(ended.stdout.contains(note) && ended.stdout.contains("has app=night"), "{}", ended.stdout);
    let ended = place.run(&format!("{asked} 2026-11-19T00:00:00Z"));
    assert_eq!(ended.status, Some(2));
    let said = "shop/CronJob/night: none of its pods had started by 2026-11-19 00:00 UTC; use a later --at";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn a_service_without_a_ready_pod_is_judged_by_its_address() {
    let place = place();
    let service = "{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: shop}, \
                   spec: {clusterIP: 10.96.0.11, selector: {app: none}, ports: [{port: 80}]}}";
    place.write("empty.yaml", service);
    let asked = "explain shop/lonely shop/empty 80 --snapshot cluster.yaml empty.yaml --at 2026-11-21T00:00:00Z";
    let ended = place.run(asked);
    assert!(
        ended.stdout.contains("Note: no pod behind shop/Service/empty is ready"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}

#[test]
fn pods_with_equal_labels_differ_by_node_and_by_ip_block() {
    let place = place();
    let policy = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: one, namespace: data}, \
                  spec: {podSelector: {matchLabels: {app: far}}, ingress: [{from: [{ipBlock: {cidr: 10.1.1.1/32}}]}]}}\n";
    let elsewhere =
        pod("data", "far-1", "StatefulSet/far", "app: far", "10.1.2.2").replace("nodeName: n1", "nodeName: n2");
    let near = pod("data", "far-0", "StatefulSet/far", "app: far", "10.1.1.8");
    place.write("far.yaml", format!("{policy}{near}{elsewhere}"));
    let ask = |from: &str| {
        let asked = format!("explain {from} data/far 80 --snapshot cluster.yaml far.yaml --at 2026-11-21T00:00:00Z");
        let ended = place.run(&asked);
        (ended.status, ended.stdout.lines().next().unwrap_or_default().to_owned() + &ended.stderr)
    };
    let (status, said) = ask("192.168.0.1");
    assert!(
        status == Some(1)
            && said.ends_with("This applies to 1 of 2 pairs of addresses; the other pairs are less restricted."),
        "{said}"
    );
    let (status, said) = ask("shop/StatefulSet/web");
    assert!(
        status == Some(1)
            && said.ends_with("This applies to 2 of 4 pairs of addresses; the other pairs are less restricted."),
        "{said}"
    );
    let (status, said) = ask("shop/web-0");
    assert!(status == Some(0) && said.contains("enforcers differ on this"), "{said}");
}

#[test]
fn hosts_with_one_address_differ_by_node() {
    let place = place();
    let policy = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: one, namespace: data}, \
                  spec: {podSelector: {matchLabels: {app: far}}, policyTypes: [Ingress]}}\n";
    let server = pod("data", "far-0", "StatefulSet/far", "app: far", "10.1.1.8");
    let host = |name: &str, node: &str| {
        let spec = format!("nodeName: {node}, hostNetwork: true");
        pod("data", name, "DaemonSet/agent", "app: agent", "192.168.0.9").replace("nodeName: n1", &spec)
    };
    place.write("far.yaml", format!("{policy}{server}{}{}", host("agent-a", "n1"), host("agent-b", "n2")));
    let asked = "explain data/agent data/far 80 --snapshot cluster.yaml far.yaml --at 2026-11-21T00:00:00Z";
    let ended = place.run(asked);
    let said = ended.stdout.lines().next().unwrap_or_default();
    assert_eq!(ended.status, Some(1), "{said}{}", ended.stderr);
    assert!(
        said.ends_with("This applies to 1 of 2 pairs of addresses; the other pairs are less restricted."),
        "{said}"
    );
}

#[test]
fn pods_differ_by_node_where_an_enforcer_checks_one_end_within_a_node() {
    let place = place();
    let policies = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: one, namespace: data}, \
                    spec: {podSelector: {matchLabels: {app: far}}, policyTypes: [Ingress]}}\n---\n\
                    {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: two, namespace: shop}, \
                    spec: {podSelector: {matchLabels: {app: web}}, egress: [{}]}}\n";
    let near = pod("data", "far-0", "StatefulSet/far", "app: far", "10.1.1.8");
    let far = pod("data", "far-1", "StatefulSet/far", "app: far", "10.1.2.2").replace("nodeName: n1", "nodeName: n2");
    place.write("far.yaml", format!("{policies}{near}{far}"));
    let ask = |cni: &str| {
        let snapshot = "--snapshot cluster.yaml far.yaml --at 2026-11-21T00:00:00Z";
        let ended = place.run(&format!("explain shop/StatefulSet/web data/far 80 {snapshot} --cni {cni}"));
        let is_said = ended.stdout.contains(&format!("\nJudged as {cni} enforces.\n"));
        assert_eq!(is_said, cni != "upstream", "{}", ended.stdout);
        (ended.status, ended.stdout.lines().next().unwrap_or_default().to_owned() + &ended.stderr)
    };
    let (status, said) = ask("upstream");
    assert!(status == Some(1) && !said.contains("less restricted"), "{said}");
    let (status, said) = ask("kube-router");
    assert!(
        status == Some(1)
            && said.ends_with("This applies to 2 of 4 pairs of addresses; the other pairs are less restricted."),
        "{said}"
    );
}

#[test]
fn a_rule_with_a_domain_name_makes_the_answer_unknown() {
    let place = place();
    place.write(
        "more.yaml",
        "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: names}, spec: {tier: Admin, \
         priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{domainNames: ['*.example.com']}]}, \
         {action: Deny, to: [{networks: [203.0.113.0/24]}]}]}}",
    );
    let words = "explain shop/lonely 203.0.113.7 443 --snapshot cluster.yaml more.yaml --at 2026-11-21T00:00:00Z";
    let ended = place.run(words);
    assert_eq!(ended.status, Some(2), "{}{}", ended.stdout, ended.stderr);
    let said = "Unknown: it cannot be determined whether shop/Pod/lonely may reach 203.0.113.7 on TCP 443: in the Admin tier ClusterNetworkPolicy names: \
                it is unknown whether egress[0] matches 203.0.113.7 on TCP 443: it names *.example.com";
    assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
    assert!(ended.stdout.contains(": unknown.\n"), "{}", ended.stdout);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_named() {
    let ended = place().run("explain shop/lonely data/db 5432 --snapshot nothing.yaml");
    assert_eq!(ended.status, Some(2));
    assert!(ended.stderr.contains("nothing.yaml: cannot read the snapshot"), "{}", ended.stderr);
}
