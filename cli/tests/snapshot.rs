//! `foretell snapshot`, as a user runs it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod api_server;
mod foretell;

use std::fs;
use std::process::{Command, Stdio};

use api_server::ApiServer;
use foretell::{Ended, Place};
use serde_json::{Value, json};

/// A server, and a folder with a kubeconfig for it.
fn cluster() -> (ApiServer, Place) {
    let (server, place) = (ApiServer::start(), Place::new());
    place.write("kubeconfig", server.kubeconfig());
    (server, place)
}

/// A command that does not see this machine's clusters and proxies.
fn command(place: &Place, words: &str) -> Command {
    let mut command = place.command(words.split_whitespace());
    for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(name);
    }
    command.env("HOME", place.path());
    command
}

fn run(place: &Place, words: &str) -> Ended {
    command(place, words).output().unwrap().into()
}

const SNAPSHOT: &str = "snapshot --kubeconfig kubeconfig";

fn pod(number: usize) -> Value {
    json!({
        "metadata": {"name": format!("web-{number:05}"), "namespace": "shop", "uid": format!("uid-{number}"), "labels": {"app": "web"},
            "annotations": {"note": "hunter2"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "hunter2", "env": [{"name": "A", "value": "hunter2"}]}]},
        "status": {"phase": "Running", "podIP": format!("10.1.{}.{}", number / 250, number % 250), "startTime": "2026-11-21T10:00:00Z"},
    })
}

fn pods(numbers: impl Iterator<Item = usize>) -> Vec<Value> {
    numbers.map(pod).collect()
}

/// Names of the objects of a kind.
fn names(text: &str, kind: &str) -> Vec<String> {
    let documents = text.split("---\n").filter(|document| document.contains(&format!("\nkind: {kind}\n")));
    let name = |document: &str| document.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap().to_owned();
    documents.map(name).collect()
}

fn refused(ended: &Ended, message: &str) {
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains(message), "{message}\nis not in\n{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn a_snapshot_is_printed_with_a_summary_and_has_no_secrets() {
    let (server, place) = cluster();
    server.list("/api/v1/pods", &pods(0..2));
    let ended = run(&place, SNAPSHOT);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(names(&ended.stdout, "Pod"), ["web-00000", "web-00001"]);
    assert!(ended.stdout.contains("\ntaken: \"2026-11-21T12:00:00Z\"\n"), "the server's clock: {}", ended.stdout);
    assert!(ended.stdout.contains("\ncluster: cluster-one\n"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
    let summary = [
        format!("foretell: Snapshot of {}: 1 Namespace, 2 Pod.", server.url),
        "foretell: Kinds that this cluster does not define: AuditNetworkPolicy, AuditClusterNetworkPolicy, AuditException, AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy.".to_owned(),
    ];
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), summary);
}

#[test]
fn evaluate_reads_the_printed_snapshot() {
    let (server, place) = cluster();
    server.define("kguardian.dev", &[("v1alpha1", &["auditnetworkpolicies"])]);
    server.list("/api/v1/pods", &pods(1..3));
    let deny = json!({"metadata": {"name": "deny", "namespace": "shop"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
    server.list("/apis/kguardian.dev/v1alpha1/auditnetworkpolicies", &[deny]);
    place.write(
        "flows.ndjson",
        foretell::report("") + &foretell::flow("10.1.0.1", "10.1.0.2").replace("01:40", "11:40"),
    );
    let printed = run(&place, SNAPSHOT).stdout;
    let ended = place.run_with_input("evaluate --snapshot - --flows flows.ndjson", printed.as_bytes());
    assert!(ended.stdout.contains(r#""name":"deny"},"direction":"Ingress","verdict":"WouldDeny""#), "{}", ended.stderr);
}

#[test]
fn a_list_is_read_to_its_last_page() {
    let (server, place) = cluster();
    server.list("/api/v1/pods", &pods(0..1201));
    let ended = run(&place, SNAPSHOT);
    assert_eq!(names(&ended.stdout, "Pod").len(), 1201, "{}", ended.stderr);
    let queries: Vec<String> = server
        .requests()
        .into_iter()
        .filter(|request| request.path == "/api/v1/pods")
        .map(|request| request.query)
        .collect();
    assert_eq!(queries, ["limit=500", "limit=500&continue=500%3D", "limit=500&continue=1000%3D"]);
}

#[test]
fn a_list_that_expires_is_read_again_and_finally_in_one_piece() {
    let (server, place) = cluster();
    server.list("/api/v1/pods", &pods(0..1201));
    for _ in 0..3 {
        server.once("/api/v1/pods?limit=500&continue=1000", 410, "Expired");
    }
    let ended = run(&place, SNAPSHOT);
    let mut names = names(&ended.stdout, "Pod");
    names.dedup();
    assert_eq!(names.len(), 1201, "{}", ended.stderr);
    let requests = server.requests();
    let first_pages =
        requests.iter().filter(|request| request.path == "/api/v1/pods" && request.query == "limit=500").count();
    let whole = requests.iter().filter(|request| request.path == "/api/v1/pods" && request.query.is_empty()).count();
    assert_eq!((first_pages, whole), (3, 1));
}

#[test]
fn only_metadata_of_workloads_is_requested_and_every_request_is_authorised() {
    let (server, place) = cluster();
    run(&place, SNAPSHOT);
    for request in server.requests() {
        let metadata = request.headers["accept"].contains("as=PartialObjectMetadataList");
        let expected = ["namespaces", "statefulsets", "daemonsets", "replicasets", "cronjobs", "jobs"];
        let is_expected = expected.iter().any(|plural| request.path.ends_with(plural));
        assert_eq!(metadata, is_expected, "{}", request.path);
        assert_eq!(request.headers["authorization"], "Bearer hunter2");
    }
}

#[test]
fn a_kind_is_found_in_any_version_of_its_group_that_serves_it() {
    let (server, place) = cluster();
    server.define(
        "policy.networking.k8s.io",
        &[("v1alpha2", &["clusternetworkpolicies"]), ("v1alpha1", &["adminnetworkpolicies"])],
    );
    server.define("kguardian.dev", &[("v1beta1", &["auditnetworkpolicies"])]);
    let admin = json!({"metadata": {"name": "all"}, "spec": {"priority": 5}});
    server.list("/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies", &[admin]);
    let ended = run(&place, SNAPSHOT);
    assert_eq!(names(&ended.stdout, "AdminNetworkPolicy"), ["all"], "{}", ended.stderr);
    let not_served = ended.stderr.lines().last().unwrap();
    assert!(
        not_served.contains(": AuditNetworkPolicy, "),
        "one of another version is not the one that is read: {not_served}"
    );
    assert!(not_served.ends_with("AuditException, BaselineAdminNetworkPolicy."), "{not_served}");
}

#[test]
fn policies_of_the_cni_are_listed_and_those_of_others_are_not_missed() {
    let (server, place) = cluster();
    server.define("cilium.io", &[("v2", &["ciliumnetworkpolicies", "ciliumnodes"])]);
    server.define("crd.projectcalico.org", &[("v1", &["networkpolicies"])]);
    server.define("projectcalico.org", &[("v3", &["networkpolicies", "globalnetworkpolicies"])]);
    let named = |name: &str| json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"selector": "all()"}});
    server.list("/apis/cilium.io/v2/ciliumnetworkpolicies", &[named("cilium")]);
    server.list("/apis/crd.projectcalico.org/v1/networkpolicies", &[named("calico")]);
    server.list("/apis/projectcalico.org/v3/networkpolicies", &[named("the-same-again")]);
    server.list("/apis/projectcalico.org/v3/globalnetworkpolicies", &[named("global")]);
    let ended = run(&place, SNAPSHOT);
    assert_eq!(names(&ended.stdout, "CiliumNetworkPolicy"), ["cilium"], "{}", ended.stderr);
    assert_eq!(names(&ended.stdout, "NetworkPolicy"), ["calico"], "{}", ended.stderr);
    assert_eq!(names(&ended.stdout, "GlobalNetworkPolicy"), ["global"], "{}", ended.stderr);
    assert!(ended.stdout.contains("selector: \"all()\""), "{}", ended.stdout);
    let not_served = ended.stderr.lines().last().unwrap();
    assert!(not_served.ends_with("BaselineAdminNetworkPolicy, ClusterNetworkPolicy."), "{not_served}");
}

#[test]
fn a_kind_that_may_not_be_listed_is_named_with_the_fix_and_nothing_is_written() {
    let (server, place) = cluster();
    server.list("/api/v1/pods", &pods(0..2));
    server.once("/apis/apps/v1/replicasets", 403, "replicasets.apps is forbidden: User \"me\" cannot list");
    let ended = run(&place, &format!("{SNAPSHOT} --output s.yaml"));
    refused(&ended, "you may not list replicasets.apps in all namespaces");
    refused(&ended, "manifests/snapshot");
    refused(&ended, "User \"me\" cannot list");
    assert!(!place.path().join("s.yaml").exists());
}

#[test]
fn every_failure_is_one_line() {
    let (server, place) = cluster();
    place.write(
        "broken.yaml",
        server.kubeconfig().replace("}}]", "").replace("users", "users: [hunter2: {\n - token: hunter2"),
    );
    place.write("none.yaml", server.kubeconfig().replace("current-context: here\n", ""));
    place.write("closed.yaml", server.kubeconfig().replace(&server.url, "http://127.0.0.1:1"));
    place.write(
        "exec.yaml",
        server.kubeconfig().replace(
            "{token: hunter2}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}}",
        ),
    );
    place.write(
        "failing.yaml",
        server.kubeconfig().replace(
            "{token: hunter2}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'echo hunter2; echo session has expired >&2; exit 3'], interactiveMode: Never}}",
        ),
    );
    for (words, message) in [
        ("snapshot", "there is no kubeconfig at"),
        ("snapshot --kubeconfig nowhere", "nowhere: cannot be read: No such file or directory"),
        ("snapshot --kubeconfig broken.yaml", "broken.yaml: is not a kubeconfig"),
        (
            "snapshot --kubeconfig none.yaml",
            "none.yaml: there is no current context; choose one with --context or kubectl config use-context: here, broken",
        ),
        ("snapshot --kubeconfig kubeconfig --context prod", "there is no context \"prod\"; choose one of here, broken"),
        ("snapshot --kubeconfig kubeconfig --context broken", "there is no cluster \"none\", which the context names"),
        ("snapshot --kubeconfig closed.yaml", "http://127.0.0.1:1: cannot be reached: Connection refused"),
        (
            "snapshot --kubeconfig exec.yaml",
            "the credential plugin no-such-plugin cannot be started: No such file or directory",
        ),
        ("snapshot --kubeconfig failing.yaml", "the credential plugin sh failed (exit status: 3): session has expired"),
        ("snapshot --kubeconfig kubeconfig --output nowhere/s.yaml", "nowhere/s.yaml: cannot write the snapshot"),
    ] {
        refused(&run(&place, words), message);
    }
    server.once("/apis", 401, "Unauthorized");
    refused(&run(&place, SNAPSHOT), "the credentials were not accepted (401)");
    server.once("/api/v1/nodes", 500, "etcdserver: request timed out");
    refused(&run(&place, SNAPSHOT), "GET /api/v1/nodes: 500 Internal Server Error: etcdserver: request timed out");
    server.once("/apis/discovery.k8s.io/v1/endpointslices", 404, "");
    refused(&run(&place, SNAPSHOT), "does not serve endpointslices.discovery.k8s.io as discovery.k8s.io/v1");
    server.silent("/api/v1/services");
    refused(&run(&place, &format!("{SNAPSHOT} --request-timeout 1s")), "no answer to GET /api/v1/services in 1 s");
}

#[test]
fn a_request_to_a_busy_server_is_repeated() {
    let (server, place) = cluster();
    server.once("/api/v1/nodes", 429, "too many requests");
    server.once("/api/v1/services", 503, "not ready");
    assert_eq!(run(&place, SNAPSHOT).status, Some(0));
}

#[test]
fn credentials_may_come_from_a_plugin() {
    let (server, place) = cluster();
    let printed =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"by-plugin"}}"#;
    let plugin = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: echo, args: ['{printed}'], interactiveMode: Never}}}}"
    );
    place.write("kubeconfig", server.kubeconfig().replace("{token: hunter2}", &plugin));
    let ended = run(&place, SNAPSHOT);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(server.requests().iter().all(|request| request.headers["authorization"] == "Bearer by-plugin"));
}

#[test]
fn the_kubeconfig_is_found_as_kubectl_finds_it() {
    let (server, place) = cluster();
    let listed = format!("missing:{}", place.path().join("kubeconfig").display());
    let ended: Ended = command(&place, "snapshot").env("KUBECONFIG", listed).output().unwrap().into();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    place.write(".kube/config", server.kubeconfig());
    assert_eq!(run(&place, "snapshot").status, Some(0));
}

const APPEND: &str = "snapshot --kubeconfig kubeconfig --append s.yaml";

#[test]
fn append_keeps_pods_that_have_gone() {
    let (server, place) = cluster();
    server.list("/api/v1/pods", &pods(0..3));
    assert_eq!(run(&place, APPEND).status, Some(0), "a file that does not exist is created");
    server.list("/api/v1/pods", &pods(2..4));
    server.at("Sat, 21 Nov 2026 13:00:00 GMT");
    let ended = run(&place, APPEND);
    assert!(ended.stderr.contains("foretell: 2 pods that have gone are kept."), "{}", ended.stderr);
    let text = fs::read_to_string(place.path().join("s.yaml")).unwrap();
    assert_eq!(names(&text, "Pod"), ["web-00000", "web-00001", "web-00002", "web-00003"]);
    assert_eq!(text.matches("foretell.dev/gone-at: \"2026-11-21T12:00:00Z\"").count(), 2, "{text}");
    server.at("Sat, 21 Nov 2026 13:00:01 GMT");
    run(&place, &format!("{APPEND} --keep 1h"));
    let text = fs::read_to_string(place.path().join("s.yaml")).unwrap();
    assert_eq!(names(&text, "Pod"), ["web-00002", "web-00003"]);
}

#[test]
fn a_file_that_cannot_be_renewed_is_not_changed() {
    let (server, place) = (ApiServer::start(), Place::furnished());
    place.write("kubeconfig", server.kubeconfig());
    server.list("/api/v1/pods", &pods(0..3));
    run(&place, APPEND);
    let whole = fs::read_to_string(place.path().join("s.yaml")).unwrap();
    let short = whole.rsplit_once("---").unwrap().0.to_owned();
    let other = whole.replace("cluster-one", "cluster-two");
    for (text, message) in [
        (short.as_str(), "s.yaml: contains 2 objects of kind Pod, and its first document states 3"),
        (other.as_str(), "s.yaml: is a snapshot of another cluster"),
        (foretell::SNAPSHOT, "s.yaml: the first document is not of kind Snapshot"),
    ] {
        place.write("s.yaml", text);
        refused(&run(&place, APPEND), message);
        assert_eq!(fs::read_to_string(place.path().join("s.yaml")).unwrap(), text);
    }
    place.write("s.yaml", &short);
    let ended = place.run("evaluate --snapshot s.yaml --flows flows.ndjson");
    refused(
        &ended,
        "s.yaml: contains 2 objects of kind Pod, and its first document states 3: the file was truncated or changed; take a new snapshot",
    );
}

#[test]
fn an_interrupted_run_leaves_the_previous_file_and_no_other() {
    for signal in ["INT", "TERM"] {
        let (server, place) = cluster();
        run(&place, APPEND);
        let before = fs::read_to_string(place.path().join("s.yaml")).unwrap();
        server.list("/api/v1/pods", &pods(0..3));
        server.silent("/api/v1/nodes");
        let running = command(&place, APPEND).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        server.wait_for("/api/v1/nodes", 2);
        assert!(
            Command::new("kill").arg(format!("-{signal}")).arg(running.id().to_string()).status().unwrap().success()
        );
        let ended: Ended = running.wait_with_output().unwrap().into();
        refused(&ended, "interrupted; nothing was written");
        assert_eq!(fs::read_to_string(place.path().join("s.yaml")).unwrap(), before);
        let mut files: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["kubeconfig", "s.yaml"]);
    }
}

#[cfg(unix)]
#[test]
fn a_file_keeps_its_permissions_and_a_link_stays_a_link() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (_server, place) = cluster();
    let path = place.path().join("s.yaml");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    run(&place, APPEND);
    assert_eq!(mode(&path), 0o600, "readable by its owner only at first");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("s.yaml", place.path().join("link.yaml")).unwrap();
    assert_eq!(run(&place, &format!("{SNAPSHOT} --append link.yaml")).status, Some(0));
    assert_eq!(mode(&path), 0o640);
    assert!(fs::symlink_metadata(place.path().join("link.yaml")).unwrap().is_symlink());
}
