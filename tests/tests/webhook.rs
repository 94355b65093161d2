//! The webhook, called by a real API server: by the Service of its manifests, over TLS that the webhook made itself and told
//! the API server to trust, with the rights that the manifests give and no others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use foretell_tests::control_plane::ControlPlane;
use foretell_tests::kubectl::{Ended, Kubectl};
use foretell_tests::machine::root;
use foretell_tests::patience::until;
use serde_json::{Value, json};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const PROMOTED_FROM: &str = "foretell.dev/promoted-from";
const CONFIGURATIONS: [&str; 2] = ["validatingwebhookconfiguration/foretell", "mutatingwebhookconfiguration/foretell"];

/// The webhook on this machine, whose loopback interface a box without nodes shares.
struct Webhook {
    child: Child,
    port: u16,
    log: PathBuf,
    folder: tempfile::TempDir,
}

impl Webhook {
    /// Starts it in a namespace that has nothing but its account.
    fn start(kubectl: &Kubectl) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = as_account(kubectl, folder.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = folder.path().join("log");
        // The program beside this test's; `cargo test --workspace` builds both.
        let program = env::current_exe().unwrap().ancestors().nth(2).unwrap().join("foretell-webhook");
        assert!(program.exists(), "{} is missing: cargo build -p foretell-webhook", program.display());
        let child = Command::new(program)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("KUBECONFIG", kubeconfig)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, port, log, folder }
    }

    /// An API server takes an `ExternalName` to be where a webhook is. Its certificate is still asked for by the Service's name.
    fn be_reached(&self, kubectl: &Kubectl) {
        kubectl.run(&["delete", "service", "--namespace=foretell", "foretell-webhook"]);
        let metadata = json!({"name": "foretell-webhook", "namespace": "foretell"});
        let spec = json!({"type": "ExternalName", "externalName": "127.0.0.1"});
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}).to_string());
        for configuration in CONFIGURATIONS {
            let webhooks = kubectl.json(&["get", configuration])["webhooks"].as_array().unwrap().len();
            let replace = |path: String, value: Value| json!({"op": "replace", "path": path, "value": value});
            let patch: Vec<Value> = (0..webhooks)
                .flat_map(|number| {
                    let port = format!("/webhooks/{number}/clientConfig/service/port");
                    // What is not answered is an error here: a webhook that cannot be reached passes no test.
                    let policy = format!("/webhooks/{number}/failurePolicy");
                    [replace(port, json!(self.port)), replace(policy, json!("Fail"))]
                })
                .collect();
            kubectl.run(&["patch", configuration, "--type=json", "--patch", &Value::from(patch).to_string()]);
        }
    }

    fn wait_until_it_says(&self, what: &str) {
        until(what, || if self.said().contains(what) { Ok(()) } else { Err(self.said()) });
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("The webhook in {} said:\n{}", self.folder.path().display(), self.said());
        }
    }
}

/// A kubeconfig of the account that the webhook's manifests make.
fn as_account(kubectl: &Kubectl, folder: &Path) -> PathBuf {
    let token = kubectl.run(&["create", "token", "--namespace=foretell", "foretell-webhook"]);
    let mut config: Value = serde_json::from_str(&kubectl.run(&["config", "view", "--raw", "--output=json"])).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let path = folder.join("account.kubeconfig");
    fs::write(&path, config.to_string()).unwrap();
    path
}

fn apply_folder(kubectl: &Kubectl, how: &str, folder: &str) {
    kubectl.run(&["apply", "--server-side", how, root().join(folder).to_str().unwrap()]);
}

/// A control plane with what the manifests hold.
fn installed() -> Option<ControlPlane> {
    let control_plane = ControlPlane::start()?;
    let kubectl = control_plane.kubectl();
    kubectl.run(&["create", "namespace", "foretell"]);
    kubectl.run(&["create", "namespace", "shop"]);
    apply_folder(kubectl, "--filename", "manifests/crds");
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    apply_folder(kubectl, "--kustomize", "manifests/webhook");
    Some(control_plane)
}

/// The same, whose API server asks the webhook.
fn admitted() -> Option<(ControlPlane, Webhook)> {
    let control_plane = installed()?;
    let kubectl = control_plane.kubectl();
    let webhook = Webhook::start(kubectl);
    webhook.be_reached(kubectl);
    until("the webhook is asked, and trusted", || {
        let ended =
            create(kubectl, &audit("AuditNetworkPolicy", &json!({"podSelector": {}, "ingress": [{"from": [{}]}]})));
        if ended.stderr.contains("must specify a peer") { Ok(()) } else { Err(ended.stderr + &webhook.said()) }
    });
    Some((control_plane, webhook))
}

fn create(kubectl: &Kubectl, object: &Value) -> Ended {
    kubectl.attempt_with(&["create", "--namespace=shop", "--filename=-"], &object.to_string())
}

fn audit(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": kind, "metadata": {"name": "web"}, "spec": spec})
}

fn enforced(spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"}, "spec": spec})
}

/// Specs that no API server takes, each for a reason of its own.
fn bad_specs() -> Vec<Value> {
    let select = |requirement: &Value| json!({"podSelector": {"matchExpressions": [requirement]}});
    let from = |peer: &Value| json!({"podSelector": {}, "ingress": [{"from": [peer]}]});
    let to = |peer: &Value| json!({"podSelector": {}, "egress": [{}, {"to": [{"podSelector": {}}, peer]}]});
    let port = |port: &Value| json!({"podSelector": {}, "ingress": [{"ports": [port]}]});
    let block = |cidr: &str, except: &Value| json!({"ipBlock": {"cidr": cidr, "except": except}});
    vec![
        from(&block("10.0.0.0/33", &json!([]))),
        from(&block("10.0.0.0", &json!([]))),
        from(&block("", &json!([]))),
        to(&block("what \"is\" this\t\\", &json!([]))),
        from(&block("10.1.2.3/8", &json!([]))),
        from(&block("010.0.0.0/8", &json!([]))),
        to(&block("::ffff:10.0.0.0/104", &json!([]))),
        from(&block("10.0.0.0/8", &json!(["11.0.0.0/16"]))),
        from(&block("10.0.0.0/8", &json!(["10.0.0.0/8"]))),
        from(&block("10.0.0.0/8", &json!(["10.1.0.0/16", "10.300.0.0/16"]))),
        from(&json!({})),
        from(&json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
        port(&json!({"port": 0})),
        port(&json!({"port": 65536, "protocol": "UDP"})),
        port(&json!({"port": "Not_A_Port"})),
        port(&json!({"port": "80"})),
        port(&json!({"port": "a--very-long-port-name-"})),
        port(&json!({"port": 8080, "endPort": 80})),
        port(&json!({"port": "http", "endPort": 8080})),
        port(&json!({"endPort": 8080})),
        port(&json!({"port": 80, "protocol": "ICMP"})),
        json!({"podSelector": {}, "policyTypes": ["ingress"]}),
        json!({"podSelector": {"matchLabels": {"-a": "b"}}}),
        json!({"podSelector": {"matchLabels": {"a": "b c"}}}),
        json!({"podSelector": {"matchLabels": {"a/b/c": "d"}}}),
        json!({"podSelector": {"matchLabels": {"/b": "d"}}}),
        json!({"podSelector": {"matchLabels": {"A_B/": "d"}}}),
        json!({"podSelector": {"matchLabels": {"a".repeat(64): "b".repeat(64)}}}),
        select(&json!({"key": "a", "operator": "In"})),
        select(&json!({"key": "a", "operator": "NotIn", "values": []})),
        select(&json!({"key": "a", "operator": "Exists", "values": ["b"]})),
        select(&json!({"key": "a b", "operator": "In", "values": ["ok", "not ok"]})),
        from(&json!({"namespaceSelector": {"matchExpressions": [{"key": "", "operator": "Exists"}]}})),
        json!({"podSelector": {}, "ingress": [{"from": [{}], "ports": [{"port": 0}, {"port": 80, "endPort": 8}]}]}),
    ]
}

/// Specs that the schema of our kinds refuses before anybody is asked, by field, in words of its own.
fn bad_by_schema() -> Vec<(Value, &'static str)> {
    let operator = json!({"key": "a", "operator": "Is", "values": ["b"]});
    let port = json!({"port": 8080, "endPort": 70000});
    vec![
        (json!({"podSelector": {"matchExpressions": [operator]}}), "spec.podSelector.matchExpressions[0].operator: "),
        (
            json!({"podSelector": {}, "ingress": [{"ports": [port]}]}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 70000: ",
        ),
        (json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Ingress"]}), "spec.policyTypes: "),
    ]
}

/// Everything that is said, as kubectl says it, less the kind and the words of the error itself.
fn complaints(said: &str) -> Vec<String> {
    let said = said.split_once("is invalid: ").unwrap_or_else(|| panic!("{said}")).1;
    let mut said: Vec<String> = said.split("\n* ").map(|line| line.trim().to_owned()).collect();
    said.retain(|line| !line.is_empty());
    said.sort();
    said
}

#[test]
fn audit_policies_are_refused_in_the_words_in_which_an_api_server_refuses_network_policies() {
    let Some((control_plane, _webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let mut differing = Vec::new();
    for spec in bad_specs() {
        let upstream = create(kubectl, &enforced(&spec)).stderr;
        for kind in ["AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
            let ours = create(kubectl, &audit(kind, &spec)).stderr;
            if complaints(&upstream) != complaints(&ours) {
                differing.push(format!("{spec}\n  upstream: {upstream}\n  ours: {ours}"));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    for (spec, field) in bad_by_schema() {
        let [upstream, ours] =
            [enforced(&spec), audit("AuditNetworkPolicy", &spec)].map(|object| create(kubectl, &object));
        assert!(upstream.stderr.contains(field) && ours.stderr.contains(field), "{}{}", upstream.stderr, ours.stderr);
    }
}

#[test]
fn nothing_that_was_not_asked_for_is_held_up() {
    let Some((control_plane, webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]});
    for kind in ["AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
        assert!(create(kubectl, &audit(kind, &spec)).is_success);
    }
    let patch = |patch: &Value| {
        let policy = ["patch", "auditnetworkpolicies.kguardian.dev", "web", "--namespace=shop", "--type=merge"];
        kubectl.attempt(&[&policy[..], &["--patch", &patch.to_string()]].concat())
    };
    let labelled = patch(&json!({"metadata": {"labels": {"team": "shop"}}}));
    assert!(labelled.is_success, "{}", labelled.stderr);
    let changed = patch(&json!({"spec": {"ingress": [{"ports": [{"port": 0}]}]}}));
    assert!(!changed.is_success && changed.stderr.contains("must be between 1 and 65535"), "{}", changed.stderr);

    let mut generated = audit("AuditNetworkPolicy", &spec);
    generated["metadata"] = json!({"generateName": "web-"});
    let ended = create(kubectl, &generated);
    assert!(ended.is_success, "{}", ended.stderr);
    let mut refused = audit("AuditNetworkPolicy", &spec);
    refused["metadata"]["name"] = json!("other");
    refused["spec"]["policyTypes"] = json!(["Both"]);
    let dry = ["create", "--dry-run=server", "--namespace=shop", "--filename=-"];
    let (dry, real) = (kubectl.attempt_with(&dry, &refused.to_string()), create(kubectl, &refused));
    assert_eq!((dry.is_success, &dry.stderr), (false, &real.stderr));

    // Who deletes asks nobody, so it can be done without the webhook.
    drop(webhook);
    kubectl.run(&["delete", "auditnetworkpolicies.kguardian.dev", "--namespace=shop", "--all"]);
}

#[test]
fn a_second_evaluator_is_refused() {
    let Some((control_plane, _webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let workload = |kind: &str, replicas: i32| {
        let labels = json!({"app.kubernetes.io/name": "foretell-evaluator"});
        let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}});
        let metadata = json!({"name": "foretell-evaluator", "namespace": "foretell", "labels": labels});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod});
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}).to_string()
    };
    let reason = "spec.replicas: Invalid value: 2: one evaluator owns the window of traffic";
    for kind in ["Deployment", "StatefulSet"] {
        let created = kubectl.attempt_with(&["create", "--filename=-"], &workload(kind, 2));
        assert!(!created.is_success && created.stderr.contains(reason), "{}", created.stderr);
        kubectl.apply(&workload(kind, 1));
        let changed = kubectl.attempt_with(&["apply", "--filename=-"], &workload(kind, 2));
        assert!(!changed.is_success && changed.stderr.contains(reason), "{}", changed.stderr);
        let name = format!("{kind}/foretell-evaluator");
        let scale = |replicas: &str| kubectl.attempt(&["scale", "--namespace=foretell", &name, "--replicas", replicas]);
        let scaled = scale("2");
        assert!(!scaled.is_success && scaled.stderr.contains(reason), "{}", scaled.stderr);
        assert!(scale("0").is_success && scale("1").is_success);
    }
    kubectl.run(&["create", "deployment", "many", "--image=none", "--replicas=2", "--namespace=foretell"]);
    kubectl.run(&["scale", "--namespace=foretell", "deployment/many", "--replicas=3"]);
}

/// The API server without kubectl's ways, by `kubectl proxy`.
struct Proxy {
    child: Child,
    address: String,
}

impl Proxy {
    fn start(kubectl: &Kubectl) -> Self {
        let mut child = kubectl.command(&["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Starting to serve on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address }
    }

    /// Server-side apply, as GitOps controllers send it.
    fn apply(&self, path: &str, object: &Value) {
        let body = object.to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "PATCH {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/apply-patch+yaml\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A NetworkPolicy made out of a copy of the audit policy that is in the cluster.
fn promoted(kubectl: &Kubectl, name: &str) -> Value {
    let audited = kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "web", "--namespace=shop"]);
    let record = &audited["metadata"]["annotations"][LAST_APPLIED];
    assert!(record.as_str().unwrap().contains("AuditNetworkPolicy"), "{audited}");
    let mut policy = enforced(&audited["spec"]);
    policy["metadata"] = json!({"name": name, "namespace": "shop", "annotations": {LAST_APPLIED: record}});
    policy
}

#[test]
fn a_promotion_leaves_the_audit_policys_record_behind() {
    let Some((control_plane, _webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let spec = json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]});
    let mut audited = audit("AuditNetworkPolicy", &spec);
    audited["metadata"]["namespace"] = json!("shop");
    kubectl.apply(&audited.to_string());
    let stored =
        |name: &str| kubectl.json(&["get", "networkpolicy", name, "--namespace=shop", "--show-managed-fields"]);
    let assert_tidy = |name: &str| {
        let policy = stored(name);
        assert_eq!(policy["metadata"]["annotations"], json!({PROMOTED_FROM: "AuditNetworkPolicy/web"}), "{policy}");
        policy
    };
    let succeeds = |arguments: &[&str], policy: &Value| {
        let ended = kubectl.attempt_with(arguments, &policy.to_string());
        assert!(ended.is_success, "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };

    // As clients other than kubectl do it: kubectl puts a record of its own in this one's place, as is shown below.
    let all = "--raw=/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies";
    succeeds(&["create", all, "--filename=-"], &promoted(kubectl, "created"));
    assert_tidy("created");
    succeeds(&["replace", &format!("{all}/created"), "--filename=-"], &promoted(kubectl, "created"));
    assert_tidy("created");

    let (applied, proxy) = (promoted(kubectl, "applied"), Proxy::start(kubectl));
    let path = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/applied?fieldManager=gitops&force=true";
    proxy.apply(path, &applied);
    let first = assert_tidy("applied");
    proxy.apply(path, &applied);
    assert_eq!(stored("applied")["metadata"], first["metadata"], "a second apply changes nothing");
    assert_eq!(first["spec"]["ingress"], json!([{"ports": [{"port": 80, "protocol": "TCP"}]}]), "the API server's own");

    for (how, name) in [
        (["create", "--validate"], "by-create"),
        (["apply", "--validate"], "by-apply"),
        (["apply", "--server-side"], "by-server"),
    ] {
        let policy = promoted(kubectl, name);
        succeeds(&[&how[..], &["--filename=-"]].concat(), &policy);
        let metadata = stored(name)["metadata"].clone();
        let record = metadata["annotations"][LAST_APPLIED].as_str().unwrap();
        assert!(record.contains("\"kind\":\"NetworkPolicy\""), "{record}");
        succeeds(&["apply", "--server-side", "--force-conflicts", "--filename=-"], &policy);
        let before = stored(name);
        succeeds(&["apply", "--server-side", "--filename=-"], &policy);
        assert_eq!(stored(name)["metadata"], before["metadata"], "a second apply changes nothing");
    }
}

#[test]
fn it_waits_for_what_is_not_there_yet_and_goes_on_by_itself() {
    let Some(control_plane) = installed() else { return };
    let kubectl = control_plane.kubectl();
    let manifests = root().join("manifests/webhook");
    let apply = |file: &str| kubectl.run(&["apply", "--filename", manifests.join(file).to_str().unwrap()]);
    kubectl.run(&["delete", "--filename", manifests.join("configurations.yaml").to_str().unwrap()]);
    kubectl.run(&["delete", "--filename", manifests.join("secret.yaml").to_str().unwrap()]);

    let webhook = Webhook::start(kubectl);
    webhook.wait_until_it_says("Waits for its certificate: Secret foretell/foretell-webhook-tls: ");
    apply("secret.yaml");
    webhook.wait_until_it_says("Waits for its webhook configurations: there is none named foretell");
    apply("configurations.yaml");
    webhook.wait_until_it_says("Has its webhook configurations");
    for configuration in CONFIGURATIONS {
        let webhooks = kubectl.json(&["get", configuration])["webhooks"].clone();
        let trusting =
            webhooks.as_array().unwrap().iter().filter(|entry| entry["clientConfig"]["caBundle"].is_string());
        assert_eq!(trusting.count(), webhooks.as_array().unwrap().len());
    }
}

#[test]
fn another_certificate_takes_the_place_of_one_that_is_lost_while_it_runs() {
    let Some((control_plane, webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let bundles = || {
        CONFIGURATIONS.map(|configuration| {
            kubectl.json(&["get", configuration])["webhooks"][0]["clientConfig"]["caBundle"].clone()
        })
    };
    let former = bundles();
    let patch = r#"[{"op": "remove", "path": "/data"}]"#;
    kubectl.run(&["patch", "secret", "--namespace=foretell", "foretell-webhook-tls", "--type=json", "--patch", patch]);
    // The Secret is looked at once a minute.
    until("another certificate is shown", || {
        let shown = webhook.said().matches("Shows the certificate of the Secret").count();
        if shown == 2 { Ok(()) } else { Err(webhook.said()) }
    });
    let renewed = bundles();
    assert!(renewed[0] == renewed[1] && renewed != former, "{former:?}\n{renewed:?}");
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{}]}]});
    until("the API server trusts it", || {
        let said = create(kubectl, &audit("AuditNetworkPolicy", &spec)).stderr;
        if said.contains("must specify a peer") { Ok(()) } else { Err(said) }
    });
}
