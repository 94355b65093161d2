//! Audit policies that become enforced ones.

use foretell_objects::model::policy_ref::PolicyKind;
use foretell_policy::change::plan::ChangeAction;
use foretell_policy::report::data::{Decision, Report};
use foretell_policy::report::policies::PromotionReport;

use crate::manifests::{audit, audit_cluster, policy, promoted};
use crate::stage::{EVERYBODY, PROM_AND_WEB, PROM_ONLY, denials, previewed, shop};

fn promotion(report: &Report) -> &PromotionReport {
    report.policies[0].promotion.as_ref().unwrap()
}

#[test]
fn promotion_that_denies_what_is_in_use_is_blocked() {
    let report = shop()
        .base("it.yaml", &audit("shop", "it", PROM_ONLY))
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Blocked, 1));
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.headline, "Blocked: 1 connection in use would be denied");
}

#[test]
fn the_same_promotion_fixed_may_merge() {
    let report = shop()
        .base("it.yaml", &audit("shop", "it", PROM_ONLY))
        .head("it.yaml", &policy("shop", "it", PROM_AND_WEB))
        .flow("web -> cart TCP 8080")
        .flow("prom -> cart TCP 8080")
        .judge();
    assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0));
    assert!(denials(&report).is_empty());
    assert_eq!(report.policies[0].verdicts.allow, 2);
}

#[test]
fn promotion_is_recognised_by_a_namesake_in_the_snapshot_on_the_base_or_in_the_change() {
    let (old, new) = (audit("shop", "it", PROM_ONLY), policy("shop", "it", PROM_ONLY));
    for stage in [
        shop().live(&old).head("np.yaml", &new),
        shop().both("audit.yaml", &old).head("np.yaml", &new),
        shop().base("audit.yaml", &old).head("np.yaml", &new),
        shop().head("audit.yaml", &old).head("np.yaml", &new),
    ] {
        let report = stage.judge();
        let [changed] = &report.policies[..] else { panic!("{:?}", report.policies) };
        let promotion = changed.promotion.as_ref().unwrap();
        assert_eq!(promotion.from.to_string(), "AuditNetworkPolicy shop/it");
        assert_eq!(promotion.identical, Some(true));
        assert_eq!(changed.action, ChangeAction::Added);
    }
}

#[test]
fn an_audit_policy_of_another_name_or_namespace_is_no_namesake() {
    for other in [audit("shop", "that", PROM_ONLY), audit("data", "it", PROM_ONLY), audit_cluster("that", PROM_ONLY)] {
        let report = shop().live(&other).head("np.yaml", &policy("shop", "it", PROM_ONLY)).judge();
        assert!(report.policies[0].promotion.is_none(), "{other}");
    }
}

#[test]
fn promotion_is_recognised_by_its_annotation() {
    let report = shop()
        .live(&audit("shop", "draft", PROM_ONLY))
        .head("np.yaml", &promoted("shop", "final", "AuditNetworkPolicy/draft", PROM_ONLY))
        .judge();
    assert_eq!(promotion(&report).from.to_string(), "AuditNetworkPolicy shop/draft");
    assert_eq!(promotion(&report).identical, Some(true));
}

#[test]
fn a_cluster_policy_becomes_one_network_policy_a_namespace() {
    let spec = "{podSelector: {}, policyTypes: [Ingress]}";
    let report = shop()
        .base("it.yaml", &audit_cluster("deny", spec))
        .head("shop.yaml", &promoted("shop", "deny-all", "deny", spec))
        .head("data.yaml", &promoted("data", "deny-all", "AuditClusterNetworkPolicy/deny", spec))
        .flow("prom -> db TCP 5432")
        .flow("prom -> lonely TCP 80")
        .judge();
    assert_eq!(report.policies.len(), 2);
    for promoted in &report.policies {
        let promotion = promoted.promotion.as_ref().unwrap();
        assert_eq!(
            (promotion.from.kind, promotion.from.name.as_str()),
            (PolicyKind::AuditClusterNetworkPolicy, "deny")
        );
        assert_eq!(promotion.identical, Some(true));
    }
    assert!(report.previews.is_empty(), "its promotion replaces it");
    assert_eq!(denials(&report), ["Unresolved Ingress prom -> db TCP 5432 by data/deny-all"]);
}

#[test]
fn a_network_policy_with_name_and_rules_of_a_cluster_policy_is_its_promotion_without_an_annotation() {
    let exception = "apiVersion: foretell.dev/v1alpha1\nkind: AuditException\nmetadata: {name: known, namespace: shop}\nspec:\n  policyRef: {kind: AuditClusterNetworkPolicy, name: it}\n  direction: Ingress\n  peers: [{podSelector: {}}]\n  reason: known\n";
    let stage = shop()
        .live(&audit_cluster("it", &PROM_ONLY.replacen('{', "{namespaceSelector: {matchLabels: {team: shop}}, ", 1)))
        .live(exception)
        .flow("web -> cart TCP 8080");
    let report = stage.clone().head("it.yaml", &policy("shop", "it", PROM_ONLY)).judge();
    let promotion = promotion(&report);
    assert_eq!((promotion.from.kind, promotion.identical), (PolicyKind::AuditClusterNetworkPolicy, Some(true)));
    assert_eq!(report.exit_status, 0, "the exception survives: {:?}", denials(&report));
    // Other rules: the name alone does not make it a promotion.
    let report = stage.head("it.yaml", &policy("shop", "it", EVERYBODY)).judge();
    assert!(report.policies[0].promotion.is_none());
}

#[test]
fn an_annotation_that_names_a_policy_which_no_longer_exists_is_reported() {
    let report = shop().head("np.yaml", &promoted("shop", "it", "gone", PROM_ONLY)).judge();
    assert_eq!(promotion(&report).from.to_string(), "AuditClusterNetworkPolicy gone");
    assert_eq!(promotion(&report).identical, None);
    assert_eq!(report.exit_status, 0);
}

#[test]
fn a_promoted_spec_that_differs_is_shown_as_a_diff_and_does_not_block_by_itself() {
    let report = shop()
        .live(&audit("shop", "it", PROM_ONLY))
        .head("np.yaml", &policy("shop", "it", PROM_AND_WEB))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(promotion(&report).identical, Some(false));
    assert_eq!(
        promotion(&report).differences,
        [
            r#"spec.ingress[1]: absent in the audited policy, {"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]} here"#
        ]
    );
    let added: Vec<&str> = promotion(&report).diff.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    assert_eq!(added, ["+  - from:", "+    - podSelector:", "+        matchLabels:", "+          app: web"]);
    assert_eq!(report.exit_status, 0);
}

#[test]
fn the_specs_are_compared_as_the_api_server_reads_them() {
    let written_out = PROM_ONLY.replace("{port: http}", "{port: http, protocol: TCP}");
    let written_out = written_out.replacen('{', "{policyTypes: [Ingress], ", 1);
    let report =
        shop().live(&audit("shop", "it", PROM_ONLY)).head("np.yaml", &policy("shop", "it", &written_out)).judge();
    assert_eq!(promotion(&report).identical, Some(true), "{:?}", promotion(&report).differences);
    assert_eq!(promotion(&report).diff, "");
}

#[test]
fn the_audited_spec_is_the_one_that_was_judged_in_the_cluster() {
    let report = shop()
        .live(&audit("shop", "it", EVERYBODY))
        .base("it.yaml", &audit("shop", "it", PROM_ONLY))
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .judge();
    assert_eq!(promotion(&report).identical, Some(false));
}

#[test]
fn a_promotion_replaces_the_preview_of_its_namesake() {
    let (old, new) = (audit("shop", "it", PROM_ONLY), policy("shop", "it", PROM_ONLY));
    let other = audit("shop", "other", PROM_ONLY);
    for stage in [
        shop().base("it.yaml", &old).head("it.yaml", &new),
        shop().base("it.yaml", &audit("shop", "it", EVERYBODY)).head("it.yaml", &old).head("np.yaml", &new),
        shop().head("it.yaml", &old).head("np.yaml", &new),
    ] {
        let report = stage.head("other.yaml", &other).flow("web -> cart TCP 8080").judge();
        // The other one is still previewed, over the world in which the promoted one denies already.
        assert_eq!(report.previews.len(), 1);
        assert!(previewed(&report).is_empty());
        assert_eq!(report.previews[0].verdicts.still_denied, 1);
        assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    }
}

#[test]
fn taking_an_enforced_policy_back_to_audit_is_a_removal_with_a_preview() {
    let report = shop()
        .base("it.yaml", &policy("shop", "it", PROM_ONLY))
        .head("it.yaml", &audit("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(report.policies[0].action, ChangeAction::Removed);
    assert!(report.policies[0].promotion.is_none());
    assert_eq!(report.newly_allowed.len(), 1);
    assert_eq!(previewed(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
}
