//! A mock GitHub server outside the cluster, and a pull request there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use data_encoding::BASE64;
use foretell_service::kubernetes::use_one_tls_provider;
use foretell_tests::cluster::Cluster;
use foretell_tests::github::{APP_ID, Delivery, GitHub, Signature, WEBHOOK_SECRET};
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use foretell_tests::shop;

use crate::output::show;

/// The address of the mock GitHub server.
const GITHUB: &str = "203.0.113.20:8080";

/// A pull request that promotes the policy, and a push that fixes it while the database and the API server are stopped and started
/// again. Returns the comment after each.
pub(crate) fn pull_request(cluster: &Cluster, database: &mut Database) -> [String; 2] {
    let (kubectl, runtime) = (cluster.kubectl(), cluster.runtime_outside());
    use_one_tls_provider();
    let github = runtime.block_on(runtime.spawn(GitHub::start_at(GITHUB))).unwrap();
    let repository = github.repository("acme", "shop");
    let files = shop::files_below(&shop::repository().join("base"));
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    repository.commit("main", None, &files);

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
    let text = |step: &str| shop::text(&shop::repository().join(step).join(promoted));
    let audited = "payments/policies/payments-ingress.audit.yaml";
    repository.commit("promote", Some("main"), &[(audited, None), (promoted, Some(&text("promote")))]);
    let number = repository.open("promote", "main");

    // As GitHub reaches the reporter: by its name, here resolved to its pod.
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
        let payload = repository.payload(number, action);
        let delivery = Delivery { id: id.to_owned(), event: "pull_request".to_owned(), payload };
        let (github, client) = (Arc::clone(&github), client.clone());
        let delivered = runtime.spawn(async move {
            let url = "https://foretell-reporter.foretell.svc:8443/webhook";
            github.deliver(&client, url, &delivery, Signature::right()).await
        });
        assert_eq!(runtime.block_on(delivered).unwrap(), 202);
    };
    let answered = |state: &str| {
        let sha = repository.tip("promote");
        until(&format!("the pull request's status is {state}"), || {
            let last = repository.statuses(&sha).pop();
            if last.as_ref().is_some_and(|last| last.state == state) { Ok(()) } else { Err(format!("{last:?}")) }
        });
        let comments = repository.comments(number);
        let [comment] = &comments[..] else { panic!("one comment, not {comments:#?}") };
        comment.clone()
    };
    deliver("d-1", "opened");
    let blocked = answered("failure");
    show("The pull request gets a comment, and its status is failure", &blocked.body);
    for caller in ["`Deployment/prometheus`", "`CronJob/settlement`"] {
        assert!(blocked.body.contains(caller), "{caller} is missing in\n{}", blocked.body);
    }

    database.stop();
    cluster.kill_api_server();
    repository.commit("promote", None, &[(promoted, Some(&text("fixed")))]);
    deliver("d-2", "synchronize");
    database.resume();
    let fixed = answered("success");
    show(
        "A push fixes it: the same comment, and the status is success, although the database and the API server were stopped",
        &fixed.body,
    );
    assert_eq!((fixed.id, fixed.edits), (blocked.id, 1));
    github.assert_clean();
    [blocked.body, fixed.body]
}
