//! Foretell in a cluster, as it is installed, with a shop whose pods talk.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use foretell_service::kubernetes::use_one_tls_provider;
use foretell_tests::cluster::Cluster;
use foretell_tests::github::{APP_ID, Delivery, GitHub, Signature, WEBHOOK_SECRET};
use foretell_tests::kubectl::Kubectl;
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use foretell_tests::{images, machine};
use serde_json::{Value, json};

const IMAGES: [&str; 5] =
    ["foretell-capture", "foretell-demo", "foretell-evaluator", "foretell-reporter", "foretell-webhook"];

/// Where GitHub is, outside of the cluster.
const GITHUB: &str = "203.0.113.20:8080";

/// The callers that the demo's audit policy forgets.
const FORGOTTEN: [(&str, u16); 2] = [("monitoring/Deployment/prometheus", 9102), ("payments/CronJob/settlement", 8443)];

fn offenders(status: &Value) -> Vec<(String, u16)> {
    let listed = status["evaluation"]["topOffenders"].as_array().into_iter().flatten();
    let mut found: Vec<(String, u16)> = listed
        .map(|it| (it["srcPod"].as_str().unwrap().to_owned(), it["dstPort"].as_u64().unwrap().try_into().unwrap()))
        .collect();
    found.sort();
    found
}

fn audit_status(kubectl: &Kubectl) -> Value {
    let get = ["get", "auditnetworkpolicies.kguardian.dev", "payments-ingress", "--namespace=payments"];
    kubectl.json(&get)["status"].take()
}

#[test]
fn foretell_in_a_cluster() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(mut database) = Database::outside(&cluster) else { return };
    let archives = IMAGES.map(images::archive);
    cluster.load(&archives.each_ref().map(std::path::PathBuf::as_path));
    let kubectl = cluster.kubectl();
    let root = machine::root();

    // Installed before its database is there: it becomes ready by itself once that is.
    kubectl.run(&["apply", "--kustomize", root.join("manifests").to_str().unwrap()]);
    let url = format!("--from-literal=url={}", database.url());
    kubectl.run(&["create", "secret", "generic", "foretell-database", "--namespace=foretell", &url]);
    until("the evaluator says what it waits for", || {
        let logs = kubectl.attempt(&["logs", "--namespace=foretell", "deployment/foretell-evaluator"]);
        if logs.stdout.contains("Waits for Postgres") { Ok(()) } else { Err(format!("{logs:?}")) }
    });
    database.resume();
    // The reporter's App is made later: until then its pod waits for the Secret.
    for workload in ["deployment/foretell-evaluator", "deployment/foretell-webhook", "daemonset/foretell-capture"] {
        kubectl.run(&["rollout", "status", "--namespace=foretell", "--timeout=120s", workload]);
    }

    // The shop, with a policy that forgets two callers.
    kubectl.run(&["apply", "--recursive", "--filename", root.join("demo/shop/repository/base").to_str().unwrap()]);
    kubectl.run(&["create", "job", "settle", "--namespace=payments", "--from=cronjob/settlement"]);
    until("the forgotten callers are counted", || {
        let status = audit_status(kubectl);
        let found = offenders(&status);
        let expected: Vec<(String, u16)> = FORGOTTEN.map(|(name, port)| (name.to_owned(), port)).to_vec();
        if found == expected { Ok(()) } else { Err(format!("{found:?} of {status}")) }
    });
    let printed = kubectl.run(&["get", "auditnetworkpolicies.kguardian.dev", "--namespace=payments"]);
    println!("{printed}");
    let rows = database.query(
        "SELECT DISTINCT src_namespace, dst_port FROM audit_verdicts WHERE policy_name = 'payments-ingress'
         AND verdict = 'WouldDeny' ORDER BY 1",
    );
    assert_eq!(rows, ["monitoring|9102", "payments|8443"]);

    // The database goes away for a moment; what comes meanwhile is kept by the agents.
    database.stop();
    database.resume();

    let comments = pull_request(&cluster, root);
    for (name, comment) in ["blocked", "mended"].into_iter().zip(comments) {
        golden(&format!("{name}.md"), &redacted(&comment));
    }

    // Promoted as a GitOps tool does it, from a manifest that still carries the audit object's record.
    let audited =
        kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "payments-ingress", "--namespace=payments"]);
    let record = json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
        "metadata": {"name": "payments-ingress", "namespace": "payments"}, "spec": audited["spec"]});
    let promoted = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "payments-ingress", "namespace": "payments",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": record.to_string()}},
        "spec": audited["spec"],
    });
    // Not by kubectl's own create, which puts a record of its own in this one's place.
    let all = "--raw=/apis/networking.k8s.io/v1/namespaces/payments/networkpolicies";
    let created = kubectl.attempt_with(&["create", all, "--filename=-"], &promoted.to_string());
    assert!(created.is_success, "{}", created.stderr);
    let stored = || kubectl.json(&["get", "networkpolicy", "payments-ingress", "--namespace=payments"]);
    let provenance = json!({"foretell.dev/promoted-from": "AuditNetworkPolicy/payments-ingress"});
    assert_eq!(stored()["metadata"]["annotations"], provenance);
    let mut clean = promoted.clone();
    clean["metadata"]["annotations"] = json!({});
    let apply = || {
        let how = ["apply", "--server-side", "--field-manager=gitops", "--force-conflicts", "--filename=-"];
        let applied = kubectl.attempt_with(&how, &clean.to_string());
        assert!(applied.is_success, "{}", applied.stderr);
        stored()["metadata"].take()
    };
    assert_eq!(apply(), apply(), "a second apply changes nothing");

    // Refused, in the words for a NetworkPolicy.
    let with_bad_cidr = |api_version: &str, kind: &str| {
        let policy = json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"name": "bad", "namespace": "payments"},
            "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]},
        });
        let applied = kubectl.attempt_with(&["create", "--filename", "-"], &policy.to_string());
        assert!(!applied.is_success);
        applied.stderr.split_once("spec.ingress").unwrap().1.to_owned()
    };
    assert_eq!(
        with_bad_cidr("kguardian.dev/v1alpha1", "AuditNetworkPolicy"),
        with_bad_cidr("networking.k8s.io/v1", "NetworkPolicy"),
    );
    let scale = ["scale", "deployment", "foretell-evaluator", "--namespace=foretell", "--replicas=2"];
    let scaled = kubectl.attempt(&scale);
    assert!(!scaled.is_success && scaled.stderr.contains("window"), "{}", scaled.stderr);
}

/// A pull request that promotes the policy, and a push that mends it: the comment after each.
fn pull_request(cluster: &Cluster, root: &Path) -> [String; 2] {
    let (kubectl, runtime) = (cluster.kubectl(), cluster.runtime_outside());
    use_one_tls_provider();
    let github = runtime.block_on(runtime.spawn(GitHub::start_at(GITHUB))).unwrap();
    let shop = github.repository("acme", "shop");
    let demo = root.join("demo/shop/repository");
    let files = files_below(&demo.join("base"));
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    shop.commit("main", None, &files);

    let (key, secret) = (github.private_key(), WEBHOOK_SECRET);
    let (key, secret) =
        (format!("--from-literal=private-key.pem={key}"), format!("--from-literal=webhook-secret={secret}"));
    kubectl.run(&["create", "secret", "generic", "foretell-github", "--namespace=foretell", &key, &secret]);
    let id = format!("--from-literal=app-id={APP_ID}");
    kubectl.run(&["create", "configmap", "foretell-github", "--namespace=foretell", &id]);
    let url = format!("FORETELL_GITHUB_URL=http://{GITHUB}");
    kubectl.run(&["set", "env", "--namespace=foretell", "deployment/foretell-reporter", &url]);
    kubectl.run(&["rollout", "status", "--namespace=foretell", "--timeout=120s", "deployment/foretell-reporter"]);

    let promoted = "payments/policies/payments-ingress.yaml";
    let text = |step: &str| fs::read_to_string(demo.join(step).join(promoted)).unwrap();
    let audited = "payments/policies/payments-ingress.audit.yaml";
    shop.commit("promote", Some("main"), &[(audited, None), (promoted, Some(&text("promote")))]);
    let number = shop.open("promote", "main");

    // As GitHub reaches it: by its name, through whatever leads to it, here to its pod.
    let pod =
        kubectl.json(&["get", "pods", "--namespace=foretell", "--selector=app.kubernetes.io/name=foretell-reporter"]);
    let ip: IpAddr = pod["items"][0]["status"]["podIP"].as_str().unwrap().parse().unwrap();
    let secret = kubectl.json(&["get", "secret", "foretell-reporter-tls", "--namespace=foretell"]);
    let bundle = BASE64.decode(secret["data"]["ca.crt"].as_str().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&bundle).unwrap())
        .resolve("foretell-reporter.foretell.svc", SocketAddr::new(ip, 8443))
        .no_proxy()
        .build()
        .unwrap();
    let github = Arc::new(github);
    let deliver = |id: &str, action: &str| {
        let payload = shop.payload(number, action);
        let delivery = Delivery { id: id.to_owned(), event: "pull_request".to_owned(), payload };
        let (github, client) = (Arc::clone(&github), client.clone());
        let delivered = runtime.spawn(async move {
            let url = "https://foretell-reporter.foretell.svc:8443/webhook";
            github.deliver(&client, url, &delivery, Signature::right()).await
        });
        assert_eq!(runtime.block_on(delivered).unwrap(), 202);
    };
    let answered = |state: &str| {
        let sha = shop.tip("promote");
        until(&format!("the pull request's status is {state}"), || {
            let last = shop.statuses(&sha).pop();
            if last.as_ref().is_some_and(|last| last.state == state) { Ok(()) } else { Err(format!("{last:?}")) }
        });
        let comments = shop.comments(number);
        let [comment] = &comments[..] else { panic!("one comment, not {comments:#?}") };
        comment.clone()
    };
    deliver("d-1", "opened");
    let blocked = answered("failure");
    for caller in ["`Deployment/prometheus`", "`CronJob/settlement`"] {
        assert!(blocked.body.contains(caller), "{caller} is missing in\n{}", blocked.body);
    }
    shop.commit("promote", None, &[(promoted, Some(&text("mended")))]);
    deliver("d-2", "synchronize");
    let mended = answered("success");
    assert_eq!((mended.id, mended.edits), (blocked.id, 1));
    github.assert_clean();
    [blocked.body, mended.body]
}

/// The files below a folder, by their paths from there.
fn files_below(folder: &Path) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A comment without what is another each time: how often and when something was seen, and of which commits it speaks.
fn redacted(comment: &str) -> String {
    let line = |line: &str| -> String {
        let mut cells: Vec<&str> = line.split(" | ").collect();
        match line {
            _ if line.starts_with("<!-- ") => line.rsplitn(3, ' ').last().unwrap().to_owned() + " … -->",
            _ if line.starts_with("| `D-") => {
                (cells[4], cells[5]) = ("…", "…");
                cells.join(" | ")
            }
            _ if line.contains(" flow records of ") => "… flow records".to_owned(),
            _ if line.starts_with("Judged ") => "Judged …".to_owned(),
            _ => line.to_owned(),
        }
    };
    comment.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// Compares with a file in `tests/golden/story`; with `FORETELL_UPDATE_GOLDEN` it is written.
fn golden(name: &str, text: &str) {
    let path = machine::root().join("tests/golden/story").join(name);
    if std::env::var_os("FORETELL_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; `make golden` writes it. It is now:\n{text}", path.display());
}
