//! A small cluster and its traffic, for unit tests: the pods web and batch on node n1, scraper on node n2. It is noon.

use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::{Direction, Endpoint, Flow, NodeReport, Outcome, Protocol};
use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_policy::snapshot::api_resource::RESOURCES;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::judge::assembled::Assembled;
use crate::judge::judged::Judged;
use crate::judge::policies::judge_policies;
use crate::objects::{Objects, WatchEvent};
use crate::window::{Window, row};

/// How long traffic counts.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_hours(24);

pub(crate) fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

pub(crate) fn noon() -> Timestamp {
    at("12:00:00")
}

/// The address of a pod; of anything else one outside the cluster.
pub(crate) fn ip(name: &str) -> String {
    match name {
        "web" => "10.9.0.1",
        "batch" => "10.9.0.2",
        "scraper" => "10.9.0.3",
        _ => "203.0.113.9",
    }
    .to_owned()
}

fn pod(name: &str, node: &str) -> Value {
    let metadata = json!({"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "labels": {"app": name}});
    let status = json!({"phase": "Running", "podIP": ip(name), "podIPs": [{"ip": ip(name)}],
        "startTime": "2026-11-21T00:00:00Z"});
    let spec = json!({"nodeName": node, "containers": []});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
}

/// The spec of a policy of `app` that allows connections from these pods.
pub(crate) fn spec(app: &str, callers: &[&str]) -> Value {
    let from: Vec<Value> = callers.iter().map(|name| json!({"podSelector": {"matchLabels": {"app": name}}})).collect();
    let ingress = if from.is_empty() { json!([]) } else { json!([{"from": from}]) };
    json!({"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": ingress})
}

/// Generation 1 of an audit policy in the namespace `shop`.
pub(crate) fn audit_policy(name: &str, spec: &Value) -> Value {
    let metadata = json!({"namespace": "shop", "name": name, "uid": format!("uid-{name}"), "generation": 1});
    json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy", "metadata": metadata, "spec": spec})
}

pub(crate) fn reference(name: &str) -> PolicyRef {
    PolicyRef { kind: PolicyKind::AuditNetworkPolicy, namespace: "shop".to_owned(), name: name.to_owned() }
}

/// Three connections a minute before noon, observed at their destination.
pub(crate) fn flow(src: &str, dst: &str, port: u16) -> Flow {
    let end = |name: &str| Endpoint::address(ip(name).parse().unwrap());
    Flow {
        start: at("11:59:00"),
        end: at("11:59:01"),
        node: Some("n1".to_owned()),
        observed: Some(Direction::Ingress),
        src: end(src),
        dst: end(dst),
        protocol: Protocol::Tcp,
        port,
        outcome: Some(Outcome::Established),
        guessed: false,
        connections: 3,
        packets: 30,
        bytes: 300,
    }
}

pub(crate) struct Scene {
    pub(crate) objects: Objects,
    pub(crate) window: Window,
}

impl Scene {
    /// The pods and these audit policies.
    pub(crate) fn new(policies: &[Value]) -> Self {
        let mut objects = Objects::default();
        let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "shop"}});
        let all = [namespace, node("n1"), node("n2"), pod("web", "n1"), pod("batch", "n1"), pod("scraper", "n2")];
        for resource in &RESOURCES {
            objects.apply(resource, WatchEvent::ListBegins, noon());
            for object in all.iter().chain(policies).filter(|object| object["kind"] == resource.kind) {
                objects.apply(resource, WatchEvent::Listed(object.clone()), noon());
            }
            objects.apply(resource, WatchEvent::ListEnds, noon());
        }
        Self { objects, window: Window::default() }
    }

    pub(crate) fn watched(mut self, node: &str, start: &str, end: &str) -> Self {
        let (node, start, end) = (node.to_owned(), at(start), at(end));
        self.window.add_report(&NodeReport { node, start, end, addresses: Vec::new(), lost: [].into() });
        self
    }

    pub(crate) fn flow(mut self, flow: &Flow) -> Self {
        let assembled = self.assembled();
        let (key, tally) = row(flow, &assembled.cluster);
        self.window.add(key, tally);
        self
    }

    pub(crate) fn assembled(&mut self) -> Assembled {
        Assembled::new(&self.objects.snapshot(noon(), WINDOW), &self.window, noon(), Dialect::UPSTREAM)
    }

    /// Judges at noon.
    pub(crate) fn judge(&mut self, min_window: SignedDuration) -> Judged {
        let assembled = self.assembled().into();
        judge_policies(assembled, &self.window, noon() - WINDOW, min_window, self.objects.audit_policies())
    }
}
