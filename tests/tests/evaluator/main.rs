//! The evaluator with a real Postgres and a real API server. The pods exist only as objects; the test sends the agents' batches.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;

use foretell_policy::report::connection::State;
use foretell_policy::report::data::Decision;
use foretell_policy::report::preview::{Preview, WireChange};
use foretell_service::contract::{Accepted, DenialPage, VerdictRow};
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use serde_json::json;

use crate::stage::{Stage, condition, policy, report};

mod access;
mod alone;
mod answers;
mod private;
mod stage;

#[test]
fn what_a_policy_would_deny_is_reported_and_survives_restarts_of_database_and_evaluator() {
    let Some(mut database) = Database::here() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.apply(&policy(&["nobody"]));

    // Without a database it is not ready and names the reason. It refuses batches, so that agents keep them.
    stage.start(&database);
    until("the evaluator listens", || match stage.http(None, "GET", "/livez", None) {
        (200, _) => Ok(()),
        (_, problem) => Err(problem),
    });
    let (status, reasons) = stage.http(None, "GET", "/readyz", None);
    assert_eq!(status, 503);
    assert!(reasons.contains("waiting for Postgres"), "{reasons}");
    let refused = stage.send("one", 1, &[report()]).unwrap_err();
    assert!(refused.is_transient() && refused.to_string().contains("503"), "{refused}");
    database.resume();
    stage.becomes_ready();

    // Two callers that the policy does not allow. A batch that is sent twice counts once.
    let lines = [report(), stage.flow("batch", "web", 8080), stage.flow("scraper", "web", 9090)];
    let accepted = stage.send("one", 1, &lines).unwrap();
    assert_eq!(accepted, Accepted { flows: 2, reports: 1, duplicate: false });
    assert!(stage.send("one", 1, &lines).unwrap().duplicate);
    let status = stage.status("the status counts both", |status| status["evaluation"]["flowsWouldDeny"] == 2);
    assert_eq!(status["evaluation"]["unresolvedDenials"], 2);
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!((condition(&status, "Ready"), condition(&status, "Promotable")), ("True", "False"));
    let page: DenialPage = stage.get(&format!("/v1/denials?namespace={}", stage.shop.name()));
    let callers: Vec<String> = page.denials.iter().map(|denial| denial.peer.to_string()).collect();
    assert_eq!(page.denials.len(), 2, "{callers:?}");
    assert!(page.denials.iter().all(|denial| denial.state == State::Unresolved && denial.seen.in_use == 3));
    let rows = |stage: &Stage, count: u64| -> Vec<VerdictRow> {
        until("the rows are there", || {
            let path = format!("/audit/verdicts?policy=web&namespace={}&verdict=WouldDeny", stage.shop.name());
            let rows: Vec<VerdictRow> = stage.get(&path);
            let of_batch = rows.iter().find(|row| row.src_pod.as_deref() == Some("batch"));
            let is_there = rows.len() == 2 && of_batch.is_some_and(|row| row.count == count);
            if is_there { Ok(rows) } else { Err(format!("{rows:?}")) }
        })
    };
    let before = rows(&stage, 3);
    let named: Vec<_> = before.iter().map(|row| (row.src_pod.as_deref(), row.dst_port, row.count)).collect();
    assert!(named.contains(&(Some("batch"), 8080, 3)) && named.contains(&(Some("scraper"), 9090, 3)), "{named:?}");

    answers::policies_are_summed_up(&stage);
    answers::one_flow_is_judged(&stage);
    answers::rows_are_filtered(&stage);
    let listed = stage.foretell(&["denials", "--namespace", stage.shop.name(), "--state", "unresolved"]);
    assert_eq!(listed.0, Some(0), "{}", listed.1);
    assert!(listed.1.contains("Pod/batch") && listed.1.contains("TCP 9090"), "{}", listed.1);

    // While the database is down no batch is accepted, and no accepted batch is lost.
    database.stop();
    let refused = stage.send("one", 2, &[stage.flow("batch", "web", 8080)]).unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    database.resume();
    let accepted = until("the database is used again", || {
        stage.send("one", 2, &[stage.flow("batch", "web", 8080)]).map_err(|error| error.to_string())
    });
    assert!(!accepted.duplicate);

    // A new process knows what the old one knew, including the pod of an address: the pod is deleted in between.
    stage.evaluator.take().unwrap().kill();
    stage.kubectl(&["delete", "pod", "scraper", "--namespace", stage.shop.name(), "--force", "--grace-period=0"]);
    stage.start(&database);
    stage.becomes_ready();
    assert!(stage.send("one", 2, &[stage.flow("batch", "web", 8080)]).unwrap().duplicate);
    let after = rows(&stage, 6);
    let ids = |rows: &[VerdictRow]| rows.iter().map(|row| row.id).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&after), ids(&before), "{after:?}");
    assert!(after.iter().any(|row| row.src_pod.as_deref() == Some("scraper")), "{after:?}");

    // A changed policy is judged again over the same traffic.
    stage.apply(&policy(&["batch", "scraper"]));
    let status = stage.status("the new generation is judged", |status| status["observedGeneration"] == 2);
    assert_eq!(status["evaluation"]["flowsWouldDeny"], 0, "{status}");
    assert_eq!(condition(&status, "Promotable"), "True");

    // A preview of a change uses the same engine: a NetworkPolicy that allows neither caller.
    let mut enforced = policy(&["nobody"]);
    enforced["apiVersion"] = "networking.k8s.io/v1".into();
    enforced["kind"] = "NetworkPolicy".into();
    enforced["metadata"]["namespace"] = stage.shop.name().into();
    let wire = json!({
        "before": [],
        "after": [{"object": enforced, "place": {"file": "web.yaml", "document": 1, "item": ""}}],
    });
    let preview = Preview {
        base: "main".to_owned(),
        head: "topic".to_owned(),
        window_seconds: None,
        min_window_seconds: None,
        exceptions_on_base_only: false,
        ranges: std::collections::BTreeMap::new(),
        cni: None,
        change: serde_json::from_value::<WireChange>(wire).unwrap(),
    };
    let report = stage.runtime.block_on(stage.client().preview(&preview)).unwrap();
    assert_eq!((report.decision, report.exit_status), (Decision::Blocked, 1), "{report:#?}");
    assert_eq!(report.denials.len(), 2, "{report:#?}");
    let (base, head) = (stage.files.path().join("base"), stage.files.path().join("head"));
    fs::create_dir_all(&base).unwrap();
    fs::create_dir_all(&head).unwrap();
    fs::write(head.join("web.yaml"), enforced.to_string()).unwrap();
    let checked =
        stage.foretell(&["check", "--base-dir", base.to_str().unwrap(), "--head-dir", head.to_str().unwrap()]);
    assert_eq!(checked.0, Some(1), "{}", checked.1);
    assert!(checked.1.contains("2 connections in use would be denied"), "{}", checked.1);
}
