//! Which callers get an answer.

use std::fs;

use foretell_tests::machine;
use foretell_tests::postgres::Database;
use serde_json::json;

use crate::stage::{Stage, report};

/// All routes that need permission.
const PATHS: &[(&str, &str)] = &[
    ("POST", "/v1/flows"),
    ("POST", "/v1/preview"),
    ("GET", "/v1/policies"),
    ("GET", "/v1/policies/shop/web"),
    ("GET", "/v1/cluster-policies/web"),
    ("GET", "/v1/denials"),
    ("GET", "/v1/evidence"),
    ("GET", "/audit/verdicts"),
    ("POST", "/evaluate"),
    ("GET", "/metrics"),
];

#[test]
fn every_route_answers_only_callers_with_permission() {
    let Some(mut database) = Database::here() else { return };
    let Some(mut stage) = Stage::new() else { return };
    database.resume();
    stage.start_with(&database, &[]);
    stage.becomes_ready();

    // The roles of the manifests, bound to accounts of this test.
    let home = stage.home.name().to_owned();
    let roles = fs::read_to_string(machine::root().join("manifests/evaluator/access.yaml")).unwrap();
    stage.control_plane.kubectl().apply(&roles);
    for account in ["agent", "reader", "nobody"] {
        stage.kubectl(&["create", "serviceaccount", account, "--namespace", &home]);
    }
    for (account, role) in [("agent", "foretell-agent"), ("reader", "foretell-reader")] {
        let (name, role) = (format!("{home}-{account}"), format!("--clusterrole={role}"));
        let account = format!("--serviceaccount={home}:{account}");
        stage.kubectl(&["create", "clusterrolebinding", &name, &role, &account]);
    }
    for (name, node) in [("agent-n1", "n1"), ("agent-n2", "n2")] {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": home},
            "spec": {"serviceAccountName": "agent", "nodeName": node, "containers": [{"name": "it", "image": "none"}]},
        });
        stage.control_plane.kubectl().apply(&pod.to_string());
    }
    let reader = stage.token("reader", "foretell-evaluator", None);
    let elsewhere = stage.token("reader", "elsewhere", None);
    let nobody = stage.token("nobody", "foretell-evaluator", None);
    let agent = stage.token("agent", "foretell-evaluator", Some("agent-n1"));
    let stranger = stage.token("agent", "foretell-evaluator", Some("agent-n2"));
    let unbound = stage.token("agent", "foretell-evaluator", None);

    for (method, path) in PATHS {
        let asked = |token: Option<&str>| stage.http(token, method, path, None);
        for (who, token, status) in [
            ("without a token", None, 401),
            ("with no token at all", Some("nonsense"), 401),
            ("with a token for another audience", Some(elsewhere.as_str()), 401),
            ("without a role", Some(nobody.as_str()), 403),
        ] {
            let answer = asked(token);
            assert_eq!(answer.0, status, "{method} {path} {who}: {}", answer.1);
        }
        let may_read = !matches!(*path, "/v1/flows" | "/metrics");
        assert_eq!(asked(Some(&reader)).0 != 403, may_read, "{method} {path} by a reader: {}", asked(Some(&reader)).1);
        let may_send = *path == "/v1/flows";
        assert_eq!(asked(Some(&agent)).0 != 403, may_send, "{method} {path} by an agent: {}", asked(Some(&agent)).1);
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(stage.http(None, "GET", path, None).0, 200, "{path}");
    }

    // An agent may send the batches of the node that its pod runs on, and of no other.
    let send = |token: &str| {
        fs::write(stage.files.path().join("token"), token).unwrap();
        stage.send("one", 1, &[report()])
    };
    for (token, reason) in [(&stranger, "runs on node n2"), (&unbound, "names no node")] {
        let refused = send(token).unwrap_err().to_string();
        assert!(refused.contains("403") && refused.contains(reason), "{refused}");
    }
    assert!(send(&agent).is_ok());
    for account in ["agent", "reader"] {
        stage.kubectl(&["delete", "clusterrolebinding", &format!("{home}-{account}")]);
    }
}
