//! Policies that are added, changed and removed.

use foretell_policy::change::plan::ChangeAction;
use foretell_policy::report::connection::DenialCause;
use foretell_policy::report::data::Decision;

use crate::manifests::{audit, audit_cluster, policy};
use crate::stage::{EVERYBODY, NOBODY, PROM_AND_WEB, PROM_ONLY, denials, listed, previewed, shop};

#[test]
fn audit_policies_added_or_changed_are_a_preview_and_never_block() {
    let deny = audit("shop", "it", NOBODY);
    for (stage, action) in [
        (shop().head("it.yaml", &deny), ChangeAction::Added),
        (shop().base("it.yaml", &audit("shop", "it", EVERYBODY)).head("it.yaml", &deny), ChangeAction::Changed),
        (shop().live(&audit("shop", "it", EVERYBODY)).head("it.yaml", &deny), ChangeAction::Added),
    ] {
        let report = stage.flow("web -> cart TCP 8080").judge();
        assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0));
        assert_eq!(report.previews[0].action, action);
        assert_eq!(previewed(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
        assert!(report.denials.is_empty() && report.policies.is_empty());
        assert_eq!(report.headline, "May merge: the change enforces nothing");
    }
}

#[test]
fn a_removed_audit_policy_is_listed_and_previews_nothing() {
    let report = shop().base("it.yaml", &audit("shop", "it", NOBODY)).flow("web -> cart TCP 8080").judge();
    assert_eq!(report.previews[0].action, ChangeAction::Removed);
    assert!(previewed(&report).is_empty());
    assert_eq!(report.exit_status, 0);
}

#[test]
fn a_cluster_audit_policy_is_previewed_in_every_namespace_that_it_selects() {
    let spec = "{namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [shop, data]}]}, policyTypes: [Ingress]}";
    let report = shop()
        .head("it.yaml", &audit_cluster("deny", spec))
        .flow("web -> cart TCP 8080")
        .flow("cart -> db TCP 5432")
        .flow("web -> prom TCP 9090")
        .judge();
    assert_eq!(
        previewed(&report),
        ["Unresolved Ingress cart -> db TCP 5432 by /deny", "Unresolved Ingress web -> cart TCP 8080 by /deny"]
    );
    assert_eq!(report.exit_status, 0);
}

#[test]
fn each_audit_policy_is_previewed_alone_over_what_is_enforced() {
    let report = shop()
        .head("a.yaml", &audit("shop", "a", NOBODY))
        .head("b.yaml", &audit("shop", "b", EVERYBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    // Were they judged together, b would let pass what a denies.
    let counts: Vec<_> = report.previews.iter().map(|it| (it.policy.name.as_str(), it.denials.len())).collect();
    assert_eq!(counts, [("a", 1), ("b", 0)]);
}

#[test]
fn a_preview_counts_what_another_policy_still_allows() {
    let report = shop()
        .live(&policy("shop", "open", EVERYBODY))
        .head("it.yaml", &audit("shop", "it", NOBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert!(previewed(&report).is_empty());
    assert_eq!(
        listed(&report.previews[0].still_allowed),
        ["Ingress web -> cart TCP 8080 by shop/it: allowed by NetworkPolicy shop/open ingress[0]"]
    );
}

#[test]
fn an_added_network_policy_that_denies_what_is_in_use_is_blocked() {
    let report = shop()
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .flow("prom -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 1);
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    let [denial] = &report.denials[..] else { panic!("{:?}", report.denials) };
    assert_eq!((denial.policies[0].cause, denial.policies[0].reason.as_str()), (DenialCause::Policy, "NoRuleMatched"));
    assert!(denial.policies[0].message.contains("Deployment/web in shop"), "{}", denial.policies[0].message);
    assert!(denial.policies[0].message.contains("ingress[0]"), "{}", denial.policies[0].message);
    let verdicts = report.policies[0].verdicts;
    assert_eq!((verdicts.allow, verdicts.would_deny, verdicts.newly_denied), (1, 1, 1));
}

#[test]
fn a_changed_network_policy_denies_some_and_allows_others() {
    let report = shop()
        .base("it.yaml", &policy("shop", "it", PROM_ONLY))
        .head("it.yaml", &policy("shop", "it", &PROM_AND_WEB.replace("app: prom", "app: agent")))
        .flow("web -> cart TCP 8080")
        .flow("prom -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 1);
    assert_eq!(report.policies[0].action, ChangeAction::Changed);
    assert_eq!(denials(&report), ["Unresolved Ingress prom -> cart TCP 8080 by shop/it"]);
    assert_eq!(
        listed(&report.newly_allowed),
        ["Ingress web -> cart TCP 8080 by shop/it: allowed by NetworkPolicy shop/it ingress[1]"]
    );
}

#[test]
fn a_removed_network_policy_allows_what_it_kept_out() {
    let report = shop()
        .base("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .flow("prom -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(report.policies[0].action, ChangeAction::Removed);
    assert_eq!(
        listed(&report.newly_allowed),
        ["Ingress web -> cart TCP 8080 by shop/it: NetworkPolicy shop/it no longer restricts it"]
    );
}

#[test]
fn a_removal_that_cuts_traffic_is_attributed_to_the_removed_policy() {
    let report = shop()
        .both("deny.yaml", &policy("shop", "deny", NOBODY))
        .base("it.yaml", &policy("shop", "it", PROM_AND_WEB))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 1);
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.denials[0].policies[0].cause, DenialCause::Removal);
    let message = &report.denials[0].policies[0].message;
    assert!(message.starts_with("NetworkPolicy shop/it allowed it by ingress[1]"), "{message}");
    assert_eq!(report.denials[0].policies[0].summary, "no longer allows it");
    assert!(message.contains("NetworkPolicy shop/deny restricts this pod"), "{message}");
}

#[test]
fn what_a_policy_no_longer_selects_is_attributed_to_it_too() {
    let report = shop()
        .live(&policy("shop", "deny", NOBODY))
        .base("it.yaml", &policy("shop", "it", PROM_AND_WEB))
        .head("it.yaml", &policy("shop", "it", &PROM_AND_WEB.replacen("app: cart", "app: pay", 1)))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.denials[0].policies[0].cause, DenialCause::Removal);
    assert_eq!(report.exit_status, 1);
}

#[test]
fn a_policy_of_the_snapshot_that_git_does_not_hold_stays_in_force() {
    let report = shop()
        .live(&policy("shop", "open", EVERYBODY))
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 0);
}

#[test]
fn what_the_base_says_counts_before_what_the_snapshot_says() {
    // Somebody opened it by hand: the next sync closes it with or without this change.
    let report = shop()
        .live(&policy("shop", "it", EVERYBODY))
        .base("it.yaml", &policy("shop", "it", PROM_ONLY))
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow("web -> cart TCP 8080")
        .flow("prom -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress prom -> cart TCP 8080 by shop/it"]);
}

#[test]
fn no_change_at_all_may_merge() {
    let report = shop().both("it.yaml", &policy("shop", "it", NOBODY)).flow("web -> cart TCP 8080").judge();
    assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0));
    assert_eq!(report.headline, "May merge: no policy changed, and no object that policies refer to");
    assert!(report.policies.is_empty() && report.denials.is_empty() && report.reasons.is_empty());
}

#[test]
fn a_policy_written_otherwise_is_no_change() {
    let written_out = NOBODY.replace("policyTypes: [Ingress]", "policyTypes: [Ingress], ingress: []");
    let report = shop()
        .base("it.yaml", &policy("shop", "it", NOBODY))
        .head("moved.yaml", &format!("# a comment\n{}", policy("shop", "it", &written_out)))
        .flow("web -> cart TCP 8080")
        .judge();
    assert!(report.policies.is_empty(), "{:?}", report.policies);
    assert_eq!(report.exit_status, 0);
}
