//! How far a report without denials can be trusted.

use foretell_policy::report::data::{Decision, NodeEvidence, Report};
use serde_json::json;

use crate::manifests::{audit, policy, workload};
use crate::stage::{AT, EVERYBODY, NOBODY, Stage, denials, shop, unwatched_shop};

fn open(stage: Stage) -> Stage {
    stage.head("it.yaml", &policy("shop", "it", EVERYBODY))
}

fn closed(stage: Stage) -> Stage {
    stage.head("it.yaml", &policy("shop", "it", NOBODY)).flow("web -> cart TCP 8080")
}

fn node<'r>(report: &'r Report, name: &str) -> &'r NodeEvidence {
    report.evidence.nodes.iter().find(|node| node.node == name).unwrap()
}

#[test]
fn unknown_evidence_is_the_first_reason_and_does_not_block() {
    let report = open(unwatched_shop()).flow("web -> cart TCP 8080").judge();
    assert!(!report.evidence.known);
    assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0));
    assert!(report.reasons[0].starts_with("Evidence is unknown"), "{:?}", report.reasons);
    let blocked = closed(unwatched_shop()).judge();
    assert_eq!(blocked.exit_status, 1);
    assert!(blocked.reasons[0].starts_with("Evidence is unknown"), "{:?}", blocked.reasons);
}

#[test]
fn unknown_evidence_is_pending_where_a_minimum_is_set() {
    let report = open(unwatched_shop()).flow("web -> cart TCP 8080").min_window_hours(1).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Pending, 1));
}

#[test]
fn a_subject_on_a_node_that_never_reported_is_undecided_and_the_node_is_named() {
    let report = open(unwatched_shop()).watched("n1", "2026-11-13T00:00:00Z", AT).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Undecided, 2));
    assert_eq!(report.undecided[0].places, ["node n2"]);
    assert!(report.reasons[0].starts_with("node n2: it runs 1 pod"), "{:?}", report.reasons);
    assert_eq!((node(&report, "n2").subjects, node(&report, "n2").until), (1, None));
}

#[test]
fn a_node_without_subjects_need_not_report() {
    let report = open(unwatched_shop()).watched("n2", "2026-11-13T00:00:00Z", AT).judge();
    assert_eq!(report.exit_status, 0);
}

#[test]
fn a_report_from_before_the_window_is_no_evidence() {
    let report = open(unwatched_shop()).watched("n2", "2026-11-01T00:00:00Z", "2026-11-14T11:59:59Z").judge();
    assert_eq!(report.exit_status, 2, "{:?}", report.evidence);
    assert_eq!(report.undecided[0].places, ["node n2"]);
}

#[test]
fn a_report_from_after_the_clock_is_no_evidence() {
    let report = open(unwatched_shop())
        .watched("n1", "2026-11-20T00:00:00Z", AT)
        .watched("n2", "2026-11-21T12:00:01Z", "2026-11-21T13:00:00Z")
        .judge();
    assert_eq!(report.exit_status, 2);
}

#[test]
fn a_file_whose_reports_are_all_from_after_the_clock_is_not_one_without_reports() {
    let shop = open(unwatched_shop());
    let shop =
        ["n1", "n2"].iter().fold(shop, |shop, node| shop.watched(node, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"));
    let report = shop
        .flow_with("web -> cart TCP 8080", &json!({"node": "n1"}))
        .flow_with("web -> cart TCP 8080", &json!({"node": "n2"}))
        .judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Undecided, 2), "{:?}", report.reasons);
}

#[test]
fn the_minimum_window_short_is_pending() {
    let stage = open(unwatched_shop()).watched("n2", "2026-11-20T12:00:00Z", AT);
    let report = stage.clone().min_window_hours(25).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Pending, 1));
    assert_eq!(report.reasons, ["Node n2 was watched for 1d of the required 1d 1h."]);
    assert_eq!(stage.min_window_hours(24).judge().exit_status, 0);
}

#[test]
fn watched_time_is_united_over_reports_and_gaps_are_left_out() {
    let report = open(unwatched_shop())
        .watched("n2", "2026-11-21T01:00:00Z", "2026-11-21T02:00:00Z")
        .watched("n2", "2026-11-21T01:30:00Z", "2026-11-21T02:30:00Z")
        .watched("n2", "2026-11-21T02:30:00Z", "2026-11-21T03:00:00Z")
        .next_file()
        .watched("n2", "2026-11-21T02:00:00Z", "2026-11-21T02:10:00Z")
        .watched("n2", "2026-11-21T05:00:00Z", "2026-11-21T06:00:00Z")
        .judge();
    let n2 = node(&report, "n2");
    assert_eq!((n2.watched_seconds, n2.gaps), (3 * 3600, 1));
    assert_eq!(n2.since.unwrap().to_string(), "2026-11-21T01:00:00Z");
    assert_eq!(n2.until.unwrap().to_string(), "2026-11-21T06:00:00Z");
}

#[test]
fn in_a_file_without_reports_the_nodes_of_its_flows_count_over_its_span() {
    let seen = |at: &str| json!({"start": at, "end": at, "node": "n2"});
    let report = open(unwatched_shop())
        .flow_with("web -> cart TCP 8080", &seen("2026-11-21T01:00:00Z"))
        .flow_with("web -> cart TCP 8080", &seen("2026-11-21T04:00:00Z"))
        .judge();
    assert!(report.evidence.known);
    assert_eq!(node(&report, "n2").watched_seconds, 3 * 3600);
    assert_eq!(report.exit_status, 0);
}

#[test]
fn in_a_file_with_reports_the_nodes_of_its_flows_do_not_count() {
    let report = open(unwatched_shop())
        .watched("n1", "2026-11-13T00:00:00Z", AT)
        .flow_with("web -> cart TCP 8080", &json!({"node": "n2"}))
        .judge();
    assert_eq!(report.exit_status, 2);
}

#[test]
fn what_was_lost_is_summed_by_node_and_cause() {
    let lost = |node: &str, count: u64| {
        json!({"report": {"node": node, "start": "2026-11-21T01:00:00Z", "end": "2026-11-21T02:00:00Z", "addresses": [],
            "lost": {"ringFull": count, "mapFull": 0}}})
    };
    let report = open(shop()).line(lost("n2", 5)).line(lost("n2", 7)).line(lost("n1", 1)).judge();
    assert_eq!(node(&report, "n2").lost.iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>(), [("ringFull", 12)]);
    assert_eq!(node(&report, "n1").lost["ringFull"], 1);
    assert_eq!(report.exit_status, 0);
}

#[test]
fn a_policy_that_selects_no_pod_may_merge_and_says_so() {
    for stage in [shop(), unwatched_shop().watched("n1", "2026-11-20T00:00:00Z", AT)] {
        let report = stage
            .head("it.yaml", &policy("shop", "it", "{podSelector: {matchLabels: {app: nobody}}}"))
            .flow("web -> cart TCP 8080")
            .judge();
        assert_eq!(report.exit_status, 0);
        assert_eq!(report.policies[0].selected_pods, 0);
        assert_eq!(report.policies[0].notes, ["it selects no running pod, so it denies nothing today"]);
    }
}

#[test]
fn no_flow_seen_although_the_nodes_reported_may_merge_and_says_so() {
    let report = shop().head("it.yaml", &policy("shop", "it", NOBODY)).judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(
        report.policies[0].notes,
        ["no connection in use of the pods that it selects was recorded in the window"]
    );
}

#[test]
fn flows_outside_the_window_do_not_count_and_are_counted() {
    let stage = shop().head("it.yaml", &policy("shop", "it", NOBODY));
    for (start, end, status) in [
        ("2026-11-14T11:00:00Z", "2026-11-14T11:59:59Z", 0),
        ("2026-11-14T11:00:00Z", "2026-11-14T12:00:00Z", 1),
        ("2026-11-21T12:00:00Z", "2026-11-21T12:10:00Z", 1),
        ("2026-11-21T12:00:01Z", "2026-11-21T12:10:00Z", 0),
    ] {
        let report = stage.clone().flow_with("web -> cart TCP 8080", &json!({"start": start, "end": end})).judge();
        assert_eq!(report.exit_status, status, "{start}");
        assert_eq!(report.evidence.flows_outside_window, u64::from(status == 0), "{start}");
        assert_eq!(report.evidence.flows, u64::from(status == 1), "{start}");
    }
}

#[test]
fn undecided_beats_blocked_beats_pending_beats_may_merge() {
    let unwatched = |stage: Stage| stage.watched("n1", "2026-11-20T00:00:00Z", AT);
    let report = closed(unwatched(unwatched_shop())).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Undecided, 2));
    assert_eq!(denials(&report).len(), 1, "listed all the same");
    assert!(report.reasons.iter().any(|reason| reason.contains("newly denied")), "{:?}", report.reasons);
    let report = closed(shop()).min_window_hours(24 * 30).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Blocked, 1));
    assert!(report.reasons.iter().any(|reason| reason.contains("of the required")), "{:?}", report.reasons);
    let report = open(shop()).min_window_hours(24 * 30).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Pending, 1));
    assert_eq!(open(shop()).judge().exit_status, 0);
}

#[test]
fn a_change_that_enforces_nothing_requires_no_evidence() {
    for stage in [unwatched_shop(), unwatched_shop().watched("n1", "2026-11-20T00:00:00Z", AT)] {
        let report = stage.head("it.yaml", &audit("shop", "it", NOBODY)).min_window_hours(24).judge();
        assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0), "{:?}", report.reasons);
    }
}

#[test]
fn the_node_of_a_pod_that_finished_need_not_report() {
    let report = open(unwatched_shop())
        .watched("n2", "2026-11-20T00:00:00Z", AT)
        .pod_with(
            "cart",
            ("Deployment", "shop", "cart"),
            "n9",
            &json!({"app": "cart"}),
            &json!({"phase": "Succeeded", "podIP": "10.1.2.90", "podIPs": [{"ip": "10.1.2.90"}]}),
            &json!({}),
        )
        .judge();
    assert_eq!(report.exit_status, 0);
}

#[test]
fn pods_of_a_relabelled_namespace_are_subjects() {
    let team = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: data}}}]}]}";
    let namespace =
        |team: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: data, labels: {{team: {team}}}}}\n");
    let stage = unwatched_shop()
        .live(&policy("shop", "it", team))
        .base("data.yaml", &namespace("data"))
        .head("data.yaml", &namespace("store"))
        .watched("n2", "2026-11-20T00:00:00Z", AT);
    // Both pods of the namespace run on n1.
    let report = stage.judge();
    assert_eq!((report.evidence.subjects, report.exit_status), (2, 2), "{:?}", report.evidence);
    assert_eq!(report.undecided[0].places, ["node n1"]);
    assert_eq!(stage.watched("n1", "2026-11-20T00:00:00Z", AT).judge().exit_status, 0);
}

#[test]
fn pods_of_a_relabelled_workload_are_subjects() {
    let stage = unwatched_shop()
        .live(&policy("shop", "it", EVERYBODY))
        .base("web.yaml", &workload("Deployment", "shop", "web", "{app: web}", "[]"))
        .head("web.yaml", &workload("Deployment", "shop", "web", "{app: front}", "[]"))
        .watched("n2", "2026-11-20T00:00:00Z", AT);
    let report = stage.judge();
    assert_eq!((report.evidence.subjects, report.exit_status), (1, 2), "{:?}", report.evidence);
}

#[test]
fn a_policy_of_a_cron_job_that_does_not_run_now_is_judged_by_its_last_runs() {
    let seen = json!({"start": "2026-11-20T03:00:00Z", "end": "2026-11-20T03:00:00Z"});
    let report = shop()
        .pod_with(
            "weekly",
            ("CronJob", "ops", "weekly"),
            "n2",
            &json!({"app": "weekly"}),
            &json!({"phase": "Succeeded", "podIP": "10.1.2.91", "podIPs": [{"ip": "10.1.2.91"}],
                "startTime": "2026-11-20T02:00:00Z", "containerStatuses": [{"name": "c", "image": "c", "imageID": "c", "ready": false,
                "restartCount": 0, "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-20T04:00:00Z"}}}]}),
            &json!({}),
        )
        .head("it.yaml", &policy("ops", "it", "{podSelector: {matchLabels: {app: weekly}}, policyTypes: [Egress]}"))
        .flow_with("10.1.2.91 -> cart TCP 8080", &seen)
        .judge();
    assert_eq!(denials(&report), ["Unresolved Egress weekly -> cart TCP 8080 by ops/it"]);
    assert_eq!(report.exit_status, 1);
    let it = &report.policies[0];
    assert_eq!(it.selected_pods, 0);
    assert_eq!(it.notes, ["it selects no running pod; the traffic is that of pods that ran in the window"]);
}

#[test]
fn pods_are_subjects_of_administrators_policies_too() {
    let admin = |team: &str| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: a}}\n\
             spec: {{priority: 1, subject: {{namespaces: {{matchLabels: {{team: {team}}}}}}}, ingress: [{{action: Allow, from: [{{namespaces: {{}}}}]}}]}}\n"
        )
    };
    let cart = |label: &str| workload("Deployment", "shop", "cart", &format!("{{app: cart, zone: {label}}}"), "[]");
    // Of `cart`, which runs on n2, selectors see something else: where nobody's look at it, that is no matter.
    let relabelled = unwatched_shop().base("cart.yaml", &cart("a")).head("cart.yaml", &cart("b")).watched(
        "n1",
        "2026-11-13T00:00:00Z",
        AT,
    );
    assert_eq!(relabelled.clone().judge().exit_status, 0);
    let report = relabelled.live(&admin("shop")).judge();
    assert_eq!(report.exit_status, 2, "{:?}", report.reasons);
    // What a policy selected before, in `ops`, may have been open by it.
    let narrowed = unwatched_shop().base("a.yaml", &admin("ops")).head("a.yaml", &admin("nobody"));
    let report = narrowed.watched("n1", "2026-11-13T00:00:00Z", AT).judge();
    assert_eq!(report.exit_status, 2, "{:?}", report.reasons);
    assert_eq!(report.undecided[0].places, ["node n2"]);
}

#[test]
fn flows_that_all_lie_outside_the_window_are_the_first_reason_and_its_options_are_named() {
    let early = |stage: Stage| {
        let times = json!({"start": "2026-10-01T08:00:00Z", "end": "2026-10-01T08:00:10Z"});
        let later = json!({"start": "2026-10-02T09:30:00Z", "end": "2026-10-02T09:30:10Z"});
        stage.flow_with("web -> cart TCP 8080", &times).flow_with("prom -> cart TCP 8080", &later)
    };
    let future = |stage: Stage| {
        let times = json!({"start": "2026-12-01T08:00:00Z", "end": "2026-12-01T08:00:10Z"});
        stage.flow_with("web -> cart TCP 8080", &times)
    };
    let closed = |stage: Stage| stage.head("it.yaml", &policy("shop", "it", NOBODY));
    let both = "all 2 flow records lie outside the window from 2026-11-14 12:00 UTC to 2026-11-21 12:00 UTC: 2026-10-01 08:00 UTC \
                to 2026-10-02 09:30 UTC";
    let one = "the only flow record lies outside the window from 2026-11-14 12:00 UTC to 2026-11-21 12:00 UTC: 2026-12-01 08:00 \
               UTC to 2026-12-01 08:00 UTC";
    for (case, report, decision, says) in [
        // Nothing is known of the window.
        ("before, unwatched", early(closed(unwatched_shop())).judge(), Decision::Undecided, both),
        ("after, unwatched", future(closed(unwatched_shop())).judge(), Decision::Undecided, one),
        (
            "named by a node before the window",
            closed(unwatched_shop())
                .flow_with(
                    "web -> cart TCP 8080",
                    &json!({"node": "n2", "start": "2026-10-01T08:00:00Z", "end": "2026-10-01T08:00:10Z"}),
                )
                .judge(),
            Decision::Undecided,
            "the only flow record lies outside the window",
        ),
        // The nodes were watched, and nothing was seen.
        ("before, watched", early(closed(shop())).judge(), Decision::MayMerge, both),
        ("after, watched", future(closed(shop())).judge(), Decision::MayMerge, one),
    ] {
        assert_eq!(report.decision, decision, "{case}: {:?}", report.reasons);
        let first = &report.reasons[0];
        assert!(first.contains(says) && first.contains("--at") && first.contains("--window"), "{case}: {first}");
        if decision == Decision::MayMerge {
            assert!(report.next_step.contains("--at") && report.next_step.contains("--window"), "{}", report.next_step);
        }
    }
    let some = early(closed(shop())).flow_with("web -> cart TCP 9", &json!({"outcome": "refused"})).judge();
    assert!(some.reasons.is_empty(), "{:?}", some.reasons);
    assert!(early(shop()).judge().reasons.is_empty());
}

#[test]
fn a_preview_without_evidence_does_not_say_that_nothing_is_left_to_do() {
    let allowed =
        |stage: Stage| stage.head("it.yaml", &audit("shop", "it", EVERYBODY)).flow("web -> cart TCP 8080").judge();
    assert_eq!(allowed(shop()).next_step, "No action is needed.");
    let unwatched = allowed(unwatched_shop());
    assert_eq!(unwatched.decision, Decision::MayMerge);
    assert!(unwatched.next_step.contains("make sure that flows are recorded"), "{}", unwatched.next_step);
}
