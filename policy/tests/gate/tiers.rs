//! Admin policies in a change, and beside one.

use foretell_policy::change::plan::ChangeAction;
use foretell_policy::report::connection::{DenialCause, State};
use foretell_policy::report::data::Decision;
use serde_json::json;

use crate::manifests::{audit, policy};
use crate::stage::{NOBODY, PROM_ONLY, denials, listed, previewed, shop};

fn admin(name: &str, priority: u16, rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{priority: {priority}, subject: {{namespaces: {{matchLabels: {{team: shop}}}}}}, {rules}}}\n"
    )
}

fn baseline(rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {{name: default}}\nspec: {{subject: {{namespaces: {{matchLabels: {{team: shop}}}}}}, {rules}}}\n"
    )
}

fn cluster(name: &str, tier: &str, rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{tier: {tier}, priority: 7, subject: {{namespaces: {{matchLabels: {{team: shop}}}}}}, {rules}}}\n"
    )
}

const DENY_SHOP: &str = "ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: shop}}}]}]";
const ALLOW_SHOP: &str = "ingress: [{action: Allow, from: [{namespaces: {matchLabels: {team: shop}}}]}]";
const PASS_SHOP: &str = "ingress: [{action: Pass, from: [{namespaces: {matchLabels: {team: shop}}}]}]";
const FLOW: &str = "web -> cart TCP 8080";

#[test]
fn a_new_denial_by_an_admin_policy_is_attributed_to_it_and_blocks() {
    for (text, name, kind) in [
        (admin("guard", 5, DENY_SHOP), "guard", "AdminNetworkPolicy"),
        (baseline(DENY_SHOP), "default", "BaselineAdminNetworkPolicy"),
        (cluster("guard", "Admin", DENY_SHOP), "guard", "ClusterNetworkPolicy"),
        (cluster("guard", "Baseline", DENY_SHOP), "guard", "ClusterNetworkPolicy"),
    ] {
        let report = shop().head("guard.yaml", &text).flow(FLOW).flow("prom -> cart TCP 8080").judge();
        assert_eq!((report.decision, report.exit_status), (Decision::Blocked, 1), "{text}");
        assert_eq!(denials(&report), [format!("Unresolved Ingress web -> cart TCP 8080 by /{name}")]);
        let denial = &report.denials[0];
        assert_eq!(
            (denial.policies[0].policy.kind.to_string().as_str(), denial.policies[0].reason.as_str()),
            (kind, "DeniedByRule")
        );
        assert_eq!(denial.policies[0].cause, DenialCause::Policy);
        assert!(denial.policies[0].message.contains("ingress[0] denies"), "{}", denial.policies[0].message);
        assert_eq!(report.policies[0].action, ChangeAction::Added);
        assert_eq!(report.policies[0].selected_pods, 3, "web, cart and pay");
        assert_eq!(report.policies[0].verdicts.newly_denied, 1);
    }
}

#[test]
fn nothing_in_use_denied_may_merge_and_counts_what_it_says() {
    let report = shop().head("guard.yaml", &admin("guard", 5, ALLOW_SHOP)).flow(FLOW).judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    assert_eq!((report.policies[0].verdicts.allow, report.policies[0].verdicts.would_deny), (1, 0));
    let nobody = admin("guard", 5, DENY_SHOP).replace("team: shop}}}}}, ingress", "team: nobody}}}}}, ingress");
    let report = shop().head("guard.yaml", &nobody.replacen("team: shop", "team: nobody", 1)).flow(FLOW).judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(report.policies[0].notes, ["it selects no running pod, so it denies nothing today"]);
}

#[test]
fn a_promotion_that_an_admin_accept_overrides_is_still_allowed_and_by_whom_is_said() {
    let report = shop()
        .live(&admin("guard", 5, ALLOW_SHOP))
        .base("it.yaml", &audit("shop", "it", PROM_ONLY))
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow(FLOW)
        .judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    assert_eq!(
        listed(&report.policies[0].still_allowed),
        [
            "Ingress web -> cart TCP 8080 by shop/it: accepted in the Admin tier by AdminNetworkPolicy guard, priority 5 ingress[0]"
        ]
    );
    assert_eq!(report.policies[0].verdicts.still_allowed, 1);
}

#[test]
fn a_preview_counts_the_tiers_too() {
    let it = audit("shop", "it", PROM_ONLY);
    let report = shop().live(&admin("guard", 5, ALLOW_SHOP)).head("it.yaml", &it).flow(FLOW).judge();
    assert!(previewed(&report).is_empty());
    assert_eq!(report.previews[0].verdicts.still_allowed, 1);
    let report = shop().live(&admin("guard", 5, PASS_SHOP)).head("it.yaml", &it).flow(FLOW).judge();
    assert_eq!(previewed(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
}

#[test]
fn an_admin_denial_that_a_higher_accept_overrides_is_still_allowed() {
    let report = shop()
        .live(&admin("above", 1, ALLOW_SHOP))
        .head("guard.yaml", &admin("guard", 5, DENY_SHOP))
        .flow(FLOW)
        .judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(
        listed(&report.policies[0].still_allowed),
        [
            "Ingress web -> cart TCP 8080 by /guard: accepted in the Admin tier by AdminNetworkPolicy above, priority 1 ingress[0]"
        ]
    );
}

#[test]
fn of_equal_priorities_the_denial_is_taken_and_both_are_named() {
    let report = shop()
        .live(&admin("accepts", 5, ALLOW_SHOP))
        .head("guard.yaml", &admin("guard", 5, DENY_SHOP))
        .flow(FLOW)
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by /guard"]);
    let message = &report.denials[0].policies[0].message;
    assert!(message.contains("AdminNetworkPolicy accepts, priority 5 accepts it by ingress[0]"), "{message}");
}

#[test]
fn a_network_policy_takes_its_pods_away_from_the_baseline() {
    // What the baseline accepted, the policy now denies.
    let report = shop().live(&baseline(ALLOW_SHOP)).head("np.yaml", &policy("shop", "it", NOBODY)).flow(FLOW).judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    // What the baseline denied, the policy now allows.
    let report = shop()
        .live(&baseline(DENY_SHOP))
        .head("np.yaml", &policy("shop", "it", "{podSelector: {matchLabels: {app: cart}}, ingress: [{}]}"))
        .flow(FLOW)
        .judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(
        listed(&report.newly_allowed),
        ["Ingress web -> cart TCP 8080 by shop/it: allowed by NetworkPolicy shop/it ingress[0]"]
    );
}

#[test]
fn removing_a_network_policy_that_had_precedence_over_a_baseline_denial_is_attributed_to_it() {
    let allows = policy("shop", "it", "{podSelector: {matchLabels: {app: cart}}, ingress: [{}]}");
    let report = shop().live(&baseline(DENY_SHOP)).base("np.yaml", &allows).flow(FLOW).judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.denials[0].policies[0].cause, DenialCause::Removal);
    let message = &report.denials[0].policies[0].message;
    assert!(message.contains("BaselineAdminNetworkPolicy default restricts this pod"), "{message}");
}

#[test]
fn removing_what_accepted_or_passed_on_is_attributed_to_it() {
    let denies = policy("shop", "np", NOBODY);
    let report = shop().live(&denies).base("a.yaml", &admin("guard", 5, ALLOW_SHOP)).flow(FLOW).judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by /guard"]);
    assert_eq!(report.denials[0].policies[0].cause, DenialCause::Removal);
    assert!(report.denials[0].policies[0].message.contains("accepted it by ingress[0] before the change"));

    let below = admin("below", 9, DENY_SHOP);
    let report = shop().live(&below).base("a.yaml", &admin("guard", 5, PASS_SHOP)).flow(FLOW).judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by /guard"]);
    assert!(report.denials[0].policies[0].message.contains("passed it on by ingress[0] before the change"));
}

#[test]
fn a_removed_denial_lets_in_and_says_whose_it_was() {
    let report = shop().base("a.yaml", &admin("guard", 5, DENY_SHOP)).flow(FLOW).judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(
        listed(&report.newly_allowed),
        ["Ingress web -> cart TCP 8080 by /guard: AdminNetworkPolicy guard no longer restricts it"]
    );
    assert_eq!(report.policies[0].action, ChangeAction::Removed);
}

#[test]
fn a_change_of_priority_alone_is_a_change() {
    let stage = shop().live(&admin("other", 5, ALLOW_SHOP));
    let report = stage
        .base("a.yaml", &admin("guard", 6, DENY_SHOP))
        .head("a.yaml", &admin("guard", 4, DENY_SHOP))
        .flow(FLOW)
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by /guard"]);
    let renamed = DENY_SHOP.replace("{action", "{name: keep out, action");
    let report = shop()
        .base("a.yaml", &admin("guard", 6, DENY_SHOP))
        .head("a.yaml", &admin("guard", 6, &renamed))
        .flow(FLOW)
        .judge();
    assert!(report.policies.is_empty(), "the name of a rule is for people");
}

#[test]
fn a_relabelled_workload_may_fall_to_administrators() {
    let guard = admin(
        "guard",
        5,
        "ingress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {zone: dmz}}}}]}]",
    );
    let web = |labels: &str| crate::manifests::workload("Deployment", "shop", "web", labels, "[]");
    let report = shop()
        .live(&guard)
        .base("web.yaml", &web("{app: web}"))
        .head("web.yaml", &web("{app: web, zone: dmz}"))
        .flow(FLOW)
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by /guard"]);
    assert_eq!(report.denials[0].policies[0].cause, DenialCause::Identity);
    assert!(report.denials[0].caused_by[0].starts_with("Deployment shop/web"));
}

#[test]
fn another_version_of_the_same_policy_or_a_namespace_is_no_change() {
    let former = cluster("guard", "Admin", DENY_SHOP);
    let now = former.replace("v1alpha2", "v1beta1").replace("name: guard", "name: guard, namespace: shop");
    let report = shop().base("a.yaml", &former).head("a.yaml", &now).flow(FLOW).judge();
    assert_eq!((report.exit_status, report.policies.len()), (0, 0));
    assert_eq!(report.headline, "May merge: no policy changed, and no object that policies refer to");
}

#[test]
fn a_node_in_git_is_judged_as_it_stands_in_the_cluster_and_that_is_said() {
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {disk: ssd}}}";
    let report = shop().head("node.yaml", node).judge();
    assert_eq!(report.notes, ["the change touches Node n1, which counts as it is in the cluster"]);
}

#[test]
fn exceptions_refer_to_the_kind_and_name() {
    let exception = |kind: &str, name: &str| {
        format!(
            "apiVersion: foretell.dev/v1alpha1\nkind: AuditException\nmetadata: {{name: known, namespace: shop}}\nspec: {{policyRef: {{kind: {kind}, name: {name}}}, direction: Ingress, peers: [{{podSelector: {{matchLabels: {{app: web}}}}}}], reason: known}}\n"
        )
    };
    for (text, kind, state) in [
        (admin("guard", 5, DENY_SHOP), "AdminNetworkPolicy", State::Accepted),
        (admin("guard", 5, DENY_SHOP), "ClusterNetworkPolicy", State::Unresolved),
        (admin("guard", 5, DENY_SHOP), "NetworkPolicy", State::Unresolved),
        (cluster("guard", "Baseline", DENY_SHOP), "ClusterNetworkPolicy", State::Accepted),
        (cluster("guard", "Baseline", DENY_SHOP), "BaselineAdminNetworkPolicy", State::Unresolved),
    ] {
        let report = shop().live(&exception(kind, "guard")).head("a.yaml", &text).flow(FLOW).judge();
        assert_eq!(report.denials[0].state, state, "{kind} of {text}");
    }
    let report = shop()
        .live(&exception("BaselineAdminNetworkPolicy", "default"))
        .head("a.yaml", &baseline(DENY_SHOP))
        .flow(FLOW)
        .judge();
    assert_eq!((report.denials[0].state, report.exit_status), (State::Accepted, 0));
}

#[test]
fn an_invalid_one_is_undecided_and_the_field_named() {
    for (text, field) in [
        (admin("guard", 1001, DENY_SHOP), "spec.priority"),
        (admin("guard", 5, &DENY_SHOP.replace("Deny", "Accept")), "spec.ingress[0].action"),
        (baseline(PASS_SHOP), "spec.ingress[0].action"),
        (baseline(DENY_SHOP).replace("name: default", "name: other"), "metadata.name"),
        (cluster("guard", "Base", DENY_SHOP), "spec.tier"),
        (admin("guard", 5, DENY_SHOP).replace("v1alpha1", "v1alpha9"), "apiVersion"),
    ] {
        let report = shop().head("a.yaml", &text).judge();
        assert_eq!(report.exit_status, 2, "{text}");
        assert!(report.reasons[0].contains(field), "{:?}", report.reasons);
    }
}

const NAMES_THEN_NOTHING: &str =
    "egress: [{action: Allow, to: [{domainNames: [api.example.com]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]";
const OUT: &str = "web -> 203.0.113.9 TCP 443";

#[test]
fn what_only_a_domain_decides_is_undecided_with_policy_rule_and_flow() {
    let report = shop().head("a.yaml", &admin("guard", 5, NAMES_THEN_NOTHING)).flow(OUT).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Undecided, 2));
    let part = &report.undecided[0];
    assert_eq!(part.places, ["a.yaml, document 1"]);
    assert_eq!(
        part.what,
        "AdminNetworkPolicy guard, priority 5 (Admin tier) on Deployment/web in shop: it is unknown whether egress[0] \
         matches 203.0.113.9 on TCP 443: it names api.example.com, and recorded traffic contains addresses, not domain \
         names; if it does not, AdminNetworkPolicy guard denies the flow"
    );
    assert!(denials(&report).is_empty());
    assert_eq!(report.policies[0].verdicts.unknown, 1);
}

#[test]
fn several_flows_of_one_doubt_are_one_part() {
    let report = shop()
        .head("a.yaml", &admin("guard", 5, NAMES_THEN_NOTHING))
        .flow(OUT)
        .flow("cart -> 203.0.113.9 TCP 443")
        .flow("pay -> 203.0.113.10 TCP 443")
        .judge();
    assert_eq!(report.undecided.len(), 1);
    assert!(
        report.undecided[0].what.ends_with("; 2 more connections depend on the same rule"),
        "{:?}",
        report.undecided
    );
}

#[test]
fn a_domain_that_decides_nothing_of_the_change_is_no_reason() {
    let names = admin("guard", 5, NAMES_THEN_NOTHING);
    // It stood there before, and what is changed is something else.
    let report = shop().live(&names).head("np.yaml", &policy("shop", "it", PROM_ONLY)).flow(OUT).judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    let more = admin("more", 6, ALLOW_SHOP);
    let report = shop().live(&names).head("more.yaml", &more).flow(OUT).judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    // Its rule changes and so does what nobody can tell.
    let other = NAMES_THEN_NOTHING.replace("api.example", "www.example");
    let report = shop().base("a.yaml", &names).head("a.yaml", &admin("guard", 5, &other)).flow(OUT).judge();
    assert_eq!(report.exit_status, 2);
    // A rule that is called otherwise is the same rule, whatever else is changed.
    let called = |name: &str| NAMES_THEN_NOTHING.replace("[{action: Allow", &format!("[{{name: {name}, action: Allow"));
    let report = shop()
        .base("a.yaml", &admin("guard", 5, &called("api")))
        .head(
            "a.yaml",
            &admin(
                "guard",
                5,
                &called("the-api").replace("0/0]}]}]", "0/0]}]}, {action: Deny, to: [{networks: ['::/0']}]}]"),
            ),
        )
        .flow(OUT)
        .judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    // What is accepted anyway passes whatever the name.
    let anyway = NAMES_THEN_NOTHING.replace("action: Deny", "action: Allow");
    let report = shop().head("a.yaml", &admin("guard", 5, &anyway)).flow(OUT).judge();
    assert_eq!(report.exit_status, 0);
    // Nobody speaks to the outside.
    let report = shop().head("a.yaml", &names).flow(FLOW).judge();
    assert_eq!(denials(&report), ["Unresolved Egress web -> cart TCP 8080 by /guard"]);
    // Nobody relies on it.
    let report = shop().head("a.yaml", &names).flow_with(OUT, &json!({"outcome": "unanswered"})).judge();
    assert_eq!(report.exit_status, 0);
}

#[test]
fn what_may_have_passed_before_and_is_denied_now_is_undecided() {
    let all = "egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]";
    let report = shop()
        .base("a.yaml", &admin("guard", 5, NAMES_THEN_NOTHING))
        .head("a.yaml", &admin("guard", 5, all))
        .flow(OUT)
        .judge();
    assert_eq!(report.exit_status, 2);
    assert!(
        report.undecided[0].what.ends_with(
            "AdminNetworkPolicy guard denies the flow after the change, and whether it was allowed before is unknown"
        ),
        "{:?}",
        report.undecided
    );
    // It passes now: nothing is lost.
    let report = shop().base("a.yaml", &admin("guard", 5, NAMES_THEN_NOTHING)).flow(OUT).judge();
    assert_eq!(report.exit_status, 0);
}

#[test]
fn an_exception_that_accepts_the_denial_settles_the_doubt() {
    let exception = "apiVersion: foretell.dev/v1alpha1\nkind: AuditException\nmetadata: {name: known, namespace: shop}\nspec: {policyRef: {kind: AdminNetworkPolicy, name: guard}, direction: Egress, peers: [{ipBlock: {cidr: 203.0.113.0/24}}], reason: api.example.com}\n";
    let report = shop().live(exception).head("a.yaml", &admin("guard", 5, NAMES_THEN_NOTHING)).flow(OUT).judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
}

#[test]
fn an_address_of_a_pod_that_nobody_knows_is_undecided_too() {
    let report = shop().head("a.yaml", &admin("guard", 5, DENY_SHOP)).flow("10.1.2.200 -> cart TCP 8080").judge();
    assert_eq!(report.exit_status, 2);
    assert!(
        report.undecided[0].what.contains("it is unknown which pod had 10.1.2.200 at that time"),
        "{:?}",
        report.undecided
    );
    assert!(report.undecided[0].fix.contains("--append"));
}
