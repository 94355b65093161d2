//! More entries than fit into one word: rules of a policy, policies of a pod, sets of peers, blocks and ports.

use std::fmt::Write;

use crate::scenario::{Scenario, audit, audit_cluster, shop};
use foretell_objects::model::flow::Direction;

/// A rule, as text.
enum Rule {
    /// Matches neither peer nor port.
    Nothing,
    Peer,
    Port,
    ByBlock,
    Takes,
}

impl Rule {
    fn text(&self) -> &'static str {
        match self {
            Self::Nothing => "{from: [{podSelector: {matchLabels: {app: nobody}}}], ports: [{port: 1}]}",
            Self::Peer => "{from: [{podSelector: {}}], ports: [{port: 1}]}",
            Self::Port => "{from: [{podSelector: {matchLabels: {app: nobody}}}], ports: [{port: 8080}]}",
            Self::ByBlock => "{from: [{ipBlock: {cidr: 10.1.2.0/24}}], ports: [{port: 8080}]}",
            Self::Takes => "{from: [{podSelector: {}}]}",
        }
    }
}

/// An ingress spec with this many rules, of which all but these match nothing.
fn spec(rules: usize, but: &[(usize, Rule)]) -> String {
    let text = |index| but.iter().find(|(other, _)| *other == index).map_or(&Rule::Nothing, |(_, rule)| rule).text();
    let rules: Vec<&str> = (0..rules).map(text).collect();
    format!("{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{}]}}", rules.join(", "))
}

fn nearest(scenario: &Scenario) -> String {
    let lines = scenario.lines("cart -> web TCP 8080");
    lines[0]["nearest"]["rule"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn all_rules_of_a_policy_with_many_rules_are_evaluated() {
    use Rule::{ByBlock, Peer, Port, Takes};
    let by_block = "allow 3, enforcers differ";
    for (rules, but, verdict) in [
        (64, vec![(63, Takes)], "allow 63"),
        (65, vec![(64, Takes)], "allow 64"),
        (130, vec![(129, Takes)], "allow 129"),
        (200, vec![(3, Takes), (66, Takes)], "allow 3"),
        (200, vec![(3, ByBlock), (190, Takes)], "allow 190"),
        (200, vec![(3, ByBlock), (100, ByBlock)], by_block),
        (200, vec![(3, ByBlock), (100, Peer)], by_block),
        (70, vec![(2, Peer), (69, ByBlock)], "allow 69, enforcers differ"),
        (70, vec![(1, Port), (69, Takes)], "allow 69"),
    ] {
        let scenario = shop().and(&audit(&spec(rules, &but)));
        assert_eq!(scenario.verdicts("cart -> web TCP 8080", Direction::Ingress), verdict, "of {rules}");
    }
    for (but, rule) in [
        (vec![], "ingress[0]"),
        (vec![(67, Port)], "ingress[67]"),
        (vec![(1, Port), (67, Peer)], "ingress[67]"),
        (vec![(1, Peer), (67, Port)], "ingress[1]"),
        (vec![(130, Peer), (67, Port)], "ingress[130]"),
    ] {
        let scenario = shop().and(&audit(&spec(140, &but)));
        assert_eq!(nearest(&scenario), rule);
    }
}

/// The same policy under several names, the first `first` of them as cluster policies.
fn many(policies: usize, of_cluster: usize, rules: usize, last: &str) -> Scenario {
    let mut scenario = shop();
    for number in 0..policies {
        let text = if number + 1 == policies { last.to_owned() } else { spec(rules, &[]) };
        let policy = if number < of_cluster { audit_cluster(&text) } else { audit(&text) };
        scenario = scenario.and(&policy.replace("name: it", &format!("name: it-{number:03}")));
    }
    scenario
}

#[test]
fn verdicts_are_right_when_many_policies_restrict_a_pod() {
    let takes = spec(40, &[(38, Rule::Takes)]);
    for (policies, of_cluster) in [(2, 0), (2, 2), (3, 1), (3, 2), (4, 4), (9, 0), (9, 9), (9, 4)] {
        let scenario = many(policies, of_cluster, 40, &takes);
        let mut expected = "deny NoRuleMatched\n".repeat(policies - 1);
        write!(expected, "allow 38").unwrap();
        assert_eq!(
            scenario.verdicts("cart -> web TCP 8080", Direction::Ingress),
            expected,
            "{policies}, {of_cluster} of the cluster"
        );
    }
    // A policy that fills the chunk exactly, and one that is too large for the rest of it.
    for (rules, last) in [(32, 32), (32, 33), (64, 64), (64, 1), (1, 64), (63, 2), (63, 1)] {
        let scenario = many(2, 0, rules, &spec(last, &[(last - 1, Rule::Takes)]));
        let expected = format!("deny NoRuleMatched\nallow {}", last - 1);
        assert_eq!(scenario.verdicts("cart -> web TCP 8080", Direction::Ingress), expected, "{rules} and {last}");
    }
}

#[test]
fn verdicts_are_right_with_many_sets_of_peers_blocks_and_ports() {
    // More distinct sets of each kind than a word has bits; one policy matches the flow.
    let entry = |number: usize| {
        format!(
            "{{from: [{{namespaceSelector: {{matchLabels: {{team: t{number}}}}}}}]}},
  {{from: [{{podSelector: {{matchLabels: {{app: a{number}}}}}}}]}},
  {{from: [{{ipBlock: {{cidr: 172.16.{}.0/24}}}}], ports: [{{port: {}}}]}}",
            number % 256,
            number + 1
        )
    };
    let taking = "{from: [{namespaceSelector: {matchLabels: {team: shop}}}], ports: [{port: 8080}]},
  {from: [{podSelector: {matchLabels: {app: cart}}}]}, {from: [{ipBlock: {cidr: 10.1.2.2/32}}], ports: [{port: 8080}]}";
    let mut scenario = shop();
    for number in 0..330 {
        let rules = if number == 329 { taking.to_owned() } else { entry(number) };
        let text = audit(&format!("{{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{rules}]}}"));
        scenario = scenario.and(&text.replace("name: it", &format!("name: it-{number:03}")));
    }
    let verdict = scenario.verdicts("cart -> web TCP 8080", Direction::Ingress);
    let verdicts: Vec<&str> = verdict.lines().collect();
    assert_eq!(verdicts.len(), 330);
    for (number, verdict) in verdicts.into_iter().enumerate() {
        assert_eq!(verdict, if number == 329 { "allow 0" } else { "deny NoRuleMatched" }, "it-{number:03}");
    }
}
