//! What a report offers to allow what would be denied.

use foretell_policy::report::data::{Decision, Report};
use foretell_policy::report::policies::FixReport;
use serde_json::json;

use crate::manifests::{audit, audit_cluster, policy};
use crate::stage::{NOBODY, PROM_ONLY, Stage, denials, listed, shop};

fn fix(report: &Report) -> &FixReport {
    &report.fixes[0]
}

/// Lines of a diff that change something.
fn changes(diff: &str) -> Vec<&str> {
    diff.lines().filter(|line| line.starts_with(['+', '-'])).collect()
}

const WEB_TO_8080: &str = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]}";

#[test]
fn a_caller_of_the_same_namespace_is_named_by_its_label_in_a_rule_for_its_port() {
    let report = shop().head("it.yaml", &policy("shop", "it", NOBODY)).flow("web -> cart TCP 8080").judge();
    assert_eq!(
        changes(&fix(&report).diff),
        [
            "+  ingress:",
            "+  - from:",
            "+    - podSelector:",
            "+        matchLabels:",
            "+          app: web",
            "+    ports:",
            "+    - port: 8080",
            "+      protocol: TCP",
        ]
    );
    assert_eq!(fix(&report).resolves, [report.denials[0].id.clone()]);
}

#[test]
fn a_caller_of_another_namespace_is_named_with_it() {
    let report = shop().head("it.yaml", &policy("shop", "it", NOBODY)).flow("batch -> cart TCP 8080").judge();
    let from = &fix(&report).spec["ingress"][0]["from"];
    let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": "ops"}});
    assert_eq!(*from, json!([{"namespaceSelector": namespace, "podSelector": {"matchLabels": {"app": "batch"}}}]));
}

#[test]
fn of_a_cluster_policy_every_caller_is_named_with_its_namespace() {
    let report = shop().head("it.yaml", &audit_cluster("it", NOBODY)).flow("web -> cart TCP 8080").judge();
    let fix = report.previews[0].fix.as_ref().unwrap();
    let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
    assert_eq!(fix.spec["ingress"][0]["from"][0]["namespaceSelector"], namespace);
}

#[test]
fn a_caller_joins_the_rule_that_opens_just_its_port() {
    let report = shop().head("it.yaml", &policy("shop", "it", WEB_TO_8080)).flow("pay -> cart TCP 8080").judge();
    let added = ["+    - podSelector:", "+        matchLabels:", "+          app: pay"];
    assert_eq!(changes(&fix(&report).diff), added);
}

#[test]
fn a_port_joins_the_rule_that_lets_in_just_its_caller() {
    let report = shop().head("it.yaml", &policy("shop", "it", WEB_TO_8080)).flow("web -> cart UDP 53").judge();
    assert_eq!(changes(&fix(&report).diff), ["+    - port: 53", "+      protocol: UDP"]);
}

#[test]
fn callers_of_the_same_ports_share_a_rule() {
    let report = shop()
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow("web -> cart TCP 8080")
        .flow("pay -> cart TCP 8080")
        .flow("pay -> cart TCP 9090")
        .flow("db -> cart TCP 8080")
        .judge();
    let rules = fix(&report).spec["ingress"].as_array().unwrap();
    let ends: Vec<(usize, usize)> = rules
        .iter()
        .map(|rule| (rule["from"].as_array().unwrap().len(), rule["ports"].as_array().unwrap().len()))
        .collect();
    assert_eq!(ends, [(2, 1), (1, 2)], "web and db to 8080; pay to both");
}

#[test]
fn addresses_outside_are_blocks_and_those_that_make_up_one_are_one() {
    let report = shop()
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow("203.0.113.4 -> cart TCP 8080")
        .flow("203.0.113.5 -> cart TCP 8080")
        .flow("203.0.113.6 -> cart TCP 8080")
        .judge();
    let from = &fix(&report).spec["ingress"][0]["from"];
    assert_eq!(*from, json!([{"ipBlock": {"cidr": "203.0.113.4/31"}}, {"ipBlock": {"cidr": "203.0.113.6/32"}}]));
}

#[test]
fn a_denial_of_an_unknown_pod_is_unresolvable_with_the_reason() {
    let report = shop().head("it.yaml", &policy("shop", "it", NOBODY)).flow("10.1.2.77 -> cart TCP 8080").judge();
    let fix = fix(&report);
    assert_eq!((fix.diff.as_str(), fix.resolves.len()), ("", 0));
    assert_eq!(fix.unresolvable[0].denial, report.denials[0].id);
    assert!(fix.unresolvable[0].why.starts_with("the pod is unknown"));
}

#[test]
fn labels_of_controllers_and_labels_that_others_share_do_not_select_a_workload() {
    let labels = json!({"app": "web", "role": "front"});
    let report = shop()
        .pod("front", ("Deployment", "shop", "front"), "n1", "10.1.1.20", &labels)
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow("10.1.1.20 -> cart TCP 8080")
        .judge();
    let from = &fix(&report).spec["ingress"][0]["from"];
    assert_eq!(*from, json!([{"podSelector": {"matchLabels": {"role": "front"}}}]));
}

#[test]
fn where_labels_do_not_distinguish_two_callers_the_report_lists_what_else_is_allowed() {
    let labels = json!({"app": "web"});
    let report = shop()
        .pod("twin", ("Deployment", "shop", "twin"), "n1", "10.1.1.20", &labels)
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow("web -> cart TCP 8080")
        .flow_with("10.1.1.20 -> cart TCP 8080", &json!({"outcome": "refused"}))
        .judge();
    assert_eq!(
        listed(&fix(&report).also_allows),
        ["Ingress twin -> cart TCP 8080 by shop/it: allowed by NetworkPolicy shop/it ingress[0]"]
    );
}

#[test]
fn fixes_for_both_ends_of_a_connection_are_tried_together() {
    let egress = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}";
    let report = shop()
        .head("in.yaml", &policy("shop", "in", NOBODY))
        .head("out.yaml", &policy("shop", "out", egress))
        .flow("web -> cart TCP 8080")
        .judge();
    let names: Vec<&str> = report.fixes.iter().map(|fix| fix.policy.name.as_str()).collect();
    assert_eq!(names, ["in", "out"]);
    for fix in &report.fixes {
        assert_eq!((fix.resolves.len(), fix.not_enough_for.len()), (1, 0));
        assert!(!fix.diff.is_empty());
    }
}

#[test]
fn a_denial_that_an_admin_policy_causes_too_is_reported() {
    let deny = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: deny}\nspec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{name: closed, action: Deny, from: [{namespaces: {}}]}]}\n";
    let report = shop()
        .head("in.yaml", &policy("shop", "in", NOBODY))
        .head("admin.yaml", deny)
        .head("out.yaml", &policy("shop", "out", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}"))
        .flow("web -> cart TCP 8080")
        .judge();
    let not_enough: Vec<usize> = report.fixes.iter().map(|fix| fix.not_enough_for.len()).collect();
    assert_eq!(not_enough, [1], "the fix of out; the admin policy denies before the rules of in count");
}

/// A default-deny, and policies that allow something to each workload: the usual set of a namespace.
fn default_deny_set() -> Stage {
    let allow = |app: &str, from: &str| {
        format!(
            "{{podSelector: {{matchLabels: {{app: {app}}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{app: {from}}}}}}}]}}]}}"
        )
    };
    shop()
        .head("deny.yaml", &policy("shop", "deny", "{podSelector: {}, policyTypes: [Ingress]}"))
        .head("cart.yaml", &policy("shop", "cart", &allow("cart", "web")))
        .head("cart-pay.yaml", &policy("shop", "cart-pay", &allow("cart", "pay")))
        .head("all.yaml", &policy("shop", "all", "{podSelector: {}, ingress: [{ports: [{port: 9090}]}]}"))
}

#[test]
fn a_connection_that_several_policies_deny_is_one_row_with_one_fix() {
    let report = default_deny_set().flow("prom -> cart TCP 8080").judge();
    assert_eq!(
        denials(&report),
        ["Unresolved Ingress prom -> cart TCP 8080 by shop/all, shop/cart, shop/cart-pay, shop/deny"]
    );
    let [fix] = &report.fixes[..] else { panic!("{:#?}", report.fixes) };
    assert_eq!((fix.policy.name.as_str(), fix.resolves.len()), ("cart", 1), "a policy of cart alone");
    assert_eq!(report.next_step, "Apply the fix below, or accept the denial with an AuditException.");
}

#[test]
fn one_exception_for_any_of_its_policies_accepts_a_denial() {
    for name in ["deny", "cart", "cart-pay", "all"] {
        let exception = format!(
            "apiVersion: foretell.dev/v1alpha1\nkind: AuditException\nmetadata: {{name: it, namespace: shop}}\nspec:\n  policyRef: {{kind: NetworkPolicy, name: {name}}}\n  direction: Ingress\n  peers: [{{namespaceSelector: {{}}}}]\n  reason: known\n"
        );
        let report = default_deny_set().head("exception.yaml", &exception).flow("prom -> cart TCP 8080").judge();
        assert_eq!(report.exit_status, 0, "{name}: {:?}", denials(&report));
    }
}

#[test]
fn a_fix_does_not_open_other_workloads() {
    // Each of three workloads has a caller of its own, and one policy denies all of them.
    let deny = policy("shop", "deny", "{podSelector: {}, policyTypes: [Ingress]}");
    let stage = shop().head("deny.yaml", &deny);
    let report =
        stage.flow("prom -> cart TCP 8080").flow("batch -> pay TCP 8443").flow("agent -> pay TCP 8444").judge();
    let fixes: Vec<(&str, bool, usize)> =
        report.fixes.iter().map(|fix| (fix.policy.name.as_str(), fix.place.is_some(), fix.resolves.len())).collect();
    assert_eq!(fixes, [("cart-allow", false, 1), ("pay-allow", false, 2)]);
    assert_eq!(report.fixes[0].spec["podSelector"], json!({"matchLabels": {"app": "cart"}}));
    assert_eq!(report.fixes[0].spec["policyTypes"], json!(["Ingress"]));
    // With the new policies the change may merge.
    let fixed = report.fixes.iter().enumerate().fold(shop().head("deny.yaml", &deny), |stage, (n, fix)| {
        stage.head(["0.yaml", "1.yaml"][n], &fix.new_manifest())
    });
    let fixed = fixed.flow("prom -> cart TCP 8080").flow("batch -> pay TCP 8443").flow("agent -> pay TCP 8444").judge();
    assert_eq!((fixed.decision, denials(&fixed)), (Decision::MayMerge, Vec::new()));
}

#[test]
fn a_rule_that_every_workload_of_a_policy_needs_is_added_to_that_policy() {
    let stage = shop().head("deny.yaml", &policy("shop", "deny", "{podSelector: {}, policyTypes: [Ingress]}"));
    let flows = ["prom -> cart TCP 9090", "prom -> pay TCP 9090", "prom -> web TCP 9090"];
    let report = flows.into_iter().fold(stage, Stage::flow).judge();
    let [fix] = &report.fixes[..] else { panic!("{:#?}", report.fixes) };
    assert_eq!((fix.policy.name.as_str(), fix.place.is_some(), fix.resolves.len()), ("deny", true, 3));
}

#[test]
fn the_name_of_a_new_policy_is_free() {
    let report = shop()
        .live(&policy("shop", "cart-allow", "{podSelector: {matchLabels: {app: pay}}, ingress: [{}]}"))
        .head("deny.yaml", &policy("shop", "deny", "{podSelector: {}, policyTypes: [Ingress]}"))
        .flow("prom -> cart TCP 8080")
        .judge();
    assert_eq!(fix(&report).policy.name, "cart-allow-2");
}

#[test]
fn what_is_not_in_use_is_not_fixed() {
    let stage = shop().head("it.yaml", &policy("shop", "it", NOBODY));
    let report = stage.flow_with("web -> cart TCP 8080", &json!({"outcome": "refused"})).judge();
    assert!(report.fixes.is_empty());
}

#[test]
fn the_fixed_policy_may_merge() {
    let flows =
        ["web -> cart TCP 8080", "batch -> cart TCP 9102", "203.0.113.4 -> cart UDP 53", "192.168.0.1 -> cart TCP 80"];
    for spec in [NOBODY, PROM_ONLY, WEB_TO_8080] {
        let with = |manifest: &str| {
            flows.iter().fold(shop().head("it.yaml", manifest), |stage, flow| stage.flow(flow)).judge()
        };
        let report = with(&policy("shop", "it", spec));
        assert_eq!(report.decision, Decision::Blocked);
        let fixed = with(&policy("shop", "it", &fix(&report).spec.to_string()));
        assert_eq!((fixed.decision, denials(&fixed)), (Decision::MayMerge, Vec::new()), "{}", fix(&report).diff);
        let preview = with(&audit("shop", "it", spec));
        assert_eq!(preview.previews[0].fix.as_ref().unwrap().spec, fix(&report).spec);
    }
}
