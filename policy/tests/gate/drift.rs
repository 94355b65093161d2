//! Policies of the base that the cluster does not have as Git has them: only as long as no traffic contradicts them do they count.

use foretell_policy::report::data::Decision;

use crate::manifests::policy;
use crate::stage::{EVERYBODY, NOBODY, PROM_AND_WEB, PROM_ONLY, Stage, denials, shop};

/// The policies that traffic contradicts, with whether the snapshot holds another form and the number of connections.
fn drift(stage: &Stage) -> Vec<(String, bool, u64)> {
    let report = stage.judge();
    report.drift.iter().map(|it| (it.policy.to_string(), it.in_snapshot, it.connections)).collect()
}

const ALL: &str = "{podSelector: {}, policyTypes: [Ingress]}";

#[test]
fn a_policy_of_the_base_excuses_a_denial_only_if_no_traffic_contradicts_it() {
    let web_and_prom =
        ["Unresolved Ingress prom -> cart TCP 8080 by shop/it", "Unresolved Ingress web -> cart TCP 8080 by shop/it"];
    let web = &web_and_prom[1..];
    let prom = &web_and_prom[..1];
    let not_applied = || shop().base_is_not_applied().head("it.yaml", &policy("shop", "it", NOBODY));
    let named = |name: &str, spec: &str| policy("shop", name, spec);
    let missing = |connections| vec![("NetworkPolicy shop/all".to_owned(), false, connections)];
    let differs = |name: &str, connections| vec![(format!("NetworkPolicy shop/{name}"), true, connections)];
    for (case, stage, denied, drifted) in [
        ("applied", shop().head("it.yaml", &named("it", NOBODY)).both("all.yaml", &named("all", ALL)), &[][..], vec![]),
        ("not applied", not_applied().both("all.yaml", &named("all", ALL)), &web_and_prom, missing(2)),
        (
            "applied by hand with another spelling",
            not_applied()
                .both("all.yaml", &named("all", ALL))
                .live(&named("all", &ALL.replace("policyTypes: [Ingress]", "policyTypes: [Ingress], ingress: []"))),
            &[],
            vec![],
        ),
        (
            "open in the cluster",
            not_applied().both("all.yaml", &named("all", ALL)).live(&named("all", "{podSelector: {}, ingress: [{}]}")),
            // The policy of the cluster stays, and goes on allowing everything.
            &[],
            vec![],
        ),
        (
            "in the cluster it restricts another workload",
            not_applied().both("all.yaml", &named("all", ALL)).live(&named("all", &NOBODY.replace("cart", "pay"))),
            &web_and_prom,
            differs("all", 2),
        ),
        (
            "an allowing policy is not applied, which isolates what is in use",
            not_applied().both("all.yaml", &named("all", PROM_ONLY)),
            &web_and_prom,
            missing(1),
        ),
        (
            "an allowing policy is not applied, and no traffic contradicts it",
            not_applied().both("all.yaml", &named("all", PROM_AND_WEB)),
            &[],
            vec![],
        ),
        (
            "the change edits a policy that is not applied",
            shop().base_is_not_applied().base("it.yaml", &named("it", ALL)).head("it.yaml", &named("it", NOBODY)),
            &web_and_prom,
            vec![("NetworkPolicy shop/it".to_owned(), false, 2)],
        ),
        (
            "the change removes the policy that is not applied",
            not_applied().base("all.yaml", &named("all", ALL)),
            &web_and_prom,
            missing(2),
        ),
        (
            "somebody opened it by hand, and the change closes it further than the base does",
            shop()
                .live(&named("it", EVERYBODY))
                .base("it.yaml", &named("it", PROM_ONLY))
                .head("it.yaml", &named("it", NOBODY)),
            &web_and_prom,
            differs("it", 1),
        ),
        (
            "the cluster has the allowing form, and another policy denies",
            shop()
                .live(&named("it", PROM_AND_WEB))
                .live(&named("all", ALL))
                .base("it.yaml", &named("it", PROM_ONLY))
                .head("it.yaml", &named("it", &PROM_ONLY.replace("app: prom", "app: agent"))),
            &web_and_prom,
            differs("it", 1),
        ),
    ] {
        let stage = stage.flow("web -> cart TCP 8080").flow("prom -> cart TCP 8080");
        assert_eq!(denials(&stage.judge()), denied, "{case}");
        assert_eq!(drift(&stage), drifted, "{case}");
    }
    // Without traffic that contradicts it, the base counts.
    let by_hand = shop()
        .live(&named("it", EVERYBODY))
        .base("it.yaml", &named("it", PROM_ONLY))
        .head("it.yaml", &named("it", NOBODY));
    assert_eq!(denials(&by_hand.clone().flow("prom -> cart TCP 8080").judge()), prom);
    assert_eq!(drift(&by_hand.flow("prom -> cart TCP 8080")), []);
    assert_eq!(denials(&not_applied().flow("web -> cart TCP 8080").judge()), web);
}

#[test]
fn only_traffic_in_use_contradicts_a_policy() {
    let stage = || {
        shop()
            .base_is_not_applied()
            .both("all.yaml", &policy("shop", "all", ALL))
            .head("it.yaml", &policy("shop", "it", NOBODY))
    };
    for fields in [
        serde_json::json!({"outcome": "refused"}),
        serde_json::json!({"outcome": "unanswered"}),
        serde_json::json!({"guessed": true}),
    ] {
        let report = stage().flow_with("web -> cart TCP 8080", &fields).judge();
        assert_eq!((report.decision, report.drift.len()), (Decision::MayMerge, 0), "{fields}");
    }
}

#[test]
fn an_admin_policy_of_the_base_that_is_not_applied_excuses_nothing_either() {
    let admin = "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: guard}, spec: {priority: 1, \
                 subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}}";
    let stage = |applied: Stage| {
        applied.both("guard.yaml", admin).head("it.yaml", &policy("shop", "it", NOBODY)).flow("web -> cart TCP 8080")
    };
    assert_eq!(denials(&stage(shop()).judge()), [""; 0]);
    let report = stage(shop().base_is_not_applied()).judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.drift[0].policy.to_string(), "AdminNetworkPolicy guard");
}

#[test]
fn the_report_names_the_policy_and_says_how_to_fix_it() {
    let stage = |applied: Stage| {
        applied
            .both("staging/all.yaml", &policy("shop", "all", ALL))
            .head("it.yaml", &policy("shop", "it", NOBODY))
            .flow("web -> cart TCP 8080")
            .flow("prom -> cart TCP 8080")
    };
    let reasons = stage(shop().base_is_not_applied()).judge().reasons;
    assert_eq!(
        reasons,
        [
            "staging/all.yaml, document 1: NetworkPolicy shop/all is in the base and not in the snapshot, and 2 connections that it \
          would deny are in use: it counts as not applied. How to fix: apply it, or leave it out of the check (--path); if it is \
          applied by now, use a newer snapshot and newer flows."
        ]
    );
    let other = policy("shop", "all", &NOBODY.replace("cart", "pay"));
    let reasons = stage(shop().live(&other)).judge().reasons;
    assert!(reasons[0].contains("differs from the policy of this name in the snapshot"), "{reasons:?}");
    assert!(reasons[0].contains("it counts as it is in the snapshot"), "{reasons:?}");
}

#[test]
fn a_policy_that_is_not_applied_and_concerns_other_traffic_is_not_mentioned() {
    let report = shop()
        .base_is_not_applied()
        .both("db.yaml", &policy("data", "db", ALL))
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow("agent -> db TCP 5432")
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!((report.drift.len(), report.reasons.len()), (0, 0), "{:?}", report.reasons);
}
