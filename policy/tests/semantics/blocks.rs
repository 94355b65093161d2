//! Which addresses an `ipBlock` matches.

use crate::scenario::{audit, egress, ingress, shop};
use foretell_objects::model::flow::Direction;

fn to(block: &str) -> String {
    format!("{{egress: [{{to: [{{ipBlock: {block}}}]}}]}}")
}

#[test]
fn a_block_matches_the_addresses_of_its_network_v4_and_v6() {
    for (cidr, taken, not_taken) in [
        ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
        ("203.0.113.9/32", "203.0.113.9", "203.0.113.8"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("'2001:db8::/32'", "2001:db8:ffff::1", "2001:db9::"),
        ("'2001:db8::9/128'", "2001:db8::9", "2001:db8::8"),
        ("'::/0'", "2001:db8::9", "203.0.113.9"),
    ] {
        let spec = to(&format!("{{cidr: {cidr}}}"));
        assert_eq!(egress(&spec, &format!("web -> {taken} TCP 443")), "allow 0", "{cidr} {taken}");
        assert_eq!(egress(&spec, &format!("web -> {not_taken} TCP 443")), "deny NoRuleMatched", "{cidr} {not_taken}");
    }
}

#[test]
fn host_bits_of_a_stored_cidr_are_ignored() {
    for (cidr, taken) in [("203.0.113.77/24", "203.0.113.9"), ("'2001:db8::77/64'", "2001:db8::9")] {
        assert_eq!(egress(&to(&format!("{{cidr: {cidr}}}")), &format!("web -> {taken} TCP 443")), "allow 0", "{cidr}");
    }
}

#[test]
fn legacy_forms_of_stored_cidrs_are_accepted() {
    for cidr in ["203.000.113.0/24", "'::ffff:203.0.113.0/120'"] {
        let spec = to(&format!("{{cidr: {cidr}}}"));
        assert_eq!(egress(&spec, "web -> 203.0.113.9 TCP 443"), "allow 0", "{cidr}");
        assert_eq!(egress(&spec, "web -> 203.0.114.9 TCP 443"), "deny NoRuleMatched", "{cidr}");
    }
}

#[test]
fn an_ipv4_address_mapped_into_ipv6_is_an_ipv4_address() {
    assert_eq!(egress(&to("{cidr: 203.0.113.0/24}"), "web -> ::ffff:203.0.113.9 TCP 443"), "allow 0");
    assert_eq!(egress(&to("{cidr: '::/0'}"), "web -> ::ffff:203.0.113.9 TCP 443"), "deny NoRuleMatched");
}

#[test]
fn an_except_removes_addresses_from_its_own_block() {
    let spec = to("{cidr: 203.0.113.0/24, except: [203.0.113.0/28, 203.0.113.200/32]}");
    assert_eq!(egress(&spec, "web -> 203.0.113.16 TCP 443"), "allow 0");
    for dst in ["203.0.113.0", "203.0.113.15", "203.0.113.200"] {
        assert_eq!(egress(&spec, &format!("web -> {dst} TCP 443")), "deny NoRuleMatched", "{dst}");
    }
    let spec = to("{cidr: '2001:db8::/32', except: ['2001:db8:1::/48']}");
    assert_eq!(egress(&spec, "web -> 2001:db8:2::1 TCP 443"), "allow 0");
    assert_eq!(egress(&spec, "web -> 2001:db8:1::1 TCP 443"), "deny NoRuleMatched");
}

#[test]
fn an_except_does_not_affect_another_block() {
    let spec = "{egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.9/32]}}, \
                {ipBlock: {cidr: 203.0.113.0/28}}]}]}";
    assert_eq!(egress(spec, "web -> 203.0.113.9 TCP 443"), "allow 0");
    let spec = "{egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.9/32]}}]}, {}]}";
    assert_eq!(egress(spec, "web -> 203.0.113.9 TCP 443"), "allow 1");
}

#[test]
fn a_block_matches_pods_and_nodes_with_a_note_that_enforcers_differ() {
    let spec = "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "allow 0, enforcers differ");
    assert_eq!(ingress(spec, "agent-2 -> web TCP 8080"), "allow 0, enforcers differ");
    assert_eq!(ingress(spec, "203.0.113.9 -> web TCP 8080"), "allow 0");
    let message = shop().and(&audit(spec)).message("cart -> web TCP 8080", Direction::Ingress);
    assert_eq!(
        message,
        "allowed only by an ipBlock that contains the address of a pod or node; enforcers differ on this"
    );
}

#[test]
fn an_allow_by_labels_has_precedence_over_one_by_block_whatever_their_order() {
    let spec = "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}, {from: [{podSelector: {}}]}]}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "allow 1");
    let spec = "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}, {podSelector: {}}]}]}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "allow 0");
}

#[test]
fn a_pods_ipv6_address_is_judged_by_ipv6_blocks() {
    let spec = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{ipBlock: {cidr: 'fd00:1::/64'}}]}]}";
    assert_eq!(ingress(spec, "fd00:1::1 -> cart TCP 9090"), "allow 0, enforcers differ");
    assert_eq!(ingress(spec, "web -> cart TCP 9090"), "deny NoRuleMatched", "by its IPv4 address");
}

#[test]
fn blocks_at_both_ends_of_the_address_space_match() {
    for (block, within, without) in [
        ("0.0.0.0/24", "0.0.0.5", "0.0.1.0"),
        ("0.0.0.0/16", "0.0.255.255", "0.1.0.0"),
        ("255.255.255.0/24", "255.255.255.254", "255.255.254.255"),
        ("255.255.0.0/16", "255.255.0.0", "255.254.255.255"),
        ("::/64", "::5", "0:0:0:1::"),
        ("ffff:ffff:ffff:ffff::/64", "ffff:ffff:ffff:ffff::1", "ffff:ffff:ffff:fffe:ffff:ffff:ffff:ffff"),
    ] {
        let spec = format!("{{ingress: [{{from: [{{ipBlock: {{cidr: '{block}'}}}}]}}]}}");
        let to = if block.contains(':') { "fd00:1::1" } else { "10.1.1.1" };
        assert_eq!(ingress(&spec, &format!("{within} -> {to} TCP 8080")), "allow 0", "{block}");
        assert_eq!(ingress(&spec, &format!("{without} -> {to} TCP 8080")), "deny NoRuleMatched", "{block}");
    }
}
