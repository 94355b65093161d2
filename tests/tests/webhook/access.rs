//! Access to the webhook. Admission requests need no token, because API servers do not authenticate to webhooks; metrics do.

use std::net::TcpStream;

use data_encoding::BASE64;
use foretell_tests::patience::until;
use tokio::runtime::Runtime;

use crate::setup::{Webhook, installed};

#[test]
fn metrics_need_a_token_with_the_role() {
    let Some(control_plane) = installed() else { return };
    let kubectl = control_plane.kubectl();
    let webhook = Webhook::start(kubectl);
    webhook.wait_until_it_says("Uses the certificate of the Secret");
    for account in ["reader", "nobody"] {
        kubectl.run(&["create", "serviceaccount", account, "--namespace=foretell"]);
    }
    let binding = ["create", "clusterrolebinding", "reader", "--clusterrole=foretell-webhook-metrics"];
    kubectl.run(&[&binding[..], &["--serviceaccount=foretell:reader"]].concat());
    let token = |account: &str, audience: &str| {
        let made = kubectl.run(&["create", "token", account, "--namespace=foretell", "--audience", audience]);
        made.trim().to_owned()
    };
    let secret = kubectl.json(&["get", "secret", "foretell-webhook-tls", "--namespace=foretell"]);
    let bundle = BASE64.decode(secret["data"]["ca.crt"].as_str().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&bundle).unwrap())
        .no_proxy()
        .build()
        .unwrap();
    let runtime = Runtime::new().unwrap();
    let status = |path: &str, token: Option<&str>| {
        let mut request = client.get(format!("https://localhost:{}{path}", webhook.port));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    };
    until("it listens", || {
        TcpStream::connect(("127.0.0.1", webhook.port)).map(drop).map_err(|error| error.to_string())
    });
    for (who, token, expected) in [
        ("without a token", None, 401),
        ("with an invalid token", Some("nonsense".to_owned()), 401),
        ("with a token for another audience", Some(token("reader", "elsewhere")), 401),
        ("without a role", Some(token("nobody", "foretell-webhook")), 403),
        ("with the role", Some(token("reader", "foretell-webhook")), 200),
    ] {
        assert_eq!(status("/metrics", token.as_deref()), expected, "{who}");
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_ne!(status(path, None), 401, "{path}");
    }
}
