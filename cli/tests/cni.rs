//! `--cni`: which enforcer's treatment of policies is judged by, where it is set, and the note if it is not.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with other tests")]
mod foretell;
#[allow(dead_code, reason = "shared with other tests")]
mod source_repository;

use foretell::{Ended, Place, SNAPSHOT};
use serde_json::Value;
use source_repository::Repository;

const OBSERVED: &str = "--snapshot snapshot.yaml --flows flows.ndjson";

/// Allows pods by their addresses, which Cilium does not support.
const BY_BLOCK: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: prod}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}\n";

const CILIUM: &str = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: cilium-x5z2w, namespace: kube-system, labels: {k8s-app: cilium}, ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: cilium, uid: c, controller: true}]}\nspec: {nodeName: n1, hostNetwork: true, containers: [{name: agent, image: agent}]}\nstatus: {phase: Running, podIP: 192.168.7.1}\n";

/// A repository whose branch `topic` adds the policy; its base has these settings.
fn repository(settings: &str) -> Repository {
    let repository = Repository::new();
    repository.write(".foretell.yaml", settings);
    repository.commit();
    repository.branch("topic");
    repository.write("web.yaml", BY_BLOCK);
    repository.commit();
    repository
}

fn check(place: &Place, repository: &Repository, more: &str) -> Ended {
    let root = repository.path().display().to_string();
    place.run(&format!("check --repo {root} --base main --head topic {OBSERVED} --at 2026-11-21T02:00:00Z {more}"))
}

fn report(ended: &Ended, status: i32) -> Value {
    assert_eq!(ended.status, Some(status), "{}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_change_is_judged_as_the_enforcer_of_the_flag_does() {
    let (place, repository) = (Place::furnished(), repository("# nothing\n"));
    let upstream = report(&check(&place, &repository, "--format json"), 0);
    assert_eq!(upstream["cni"], "upstream");
    assert_eq!(upstream["dialects"][0]["cni"], "cilium", "{upstream:#}");
    assert_eq!(upstream["dialects"][0]["differences"][0]["enforcer"], "newlyDenied");
    let cilium = report(&check(&place, &repository, "--format json --cni cilium"), 1);
    assert_eq!((&cilium["cni"], &cilium["dialects"]), (&"cilium".into(), &Value::Null));
    let with_pods = "--format json --cni cilium,policy-cidr-match-mode=pods";
    assert_eq!(report(&check(&place, &repository, with_pods), 0)["cni"], "cilium,policy-cidr-match-mode=pods");
    let table = check(&place, &repository, "--format table");
    assert!(
        table.stdout.contains("Under Cilium 1 connection in use is judged differently: an ipBlock matches no pod"),
        "{}",
        table.stdout
    );
    let table = check(&place, &repository, "--format table --cni cilium");
    assert!(table.stdout.contains("Judged as cilium enforces."), "{}", table.stdout);
}

#[test]
fn settings_of_the_base_name_the_enforcer_and_the_flag_overrides_them() {
    let (place, repository) = (Place::furnished(), repository("cni: cilium\n"));
    assert_eq!(report(&check(&place, &repository, "--format json"), 1)["cni"], "cilium");
    assert_eq!(report(&check(&place, &repository, "--format json --cni upstream"), 0)["cni"], "upstream");
    // Settings of the change do not count.
    repository.branch("weaker");
    repository.write(".foretell.yaml", "cni: calico\n");
    repository.write("web.yaml", BY_BLOCK);
    repository.commit();
    let root = repository.path().display().to_string();
    let weaker = place.run(&format!(
        "check --repo {root} --base main --head weaker {OBSERVED} --at 2026-11-21T02:00:00Z --format json"
    ));
    assert_eq!(report(&weaker, 1)["cni"], "cilium");
}

#[test]
fn an_unknown_enforcer_is_refused_with_the_list_of_known_ones() {
    let (place, good) = (Place::furnished(), repository("# nothing\n"));
    for cni in ["flannel", "Cilium", "cilium,mode=nodes"] {
        let ended = check(&place, &good, &format!("--cni {cni}"));
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{cni}");
        assert!(ended.stderr.contains("--cni"), "{}", ended.stderr);
    }
    let ended = check(&place, &good, "--cni flannel");
    for choice in ["upstream", "cilium", "calico", "kube-router", "antrea", "weave"] {
        assert!(ended.stderr.contains(choice), "{choice}: {}", ended.stderr);
    }
    let ended = check(&place, &repository("cni: flannel\n"), "");
    assert_eq!(ended.status, Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains(".foretell.yaml at the base revision"), "{}", ended.stderr);
    assert!(ended.stderr.contains("choose one of upstream, "), "{}", ended.stderr);
}

#[test]
fn an_enforcer_found_in_the_snapshot_is_named_if_another_was_judged_by() {
    let (place, repository) = (Place::furnished(), repository("# nothing\n"));
    place.write("snapshot.yaml", [SNAPSHOT, CILIUM].concat());
    let noted = "this cluster runs Cilium (pods of kube-system/cilium): judge with --cni cilium";
    assert_eq!(report(&check(&place, &repository, "--format json"), 0)["notes"][0], noted);
    assert!(check(&place, &repository, "").stdout.contains("this cluster runs Cilium"));
    assert_eq!(report(&check(&place, &repository, "--format json --cni cilium"), 1)["notes"], Value::Array(Vec::new()));
    let evaluate = format!("evaluate {OBSERVED}");
    assert!(place.run(&evaluate).stderr.contains(noted));
    assert!(!place.run(&format!("{evaluate} --cni cilium")).stderr.contains(noted));
}

#[test]
fn verdicts_follow_the_enforcer_of_the_flag() {
    let place = Place::furnished();
    let policy = BY_BLOCK.replace("name: web,", "name: by-block,");
    place.write("snapshot.yaml", [SNAPSHOT, "---\n", &policy].concat());
    let of = |cni: &str| {
        let ended = place.run(&format!("evaluate {OBSERVED} --all --cni {cni}"));
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        let lines = ended.stdout.lines().filter(|line| line.contains("by-block"));
        let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        let [line] = &lines[..] else { panic!("{}", ended.stdout) };
        (line["verdict"].as_str().unwrap().to_owned(), line["message"].as_str().unwrap_or_default().to_owned())
    };
    let (verdict, message) = of("upstream");
    assert!(verdict == "Allow" && message.contains("enforcers differ"), "{message}");
    assert_eq!(of("calico"), ("Allow".to_owned(), String::new()));
    let (verdict, message) = of("cilium");
    assert!(verdict == "WouldDeny" && message.ends_with("but for Cilium an ipBlock matches no pod"), "{message}");
}
