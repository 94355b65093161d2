//! `foretell check` and the small commands, as a user or a workflow runs them.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod foretell;
#[allow(dead_code, reason = "shared with other tests")]
mod source_repository;

use std::fs::{self, File};

use foretell::{Ended, Place, SNAPSHOT, flow, report};
use serde_json::Value;
use source_repository::Repository;

const OBSERVED: &str = "--snapshot snapshot.yaml --flows flows.ndjson";
const AT: &str = "--at 2026-11-21T02:00:00Z";

/// A repository whose base has the audit policy of the snapshot.
fn repository() -> Repository {
    let repository = Repository::new();
    repository.write("policies/web.yaml", AUDIT);
    repository.commit();
    repository
}

const AUDIT: &str = "apiVersion: kguardian.dev/v1alpha1\nkind: AuditNetworkPolicy\nmetadata: {name: web-deny, namespace: prod}\nspec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}\n";

/// The audit policy as an enforced one.
fn promoted() -> String {
    AUDIT.replace("kguardian.dev/v1alpha1", "networking.k8s.io/v1").replace("AuditNetworkPolicy", "NetworkPolicy")
}

/// The enforced policy, with a rule that allows the client.
fn fixed() -> String {
    promoted().replace(
        "policyTypes: [Ingress]",
        "policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]",
    )
}

const EXCEPTION: &str = "apiVersion: foretell.dev/v1alpha1\nkind: AuditException\nmetadata: {name: old-client, namespace: prod}\nspec:\n  policyRef: {kind: AuditNetworkPolicy, name: web-deny}\n  direction: Ingress\n  peers: [{podSelector: {matchLabels: {app: client}}}]\n  reason: it moves away\n";

fn check(place: &Place, repository: &Repository, head: &str, more: &str) -> Ended {
    let root = repository.path().display().to_string();
    place.run(&format!("check --repo {root} --base main --head {head} {OBSERVED} {AT} {more}"))
}

/// Runs in every format, checks that all agree, and returns the report as data.
fn checked(place: &Place, repository: &Repository, head: &str, more: &str, status: i32) -> Value {
    let json = check(place, repository, head, &format!("{more} --format json"));
    assert_eq!(json.status, Some(status), "{}{}", json.stdout, json.stderr);
    assert_eq!(json.stderr, "");
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["schemaVersion"], 2);
    assert_eq!(report["exitStatus"], status);
    let decisions: &[&str] = match status {
        0 => &["mayMerge"],
        1 => &["blocked", "pending"],
        _ => &["undecided"],
    };
    assert!(decisions.contains(&report["decision"].as_str().unwrap()), "{}", report["decision"]);
    for format in ["markdown", "table"] {
        let ended = check(place, repository, head, &format!("{more} --format {format}"));
        assert_eq!(ended.status, Some(status), "{format}: {}{}", ended.stdout, ended.stderr);
        let headline = report["headline"].as_str().unwrap();
        assert!(ended.stdout.lines().next().unwrap().contains(headline), "{headline}: {}", ended.stdout);
        assert!(ended.stdout.ends_with('\n') && ended.stderr.is_empty(), "{format}: {}", ended.stderr);
    }
    report
}

#[test]
fn a_promotion_that_forgot_a_caller_is_blocked_and_its_fixed_form_may_merge() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("promote");
    repository.write("policies/web.yaml", &promoted());
    repository.commit();
    let report = checked(&place, &repository, "promote", "", 1);
    let [denial] = &report["denials"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&denial["state"], &denial["policies"][0]["reason"]), (&"unresolved".into(), &"NoRules".into()));
    assert_eq!(report["policies"][0]["promotion"]["identical"], true, "{report}");
    let markdown = check(&place, &repository, "promote", "").stdout;
    for part in ["client", "web", "8080", denial["id"].as_str().unwrap()] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }

    repository.write("policies/web.yaml", &fixed());
    repository.commit();
    let report = checked(&place, &repository, "promote", "", 0);
    assert_eq!(report["policies"][0]["promotion"]["identical"], false, "{report}");
    checked(&place, &repository, "promote~1", "", 1);
}

#[test]
fn a_change_that_cannot_be_decided_is_neither_blocked_nor_may_it_merge() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("promote");
    repository.write("policies/web.yaml", &promoted().replace("podSelector", "podSelectr"));
    repository.commit();
    let report = checked(&place, &repository, "promote", "", 2);
    assert!(report["undecided"][0].to_string().contains("did you mean podSelector?"), "{report}");

    // A subject's node without an agent.
    repository.write("policies/web.yaml", &fixed());
    repository.commit();
    place.write("flows.ndjson", flow("10.1.0.6", "10.1.0.5").replace("\"n1\"", "\"n2\""));
    let report = checked(&place, &repository, "promote", "", 2);
    assert_eq!(report["undecided"][0]["places"][0], "node n1", "{report}");
}

#[test]
fn a_branch_behind_its_base_is_judged_as_merged() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("promote");
    repository.write("policies/web.yaml", &fixed());
    repository.commit();
    repository.checkout("main");
    repository.write("policies/db.yaml", SNAPSHOT.rsplit("---\n").next().unwrap());
    repository.commit();
    let report = checked(&place, &repository, "promote", "", 0);
    let policies = report["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 1, "the branch removes nothing that came to its base later: {report}");
    assert_eq!(policies[0]["policy"]["name"], "web-deny");
    let state = repository.state();
    check(&place, &repository, "promote", "");
    assert_eq!(repository.state(), state);
}

#[test]
fn a_change_of_files_that_are_not_read_may_merge() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("words");
    repository.write("README.md", "kind: NetworkPolicy\n");
    repository.write("policies/web.yaml", &format!("# why\n{AUDIT}"));
    repository.commit();
    let report = checked(&place, &repository, "words", "", 0);
    assert!(report["headline"].as_str().unwrap().contains("no policy changed"), "{report}");
}

#[test]
fn a_preview_of_an_audit_policy_shows_what_it_would_deny_and_blocks_nothing() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("audit");
    repository.write("policies/all.yaml", &AUDIT.replace("web-deny", "all").replace("matchLabels: {app: web}", ""));
    repository.commit();
    let report = checked(&place, &repository, "audit", "", 0);
    assert_eq!(report["previews"][0]["verdicts"]["wouldDeny"], 2, "{report}");
    assert_eq!(report["denials"], serde_json::json!([]));
}

#[test]
fn an_exception_of_the_change_counts_unless_the_base_requires_it_there() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("promote");
    repository.write("policies/web.yaml", &promoted());
    repository.write("policies/exception.yaml", EXCEPTION);
    repository.commit();
    let report = checked(&place, &repository, "promote", "", 0);
    assert_eq!(
        (&report["exceptions"][0]["inChange"], &report["denials"][0]["state"]),
        (&true.into(), &"accepted".into())
    );

    // The branch cannot lift what its base requires.
    repository.write(".foretell.yaml", "exceptions: {requireOnBase: false}\n");
    repository.commit();
    repository.checkout("main");
    repository.branch("strict");
    repository.write(".foretell.yaml", "exceptions: {requireOnBase: true}\n");
    repository.commit();
    let root = repository.path().display().to_string();
    let strict = place.run(&format!("check --repo {root} --base strict --head promote~1 {OBSERVED} {AT}"));
    assert_eq!(strict.status, Some(1), "{}{}", strict.stdout, strict.stderr);
    assert!(strict.stdout.contains("does not count yet"), "{}", strict.stdout);
    repository.write("policies/exception.yaml", EXCEPTION);
    repository.commit();
    let strict = place.run(&format!("check --repo {root} --base strict --head promote~1 {OBSERVED} {AT}"));
    assert_eq!(strict.status, Some(0), "{}{}", strict.stdout, strict.stderr);
}

#[test]
fn window_and_clock_decide_which_traffic_and_which_reports_count() {
    let (place, repository) = (Place::furnished(), repository());
    let flows = flow("10.1.0.6", "10.1.0.5") + &report("");
    place.write("flows.ndjson", flows);
    repository.branch("promote");
    repository.write("policies/web.yaml", &promoted());
    repository.commit();
    let root = repository.path().display().to_string();
    let run = |more: &str| {
        let ended =
            place.run(&format!("check --repo {root} --base main --head promote {OBSERVED} {more} --format json"));
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{more}: {}", ended.stderr));
        assert_eq!(ended.status, Some(i32::try_from(report["exitStatus"].as_i64().unwrap()).unwrap()));
        report
    };
    let report = run(AT);
    assert_eq!((&report["decision"], &report["at"]), (&"blocked".into(), &"2026-11-21T02:00:00Z".into()));
    let report = run(&format!("{AT} --window 10m"));
    assert_eq!((&report["decision"], &report["evidence"]["flowsOutsideWindow"]), (&"mayMerge".into(), &1.into()));
    let report = run(&format!("{AT} --window 10m --min-window 36h"));
    assert_eq!((&report["decision"], &report["evidence"]["minimumSeconds"]), (&"pending".into(), &129_600.into()));
    let report = run(&format!("{AT} --window 10m --min-window 1d"));
    assert_eq!(report["decision"], "mayMerge", "{report}");
    assert_eq!(run(&format!("{AT} --min-window 36h"))["decision"], "blocked", "blocked beats pending");
    // Two weeks later the window has no reports.
    let report = run("--at 2026-12-05T02:00:00Z");
    assert_eq!((&report["decision"], &report["undecided"][0]["places"][0]), (&"undecided".into(), &"node n1".into()));
    // The default of --at is now.
    assert_ne!(run("")["at"], "2026-11-21T02:00:00Z");
}

#[test]
fn a_report_after_the_flows_exempts_its_nodes_addresses() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("promote");
    repository.write("policies/web.yaml", &promoted());
    repository.commit();
    let probe = flow("10.1.0.1", "10.1.0.5");
    place.write("flows.ndjson", &probe);
    checked(&place, &repository, "promote", "", 1);
    let flows = probe + &report("\"10.1.0.1\"");
    place.write("flows.ndjson", &flows);
    checked(&place, &repository, "promote", "", 0);
    let root = repository.path().display().to_string();
    let words = format!("check --repo {root} --base main --head promote --snapshot snapshot.yaml --flows - {AT}");
    assert_eq!(place.run_with_input(&words, flows.as_bytes()).status, Some(0), "from standard input");
}

#[test]
fn two_folders_are_compared_like_two_revisions() {
    let place = Place::furnished();
    place.write("old/policies/web.yaml", AUDIT);
    place.write("new/policies/web.yaml", promoted());
    place.write("new/other/broken.yaml", "kind: NetworkPolicy\nspec: [");
    let words = format!("check --base-dir old --head-dir new {OBSERVED} {AT}");
    assert_eq!(place.run(&words).status, Some(2), "a policy that cannot be read");
    let ended = place.run(&format!("{words} --path policies"));
    assert_eq!(ended.status, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("Judged `new` against `old`"), "{}", ended.stdout);
    place.write("new/policies/web.yaml", fixed());
    assert_eq!(place.run(&format!("{words} --path policies/*.yaml")).status, Some(0));
}

#[test]
fn the_namespace_option_applies_to_objects_without_one() {
    let (place, repository) = (Place::furnished(), repository());
    repository.branch("promote");
    repository.write("policies/web.yaml", &promoted().replace(", namespace: prod", ""));
    repository.commit();
    checked(&place, &repository, "promote", "", 0);
    checked(&place, &repository, "promote", "--namespace prod", 1);
}

#[test]
fn rendered_manifests_are_compared() {
    let (place, repository) = (Place::furnished(), repository());
    repository.write("chart/templates/web.yaml", &promoted().replace("web-deny", "{{ .Release.Name }}"));
    repository.write("chart/enabled", "false");
    repository.commit();
    repository.branch("enable");
    repository.write("chart/enabled", "true");
    repository.commit();
    let root = repository.path().display().to_string();
    let words = format!("check --repo {root} --base main --head enable {OBSERVED} {AT} --format json --render");
    let render = "if $(cat chart/enabled); then sed 's/{{ .Release.Name }}/web/' chart/templates/*.yaml; fi";
    let ended: Ended = place.command(words.split(' ').chain([render])).output().unwrap().into();
    assert_eq!(ended.status, Some(1), "{}{}", ended.stdout, ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["policies"][0]["policy"]["name"], &report["exitStatus"]), (&"web".into(), &1.into()));
}

#[test]
fn a_relabelling_alone_is_judged() {
    let (place, repository) = (Place::furnished(), repository());
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: prod, labels: {app: client}}\nspec: {containers: [{name: c, image: i}]}\n";
    repository.write("client.yaml", pod);
    repository.commit();
    repository.branch("relabel");
    repository.write("client.yaml", &pod.replace("app: client", "app: clients"));
    repository.commit();
    let report = checked(&place, &repository, "relabel", "", 1);
    assert_eq!(report["denials"][0]["policies"][0]["cause"], "identity", "{report}");
}

#[test]
fn a_report_that_cannot_be_written_never_ends_with_exit_status_0() {
    let (place, repository) = (Place::furnished(), repository());
    let root = repository.path().display().to_string();
    let words = format!("check --repo {root} --base main --head main {OBSERVED} {AT}");
    for format in ["markdown", "json", "table"] {
        let words = format!("{words} --format {format}");
        assert_eq!(place.run(&words).status, Some(0), "or this test proves nothing");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended: Ended = place.command(words.split(' ')).stdout(writer).output().unwrap().into();
        assert_eq!((ended.status, ended.stderr.contains("standard output: Broken pipe")), (Some(2), true), "{ended:?}");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended: Ended = place.command(words.split(' ')).stdout(full).output().unwrap().into();
        assert_eq!((ended.status, ended.stderr.contains("No space left")), (Some(2), true), "{ended:?}");
    }
}

#[test]
fn crds_prints_three_definitions_that_parse() {
    let ended = Place::new().run("crds");
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    let documents = foretell_objects::manifest::documents::documents(&ended.stdout);
    let names: Vec<_> =
        documents.iter().map(|document| document.value.as_ref().unwrap()["spec"]["names"]["kind"].clone()).collect();
    assert_eq!(names, ["AuditNetworkPolicy", "AuditClusterNetworkPolicy", "AuditException"]);
    for document in documents {
        assert_eq!(document.value.unwrap()["kind"], "CustomResourceDefinition");
    }
}

#[test]
fn report_schema_prints_a_schema_that_names_every_field_of_a_report() {
    let (place, repository) = (Place::furnished(), repository());
    let ended = place.run("report-schema");
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    let schema: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{schema}");
    let report = checked(&place, &repository, "main", "", 0);
    for field in report.as_object().unwrap().keys() {
        assert!(schema["properties"].get(field).is_some(), "{field}");
    }
}

#[test]
fn the_action_passes_flags_that_exist() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let script = fs::read_to_string(format!("{root}/scripts/action-check")).unwrap();
    let help = Place::new().run("check --help").stdout;
    let passed = script.lines().filter(|line| line.contains("set -- ")).flat_map(|line| line.split('"'));
    let flags: Vec<_> = passed.filter_map(|word| word.strip_prefix("--")?.split('=').next()).collect();
    assert!(flags.contains(&"min-window") && flags.len() > 8, "{flags:?}");
    for flag in flags {
        assert!(help.contains(&format!("--{flag} <")), "--{flag} is not in {help}");
    }
}
