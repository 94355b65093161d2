//! Answers about policies and, in kguardian's format, about one flow.

use foretell_service::contract::{PolicySummary, VerdictRow};
use serde_json::{Value, json};

use crate::stage::{Stage, TOKEN};

/// The policy `web` allows no caller, while `batch` and `scraper` call `web`.
pub(crate) fn policies_are_summed_up(stage: &Stage) {
    let shop = stage.shop.name();
    let all: Vec<PolicySummary> = stage.get("/v1/policies");
    let listed = all.iter().find(|policy| policy.namespace == shop).unwrap();
    let one: PolicySummary = stage.get(&format!("/v1/policies/{shop}/web"));
    for policy in [listed, &one] {
        assert_eq!((policy.kind.as_str(), policy.name.as_str()), ("AuditNetworkPolicy", "web"));
        assert_eq!((policy.generation, policy.selected_pods, policy.denials.len()), (1, 1, 2), "{policy:?}");
        assert_eq!((policy.verdicts.would_deny, policy.verdicts.newly_denied), (2, 2), "{policy:?}");
    }
    for path in [format!("/v1/policies/{shop}/wbe"), "/v1/cluster-policies/web".to_owned()] {
        let (status, said) = stage.http(Some(TOKEN), "GET", &path, None);
        assert!(status == 404 && said.contains("there is no Audit"), "{path}: {status} {said}");
    }
}

/// The verdict of the policy `web` in each direction.
fn evaluated(stage: &Stage, flow: &Value) -> Vec<(String, String)> {
    let (status, answer) = stage.http(Some(TOKEN), "POST", "/evaluate", Some(&flow.to_string()));
    assert_eq!(status, 200, "{flow}: {answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let of_shop = |result: &&Value| result["policyNamespace"] == stage.shop.name() && result["policyName"] == "web";
    let results = answer["results"].as_array().unwrap().iter().filter(of_shop);
    let mut said: Vec<(String, String)> = results
        .map(|result| {
            assert!(result["policyUID"].is_string() && result["policyGeneration"] == 1, "{result}");
            assert_eq!(result["verdict"] == "WouldDeny", result["reason"].is_string(), "{result}");
            (result["direction"].as_str().unwrap().to_owned(), result["verdict"].as_str().unwrap().to_owned())
        })
        .collect();
    said.sort();
    said
}

pub(crate) fn one_flow_is_judged(stage: &Stage) {
    let shop = stage.shop.name();
    let to = |name: &str| {
        json!({"srcPodNamespace": shop, "srcPodName": "batch", "dstPodNamespace": shop, "dstPodName": name,
            "dstPort": 8080, "protocol": "TCP"})
    };
    let said =
        |ingress: &str| [("Egress", "NotApplicable"), ("Ingress", ingress)].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(evaluated(stage, &to("web")), said("WouldDeny"));
    assert_eq!(evaluated(stage, &to("scraper")), said("NotApplicable"));
    let by_address = json!({"srcIP": "203.0.113.9", "dstIP": stage.ip("web"), "dstPort": 8080, "protocol": "TCP"});
    assert_eq!(evaluated(stage, &by_address), said("WouldDeny"));

    let unknown =
        json!({"srcPodNamespace": shop, "srcPodName": "nobody", "dstIP": "10.0.0.1", "dstPort": 1, "protocol": "TCP"});
    let no_port = json!({"srcIP": "10.0.0.1", "dstIP": "10.0.0.2", "protocol": "TCP"});
    let large = "x".repeat(65 * 1024);
    for (method, body, status, part) in [
        ("POST", unknown.to_string(), 400, "source: give an address, or the namespace and name of a known pod"),
        ("POST", no_port.to_string(), 400, "dstPort"),
        ("POST", "{".to_owned(), 400, "EOF"),
        ("POST", json!({"padding": large}).to_string(), 413, ""),
        ("GET", String::new(), 405, ""),
    ] {
        let (given, said) = stage.http(Some(TOKEN), method, "/evaluate", Some(&body));
        assert!(given == status && said.contains(part), "{method} {body:.60}: {given} {said}");
    }
}

/// The rows of `web` that filters select. There are two, of `batch` and of `scraper`.
pub(crate) fn rows_are_filtered(stage: &Stage) {
    let shop = format!("namespace={}", stage.shop.name());
    let rows = |filters: &str| -> Vec<VerdictRow> { stage.get(&format!("/audit/verdicts?{filters}")) };
    let both = rows(&shop);
    let place = |row: &VerdictRow| (row.observed_at, row.id);
    assert!(both.len() == 2 && place(&both[0]) > place(&both[1]), "the newest first: {both:?}");
    for (filters, found) in [
        ("policy=web&verdict=WouldDeny&direction=Ingress", 2),
        ("policy=other", 0),
        ("verdict=Allow", 0),
        ("direction=Egress", 0),
        ("limit=1", 1),
        ("limit=0", 1),
        ("limit=100000", 2),
        ("since=2020-01-01T00:00:00Z", 2),
        ("until=2020-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(rows(&format!("{shop}&{filters}")).len(), found, "{filters}");
    }
    let after_the_first = rows(&format!("{shop}&before_id={}", both[0].id));
    assert_eq!(after_the_first.iter().map(|row| row.id).collect::<Vec<_>>(), [both[1].id]);
    assert!(rows("namespace=").iter().all(|row| row.policy_namespace.is_empty()), "only cluster policies");
    for filter in ["direction=ingress", "verdict=Deny", "limit=many", "since=yesterday", "before_id=first"] {
        let (status, said) = stage.http(Some(TOKEN), "GET", &format!("/audit/verdicts?{filter}"), None);
        let (name, _) = filter.split_once('=').unwrap();
        assert!(status == 400 && said.contains(name), "{filter}: {status} {said}");
    }
    for path in ["/audit/verdicts?namespce=shop", "/v1/denials?namespce=shop", "/v1/policies?namespace=shop"] {
        let (status, said) = stage.http(Some(TOKEN), "GET", path, None);
        assert!(status == 400 && said.contains("query parameter"), "{path}: {status} {said}");
    }
}
