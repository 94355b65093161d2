//! Many addresses outside of the cluster.

use foretell_policy::report::connection::State;
use foretell_policy::report::data::{Decision, Report};
use foretell_policy::report::markdown;
use serde_json::json;

use crate::manifests::{audit, policy};
use crate::stage::{NOBODY, Stage, denials, listed, shop};

/// Flows of this many clients on the internet.
fn clients(stage: Stage, count: u8) -> Stage {
    (0..count).fold(stage, |stage, n| stage.flow(&format!("203.0.{n}.7 -> cart TCP 443")))
}

fn closed() -> Stage {
    shop().head("it.yaml", &policy("shop", "it", NOBODY))
}

fn id(report: &Report) -> String {
    let [denial] = &report.denials[..] else { panic!("{:?}", denials(report)) };
    denial.id.to_string()
}

#[test]
fn a_few_addresses_stay_themselves() {
    assert_eq!(clients(closed(), 8).judge().denials.len(), 8);
    assert_eq!(clients(closed(), 9).judge().denials.len(), 1);
}

#[test]
fn many_clients_are_one_denial_with_one_block_as_its_fix() {
    let report = clients(closed(), 200).judge();
    assert_eq!(denials(&report), ["Unresolved Ingress internet (0.0.0.0/0) -> cart TCP 443 by shop/it"]);
    let denial = &report.denials[0];
    let addresses = denial.addresses.as_ref().unwrap();
    assert_eq!((denial.seen.in_use, addresses.count, addresses.samples.len()), (200, 200, 3));
    assert_eq!(report.headline, "Blocked: 1 connection in use would be denied");
    let [fix] = &report.fixes[..] else { panic!("{:#?}", report.fixes) };
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"];
    assert_eq!(fix.spec["ingress"][0]["from"], json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": private}}]));
    assert_eq!(fix.resolves, [denial.id.clone()]);
    let fixed = clients(shop().head("it.yaml", &policy("shop", "it", &fix.spec.to_string())), 200).judge();
    assert_eq!((fixed.decision, denials(&fixed)), (Decision::MayMerge, Vec::new()));
    assert!(markdown::render(&report).contains("200 in use, 200 addresses"), "{}", markdown::render(&report));
}

#[test]
fn the_id_does_not_change_with_each_client() {
    let more = clients(closed(), 20).flow("198.51.100.9 -> cart TCP 443");
    assert_eq!(id(&clients(closed(), 9).judge()), id(&more.judge()));
}

#[test]
fn each_range_is_a_row_and_private_ranges_are_not_the_internet() {
    let stage = clients(closed(), 9).flow("10.200.0.1 -> cart TCP 443").flow("172.20.0.1 -> cart TCP 443");
    let report = stage
        .flow("198.51.100.1 -> cart TCP 443")
        .flow("2001:db8::1 -> cart TCP 443")
        .range("vpn", "198.51.100.0/24")
        .judge();
    assert_eq!(
        denials(&report),
        [
            "Unresolved Ingress internet (0.0.0.0/0) -> cart TCP 443 by shop/it",
            "Unresolved Ingress internet (::/0) -> cart TCP 443 by shop/it",
            "Unresolved Ingress private (10.0.0.0/8) -> cart TCP 443 by shop/it",
            "Unresolved Ingress private (172.16.0.0/12) -> cart TCP 443 by shop/it",
            "Unresolved Ingress vpn (198.51.100.0/24) -> cart TCP 443 by shop/it",
        ]
    );
}

#[test]
fn blocks_of_policies_are_ranges() {
    let other = "{podSelector: {matchLabels: {app: pay}}, ingress: [{from: [{ipBlock: {cidr: 203.0.0.0/22}}]}]}";
    let report = clients(closed().live(&policy("shop", "other", other)), 10).judge();
    assert_eq!(
        denials(&report),
        [
            "Unresolved Ingress 203.0.0.0/22 -> cart TCP 443 by shop/it",
            "Unresolved Ingress internet (0.0.0.0/0) -> cart TCP 443 by shop/it",
        ]
    );
}

#[test]
fn nodes_unknown_pods_and_other_ports_are_not_part_of_a_range() {
    let stage = clients(closed(), 9).flow("10.1.2.77 -> cart TCP 443").flow("192.168.0.1 -> cart TCP 443");
    let report = stage.flow("203.0.113.1 -> cart TCP 80").judge();
    assert_eq!(
        denials(&report),
        [
            "Unresolved Ingress 10.1.2.77 -> cart TCP 443 by shop/it",
            "Unresolved Ingress 192.168.0.1 -> cart TCP 443 by shop/it",
            "Unresolved Ingress 203.0.113.1 -> cart TCP 80 by shop/it",
            "Unresolved Ingress internet (0.0.0.0/0) -> cart TCP 443 by shop/it",
        ]
    );
}

#[test]
fn a_range_is_accepted_only_if_exceptions_cover_each_of_its_addresses() {
    let exception = |cidr: &str| {
        format!(
            "apiVersion: foretell.dev/v1alpha1\nkind: AuditException\nmetadata: {{name: known, namespace: shop}}\nspec:\n  policyRef: {{kind: NetworkPolicy, name: it}}\n  direction: Ingress\n  peers: [{{ipBlock: {{cidr: {cidr}}}}}]\n  reason: known\n"
        )
    };
    for (cidr, state) in [("203.0.0.0/16", State::Accepted), ("203.0.0.0/21", State::Unresolved)] {
        let report = clients(closed().head("known.yaml", &exception(cidr)), 12).judge();
        assert_eq!(report.denials[0].state, state, "{cidr}");
    }
}

#[test]
fn egress_and_what_is_listed_for_information_fold_as_well() {
    let egress = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}";
    let out = |stage: Stage| (0..9).fold(stage, |stage, n| stage.flow(&format!("web -> 203.0.{n}.7 TCP 443")));
    let report = out(shop().head("out.yaml", &policy("shop", "out", egress))).judge();
    assert_eq!(denials(&report), ["Unresolved Egress web -> internet (0.0.0.0/0) TCP 443 by shop/out"]);
    let preview = out(shop().head("out.yaml", &audit("shop", "out", egress))).judge();
    assert_eq!(preview.previews[0].denials.len(), 1);
    let removed = out(shop().base("out.yaml", &policy("shop", "out", egress))).judge();
    assert_eq!(
        listed(&removed.newly_allowed),
        ["Egress web -> internet (0.0.0.0/0) TCP 443 by shop/out: NetworkPolicy shop/out no longer restricts it"]
    );
}

#[test]
fn the_order_of_flows_does_not_matter() {
    let stage = clients(closed(), 30).flow_with("203.0.99.1 -> cart TCP 443", &json!({"outcome": "refused"}));
    let expected = serde_json::to_string(&stage.judge()).unwrap();
    for factor in [7, 0x9E37_79B9_7F4A_7C15_u64] {
        let shuffled = stage.clone().shuffled(|n, _| (n as u64 + 1).wrapping_mul(factor) % 101);
        assert_eq!(serde_json::to_string(&shuffled.judge()).unwrap(), expected);
    }
}
