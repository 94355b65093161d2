//! What counts as in use, and what is shown apart.

use foretell_policy::report::connection::State;
use serde_json::{Value, json};

use crate::manifests::policy;
use crate::stage::{NOBODY, denials, shop};

fn seen(fields: &Value) -> foretell_policy::report::data::Report {
    shop().head("it.yaml", &policy("shop", "it", NOBODY)).flow_with("web -> cart TCP 8080", fields).judge()
}

#[test]
fn established_connections_are_in_use_whether_it_is_said_or_not() {
    for outcome in [json!("established"), Value::Null] {
        let report = seen(&json!({"outcome": outcome, "connections": 3}));
        assert_eq!((report.exit_status, report.denials[0].seen.in_use), (1, 3));
    }
}

#[test]
fn refused_and_unanswered_attempts_never_block_and_are_shown_apart() {
    for outcome in ["refused", "unanswered"] {
        let report = seen(&json!({"outcome": outcome, "connections": 500}));
        assert_eq!(report.exit_status, 0, "{outcome}");
        let seen = &report.denials[0].seen;
        assert_eq!(report.denials[0].state, State::NotInUse);
        let expected = if outcome == "refused" { (0, 500, 0) } else { (0, 0, 500) };
        assert_eq!((seen.in_use, seen.refused, seen.unanswered), expected);
        assert_eq!(report.policies[0].verdicts.would_deny, 0, "counted is what is in use");
    }
}

#[test]
fn a_guess_never_blocks_alone_and_is_shown_apart() {
    let report = seen(&json!({"guessed": true, "connections": 2}));
    assert_eq!(report.exit_status, 0);
    assert_eq!((report.denials[0].state, report.denials[0].seen.guessed), (State::Guessed, 2));
    let report = shop()
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow_with("web -> cart TCP 8080", &json!({"guessed": true}))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!((report.denials[0].seen.in_use, report.denials[0].seen.guessed), (1, 1));
}

#[test]
fn a_guessed_attempt_that_was_refused_is_a_refused_attempt() {
    let report = seen(&json!({"guessed": true, "outcome": "refused"}));
    assert_eq!(report.denials[0].state, State::NotInUse);
}

#[test]
fn a_standing_connection_is_in_use_although_nobody_opened_it_in_the_window() {
    let report = seen(&json!({"connections": 0, "packets": 40}));
    assert_eq!(report.exit_status, 1);
    assert_eq!((report.denials[0].seen.in_use, report.denials[0].seen.packets), (1, 40));
}

#[test]
fn unresolved_denials_come_first_the_most_used_before_the_others() {
    let report = shop()
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .flow_with("web -> cart TCP 1", &json!({"outcome": "refused", "connections": 900}))
        .flow_with("web -> cart TCP 2", &json!({"guessed": true, "connections": 800}))
        .flow_with("web -> cart TCP 3", &json!({"connections": 2}))
        .flow_with("web -> cart TCP 4", &json!({"connections": 7}))
        .judge();
    let ports: Vec<u16> = report.denials.iter().map(|denial| denial.port).collect();
    assert_eq!(ports, [4, 3, 2, 1]);
}

#[test]
fn answered_datagrams_are_in_use() {
    let report = shop().head("it.yaml", &policy("shop", "it", NOBODY)).flow("web -> cart UDP 53").judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart UDP 53 by shop/it"]);
}
