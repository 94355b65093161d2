//! How often something was seen, and what a denial is called.

use serde_json::json;

use crate::manifests::{audit, audit_cluster, policy};
use crate::stage::{NOBODY, PROM_AND_WEB, PROM_ONLY, denials, previewed, shop};

fn closed() -> crate::stage::Stage {
    shop().head("it.yaml", &policy("shop", "it", NOBODY))
}

#[test]
fn seen_at_both_ends_it_counts_once_the_larger() {
    for (leaving, arriving) in [(3, 5), (5, 3)] {
        let report = closed()
            .flow_with("web -> cart TCP 8080", &json!({"observed": "Egress", "connections": leaving, "packets": 10}))
            .flow_with("web -> cart TCP 8080", &json!({"observed": "Ingress", "connections": arriving, "packets": 9}))
            .judge();
        assert_eq!(report.denials[0].seen.in_use, 5);
        assert_eq!(report.denials[0].seen.packets, 10);
    }
}

#[test]
fn seen_again_at_the_same_end_it_adds_up() {
    let report = closed()
        .flow_with("web -> cart TCP 8080", &json!({"observed": "Egress", "connections": 3}))
        .flow_with("web -> cart TCP 8080", &json!({"observed": "Egress", "connections": 4}))
        .flow_with("web -> cart TCP 8080", &json!({"observed": "Ingress", "connections": 6}))
        .judge();
    assert_eq!(report.denials[0].seen.in_use, 7);
}

#[test]
fn pods_of_one_workload_add_up_each_the_larger_of_its_ends() {
    let report = closed()
        .pod("web", ("Deployment", "shop", "web"), "n2", "10.1.2.50", &json!({"app": "web"}))
        .flow_with("web -> cart TCP 8080", &json!({"observed": "Egress", "connections": 3}))
        .flow_with("10.1.2.50 -> cart TCP 8080", &json!({"observed": "Ingress", "connections": 4}))
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.denials[0].seen.in_use, 7);
}

#[test]
fn through_a_service_and_at_its_backend_is_one_connection() {
    let report = closed()
        .flow_with("web -> cart-svc TCP 80", &json!({"observed": "Egress", "connections": 4}))
        .flow_with("web -> cart TCP 8080", &json!({"observed": "Ingress", "connections": 6}))
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.denials[0].seen.in_use, 6);
}

#[test]
fn through_a_service_alone_it_is_judged_at_the_backend() {
    let report = closed().flow_with("web -> cart-svc TCP 80", &json!({"connections": 4})).judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.denials[0].seen.in_use, 4);
}

#[test]
fn of_several_workloads_behind_a_service_the_one_seen_to_answer_counts() {
    let back = "{podSelector: {matchLabels: {tier: back}}, policyTypes: [Ingress]}";
    let stage = shop()
        .head("it.yaml", &policy("shop", "it", back))
        .flow_with("web -> back-svc TCP 80", &json!({"observed": "Egress", "connections": 9}));
    let report = stage.judge();
    assert_eq!(
        denials(&report),
        ["Unresolved Ingress web -> cart TCP 8080 by shop/it", "Unresolved Ingress web -> pay TCP 8080 by shop/it"]
    );
    let report = stage.flow_with("web -> cart TCP 8080", &json!({"observed": "Ingress", "connections": 2})).judge();
    let cart = report.denials.iter().find(|denial| crate::stage::short(&denial.subject) == "cart").unwrap();
    assert_eq!(cart.seen.in_use, 2);
}

#[test]
fn first_and_last_seen_are_of_what_is_in_use() {
    let at = |start: &str, end: &str, outcome: &str| json!({"start": start, "end": end, "outcome": outcome});
    let report = closed()
        .flow_with("web -> cart TCP 8080", &at("2026-11-20T02:00:00Z", "2026-11-20T02:10:00Z", "established"))
        .flow_with("web -> cart TCP 8080", &at("2026-11-20T01:00:00Z", "2026-11-20T01:10:00Z", "established"))
        .flow_with("web -> cart TCP 8080", &at("2026-11-20T00:00:00Z", "2026-11-21T09:00:00Z", "refused"))
        .judge();
    let seen = &report.denials[0].seen;
    assert_eq!(seen.first_seen.to_string(), "2026-11-20T01:00:00Z");
    assert_eq!(seen.last_seen.to_string(), "2026-11-20T02:10:00Z");
    assert_eq!((seen.in_use, seen.refused), (2, 1));
}

#[test]
fn the_id_is_d_and_twelve_characters_of_base32_and_any_prefix_finds_it() {
    let report = closed().flow("web -> cart TCP 8080").judge();
    let id = &report.denials[0].id;
    let text = id.to_string();
    let hash = text.strip_prefix("D-").unwrap();
    assert_eq!(hash.len(), 12);
    assert!(hash.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)), "{text}");
    for prefix in [&text[..], &text[..5], hash, &hash[..4], &text[..5].to_lowercase()] {
        assert!(id.has_prefix(prefix), "{prefix}");
    }
    for no_prefix in ["", "D-", &format!("{text}A"), &hash[1..]] {
        assert!(!id.has_prefix(no_prefix), "{no_prefix}");
    }
}

#[test]
fn the_id_stays_the_same_over_a_promotion_a_fixed_rule_and_other_traffic() {
    let preview = shop().head("it.yaml", &audit("shop", "it", PROM_ONLY)).flow("web -> cart TCP 8080").judge();
    let [id] = &preview.previews[0].denials.iter().map(|it| it.id.clone()).collect::<Vec<_>>()[..] else {
        panic!("{:?}", previewed(&preview))
    };
    for stage in [
        shop().live(&audit("shop", "it", PROM_ONLY)).head("it.yaml", &policy("shop", "it", PROM_ONLY)),
        shop().head("elsewhere.yaml", &policy("shop", "it", NOBODY)).flow("web -> db TCP 5432"),
        shop().head("it.yaml", &policy("shop", "it", &PROM_AND_WEB.replace("app: web", "app: pay"))),
    ] {
        let report = stage.flow_with("web -> cart TCP 8080", &json!({"connections": 70})).judge();
        assert_eq!(report.denials[0].id, *id);
    }
}

#[test]
fn each_part_of_a_denial_is_in_its_id() {
    let mute = "{podSelector: {}, policyTypes: [Ingress, Egress]}";
    let report = shop()
        .head("a.yaml", &policy("shop", "a", mute))
        .head("b.yaml", &policy("shop", "b", mute))
        .head("c.yaml", &policy("data", "a", mute))
        .flow("web -> cart TCP 8080")
        .flow("web -> cart UDP 8080")
        .flow("web -> cart TCP 8081")
        .flow("web -> pay TCP 8080")
        .flow("pay -> cart TCP 8080")
        .flow("web -> db TCP 8080")
        .judge();
    let ids: std::collections::BTreeSet<String> = report.denials.iter().map(|it| it.id.to_string()).collect();
    // Both ends of six flows, however many policies deny them.
    assert_eq!(report.denials.len(), 6 * 2);
    assert_eq!(ids.len(), report.denials.len());
}

#[test]
fn a_denial_has_one_id_whatever_policy_causes_it() {
    let id = |name: &str, manifest: &str| {
        let report = shop().head(name, manifest).flow("web -> cart TCP 8080").judge();
        let preview = report.previews.iter().flat_map(|preview| &preview.denials);
        let ids: Vec<String> = report.denials.iter().chain(preview).map(|it| it.id.to_string()).collect();
        let [id] = &ids[..] else { panic!("{ids:?}") };
        id.clone()
    };
    let expected = id("it.yaml", &policy("shop", "it", NOBODY));
    for (name, manifest) in [
        ("other.yaml", policy("shop", "other", PROM_ONLY)),
        ("audit.yaml", audit("shop", "it", NOBODY)),
        ("cluster.yaml", audit_cluster("it", NOBODY)),
    ] {
        assert_eq!(id(name, &manifest), expected, "{name}");
    }
}

#[test]
fn the_report_does_not_depend_on_the_order_of_flows_and_files() {
    let stage = closed()
        .head("audit.yaml", &audit("shop", "all", "{podSelector: {}, policyTypes: [Ingress, Egress]}"))
        .live(&policy("shop", "open", &PROM_AND_WEB.replace("app: cart", "app: pay")))
        .flow_with("web -> cart TCP 8080", &json!({"observed": "Egress", "connections": 3}))
        .flow_with("web -> cart TCP 8080", &json!({"observed": "Ingress", "connections": 4}))
        .flow("web -> back-svc TCP 80")
        .next_file()
        .flow("web -> cart-svc TCP 80")
        .flow("prom -> cart TCP 8080")
        .flow("agent -> pay TCP 8080")
        .flow("203.0.113.7 -> web TCP 443")
        .flow_with("batch -> web TCP 443", &json!({"outcome": "refused"}))
        .watched("n1", "2026-11-10T00:00:00Z", "2026-11-12T00:00:00Z");
    let expected = serde_json::to_string(&stage.judge()).unwrap();
    for factor in [0x9E37_79B9_7F4A_7C15_u64, 0xD1B5_4A32_D192_ED03, 7, 1] {
        let shuffled = stage.clone().shuffled(|n, _| (n as u64 + 1).wrapping_mul(factor) % 101);
        assert_eq!(serde_json::to_string(&shuffled.judge()).unwrap(), expected);
    }
}
