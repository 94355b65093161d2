//! A small shop before and after a change. All its manifests are YAML; files that a test gives make up the change.
//!
//! Every pod runs on one of two nodes, both of which were watched all of the time, unless a test says otherwise. A flow is
//! `SRC -> DST PROTOCOL PORT`, where an end is the name of a workload or Service, or an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use foretell_objects::manifest::documents as manifest;
use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::{Direction, Line};
use foretell_objects::resource::kept::strip;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::other_policy::OtherPolicy;
use foretell_objects::resource::read::read;
use foretell_policy::change::revisions::{Change, ChangeBuilder, Versions};
use foretell_policy::cluster::evidence::{FileWatch, Watch};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::party::Party;
use foretell_policy::cluster::traffic::Traffic;
use foretell_policy::judge::judgement::{Inputs, judge};
use foretell_policy::report::connection::{Connection, Denial};
use foretell_policy::report::data::Report;
use foretell_policy::report::preview::WireChange;
use foretell_policy::snapshot::text::Snapshot;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Workload, kind, namespace, node, address; its label is `app` of its name.
const PODS: &[(&str, &str, &str, &str, &str)] = &[
    ("web", "Deployment", "shop", "n1", "10.1.1.1"),
    ("cart", "Deployment", "shop", "n2", "10.1.2.2"),
    ("pay", "Deployment", "shop", "n2", "10.1.2.3"),
    ("db", "StatefulSet", "data", "n1", "10.1.1.3"),
    ("agent", "DaemonSet", "ops", "n1", "10.1.1.6"),
    ("prom", "Deployment", "ops", "n2", "10.1.2.7"),
    ("migrate", "Job", "data", "n1", "10.1.1.8"),
    ("batch", "CronJob", "ops", "n2", "10.1.2.9"),
    ("lonely", "Pod", "ops", "n1", "10.1.1.10"),
];

/// Service `cart-svc` leads to `cart`, `back-svc` to `cart` and `pay`.
const SERVICES: &[(&str, &str)] = &[("cart-svc", "10.96.0.10"), ("back-svc", "10.96.0.11")];

const REST: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: data, labels: {team: data}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ops, labels: {team: ops}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.1.1.0/24}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {podCIDR: 10.1.2.0/24}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}
---
apiVersion: v1
kind: Service
metadata: {name: cart-svc, namespace: shop}
spec: {clusterIP: 10.96.0.10, selector: {app: cart}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: back-svc, namespace: shop}
spec: {clusterIP: 10.96.0.11, selector: {tier: back}, ports: [{port: 80, targetPort: 8080}]}
";

/// The clock.
pub(crate) const AT: &str = "2026-11-21T12:00:00Z";

/// When flows happen.
const SEEN: &str = "2026-11-21T11:00:00Z";

/// Since when both nodes are watched.
const WATCHED_SINCE: &str = "2026-11-13T00:00:00Z";

/// Selects `cart` and lets nobody but `prom` in, to its named port.
pub(crate) const PROM_ONLY: &str = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: prom}}}], ports: [{port: http}]}]}";

/// The same, and lets `web` in too.
pub(crate) const PROM_AND_WEB: &str = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: prom}}}], ports: [{port: http}]}, {from: [{podSelector: {matchLabels: {app: web}}}]}]}";

/// Selects `cart` and lets nobody in.
pub(crate) const NOBODY: &str = "{podSelector: {matchLabels: {app: cart}}, policyTypes: [Ingress]}";

/// Selects `cart` and lets everybody in.
pub(crate) const EVERYBODY: &str = "{podSelector: {matchLabels: {app: cart}}, ingress: [{}]}";

#[derive(Clone)]
pub(crate) struct Stage {
    snapshot: Vec<Value>,
    base: BTreeMap<String, String>,
    head: BTreeMap<String, String>,
    recordings: Vec<Vec<Value>>,
    at: Timestamp,
    window: SignedDuration,
    min_window: Option<SignedDuration>,
    exceptions_on_base_only: bool,
    dialect: Dialect,
    ranges: BTreeMap<String, IpNet>,
}

/// The shop, watched, without policies and without traffic.
pub(crate) fn shop() -> Stage {
    let reports = ["n1", "n2"].map(|node| report(node, WATCHED_SINCE, AT));
    Stage { recordings: vec![reports.to_vec()], ..unwatched_shop() }
}

/// The shop, which nobody watches.
pub(crate) fn unwatched_shop() -> Stage {
    let mut stage = Stage {
        snapshot: Vec::new(),
        base: BTreeMap::new(),
        head: BTreeMap::new(),
        recordings: vec![Vec::new()],
        at: AT.parse().unwrap(),
        window: SignedDuration::from_hours(7 * 24),
        min_window: None,
        exceptions_on_base_only: false,
        dialect: Dialect::UPSTREAM,
        ranges: BTreeMap::new(),
    }
    .live(REST);
    for (name, kind, namespace, node, ip) in PODS {
        stage = stage.pod(name, (kind, namespace, name), node, ip, &json!({"app": name}));
    }
    stage
}

fn report(node: &str, start: &str, end: &str) -> Value {
    json!({"report": {"node": node, "start": start, "end": end, "addresses": [], "lost": {}}})
}

impl Stage {
    /// Judged as this enforcer does, written as for `--cni`.
    pub(crate) fn under(mut self, cni: &str) -> Self {
        self.dialect = cni.parse().unwrap();
        self
    }

    /// Adds manifests to the snapshot, documents apart by `---`.
    pub(crate) fn live(mut self, manifests: &str) -> Self {
        for document in manifests.split("\n---\n") {
            let value: Value = serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"));
            self.snapshot.push(value);
        }
        self
    }

    /// Adds a running pod to the snapshot: its name and UID are the workload's and its address'.
    pub(crate) fn pod(
        self,
        app: &str,
        (kind, namespace, name): (&str, &str, &str),
        node: &str,
        ip: &str,
        labels: &Value,
    ) -> Self {
        let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]});
        self.pod_with(app, (kind, namespace, name), node, labels, &status, &json!({}))
    }

    /// The same with a status and annotations.
    pub(crate) fn pod_with(
        mut self,
        app: &str,
        (kind, namespace, name): (&str, &str, &str),
        node: &str,
        labels: &Value,
        status: &Value,
        annotations: &Value,
    ) -> Self {
        let pod_name = if kind == "Pod" { name.to_owned() } else { format!("{name}-{}", self.snapshot.len()) };
        let owner = match kind {
            "Deployment" => Some(("ReplicaSet", format!("{name}-5d4f"))),
            "CronJob" => Some(("Job", format!("{name}-29392310"))),
            "Pod" => None,
            kind => Some((kind, name.to_owned())),
        };
        let owners: Vec<Value> = owner
            .iter()
            .map(
                |(kind, name)| json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": name, "controller": true}),
            )
            .collect();
        let mut labels = labels.clone();
        if kind == "Deployment" {
            labels["pod-template-hash"] = json!("5d4f");
        }
        if ["cart", "pay"].contains(&app) {
            labels["tier"] = json!("back");
        }
        let port = if app == "db" {
            json!({"name": "sql", "containerPort": 5432})
        } else {
            json!({"name": "http", "containerPort": 8080})
        };
        let value = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod_name, "namespace": namespace, "uid": format!("uid-{pod_name}"), "labels": labels,
                "annotations": annotations, "ownerReferences": owners},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "c", "ports": [port]}]},
            "status": status,
        });
        self.snapshot.push(value);
        self
    }

    /// A file as it stands before the change.
    pub(crate) fn base(mut self, path: &str, text: &str) -> Self {
        self.base.insert(path.to_owned(), text.to_owned());
        self
    }

    /// A file as it stands after the change.
    pub(crate) fn head(mut self, path: &str, text: &str) -> Self {
        self.head.insert(path.to_owned(), text.to_owned());
        self
    }

    /// A file that the change leaves as it is.
    pub(crate) fn both(self, path: &str, text: &str) -> Self {
        self.base(path, text).head(path, text)
    }

    /// One connection, established.
    pub(crate) fn flow(self, text: &str) -> Self {
        self.flow_with(text, &json!({}))
    }

    /// Connections with these fields of the line beside the usual ones.
    pub(crate) fn flow_with(self, text: &str, fields: &Value) -> Self {
        let [src, _, dst, protocol, port] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let mut line = json!({
            "start": SEEN, "end": SEEN, "src": {"ip": address(src)}, "dst": {"ip": address(dst)},
            "protocol": protocol, "port": port.parse::<u16>().unwrap(), "outcome": "established",
        });
        let all = line.as_object_mut().unwrap();
        for (name, value) in fields.as_object().unwrap() {
            all.insert(name.clone(), value.clone());
            if value.is_null() {
                all.remove(name);
            }
        }
        self.line(line)
    }

    /// A node's agent says that it watched.
    pub(crate) fn watched(self, node: &str, start: &str, end: &str) -> Self {
        self.line(report(node, start, end))
    }

    /// A line of the flow file.
    pub(crate) fn line(mut self, line: Value) -> Self {
        self.recordings.last_mut().unwrap().push(line);
        self
    }

    /// What follows is in another flow file.
    pub(crate) fn next_file(mut self) -> Self {
        self.recordings.push(Vec::new());
        self
    }

    /// The lines of the flow files in another order.
    pub(crate) fn shuffled(mut self, order: impl Fn(usize, &Value) -> u64) -> Self {
        for lines in &mut self.recordings {
            let mut numbered: Vec<(usize, Value)> = lines.drain(..).enumerate().collect();
            numbered.sort_by_cached_key(|(n, line)| order(*n, line));
            lines.extend(numbered.into_iter().map(|(_, line)| line));
        }
        self.recordings.reverse();
        self
    }

    pub(crate) fn at(mut self, at: &str) -> Self {
        self.at = at.parse().unwrap();
        self
    }

    pub(crate) fn min_window_hours(mut self, hours: i64) -> Self {
        self.min_window = Some(SignedDuration::from_hours(hours));
        self
    }

    /// The base requires that exceptions are merged first.
    pub(crate) fn exceptions_on_base_only(mut self) -> Self {
        self.exceptions_on_base_only = true;
        self
    }

    /// As `foretell check` does it. The answer is the same by what `foretell snapshot` keeps of the objects, written down and
    /// read again, and where the change is sent to an evaluator and its report comes back.
    /// A range of addresses has a name.
    pub(crate) fn range(mut self, name: &str, cidr: &str) -> Self {
        self.ranges.insert(name.to_owned(), cidr.parse().unwrap());
        self
    }

    pub(crate) fn judge(&self) -> Report {
        let change = self.change();
        let report = self.judge_by(&self.snapshot, &change);
        let json = serde_json::to_value(&report).unwrap();
        let by_kept = self.judge_by(&kept(&self.snapshot), &change);
        assert_eq!(serde_json::to_value(&by_kept).unwrap(), json);
        let from_afar = self.judge_by(&kept(&self.snapshot), &sent(&change));
        assert_eq!(serde_json::to_value(&from_afar).unwrap(), json);
        let back: Report = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&back).unwrap(), json);
        report
    }

    pub(crate) fn change(&self) -> Change {
        let mut collation = ChangeBuilder::new("default");
        let paths: BTreeSet<&String> = self.base.keys().chain(self.head.keys()).collect();
        for path in paths {
            let (base, merged) = (self.base.get(path), self.head.get(path));
            let bytes = |text: Option<&'_ String>| text.map(|text| text.as_bytes().to_vec());
            let (base_bytes, merged_bytes) = (bytes(base), bytes(merged));
            let versions = if base == merged {
                Versions::Same(base_bytes.as_deref().unwrap())
            } else {
                Versions::Changed { base: base_bytes.as_deref(), merged: merged_bytes.as_deref() }
            };
            collation.file(path, versions);
        }
        collation.finish()
    }

    fn judge_by(&self, snapshot: &[Value], change: &Change) -> Report {
        let other_policies = snapshot.iter().filter_map(other_policy);
        let snapshot = snapshot.iter().filter(|value| other_policy(value).is_none());
        let snapshot: &[Object] = &snapshot.cloned().map(object).collect::<Vec<_>>();
        let mut cluster = Cluster::build(snapshot);
        cluster.add_other_policies(other_policies);
        let from = self.at - self.window;
        let (mut traffic, mut watch) = (Traffic::default(), Watch::default());
        let mut addresses: Vec<(String, Vec<IpAddr>)> = Vec::new();
        for lines in &self.recordings {
            let mut file = FileWatch::default();
            for line in lines {
                match Line::parse(line.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}")) {
                    Line::Flow(flow) => {
                        file.add_flow(&flow, self.at);
                        traffic.add(&flow, &cluster, from, self.at);
                    }
                    Line::Report(report) => {
                        file.add_report(&report, from, self.at);
                        addresses.push((report.node, report.addresses));
                    }
                }
            }
            watch.add_file(file);
        }
        for (node, addresses) in addresses {
            cluster.add_node_addresses(&node, &addresses);
        }
        let report = judge(&Inputs {
            cluster: &cluster,
            snapshot,
            change,
            traffic: &traffic,
            watch: &watch,
            base: "main".to_owned(),
            head: "topic".to_owned(),
            at: self.at,
            from,
            min_window: self.min_window,
            exceptions_on_base_only: self.exceptions_on_base_only,
            bad_lines: 0,
            dialect: self.dialect,
            ranges: self.ranges.clone(),
        });
        assert_eq!(report.exit_status, report.decision.exit_status());
        report
    }
}

fn sent(change: &Change) -> Change {
    let text = serde_json::to_string(&WireChange::of(change).unwrap()).unwrap();
    let received: WireChange = serde_json::from_str(&text).unwrap();
    received.read().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn other_policy(value: &Value) -> Option<OtherPolicy> {
    OtherPolicy::read(value, "default")
}

fn kept(objects: &[Value]) -> Vec<Value> {
    let stripped = objects.iter().map(|object| {
        let kind = Kind::ALL.into_iter().find(|kind| object["kind"] == kind.name());
        strip(object.clone(), kind.filter(|_| other_policy(object).is_none()))
    });
    let snapshot = Snapshot {
        taken: AT.parse().unwrap(),
        cluster: None,
        server: String::new(),
        not_served: Vec::new(),
        objects: stripped.collect(),
    };
    let documents = manifest::documents(&snapshot.into_text());
    Snapshot::from_documents(documents).unwrap().objects
}

fn object(value: Value) -> Object {
    let text = value.to_string();
    let object = read(value, &Origin::Cluster).unwrap_or_else(|error| panic!("{error}\n{text}"));
    object.unwrap_or_else(|| panic!("no object:\n{text}"))
}

fn address(name: &str) -> String {
    let pod = PODS.iter().find(|pod| pod.0 == name).map(|pod| pod.4);
    let service = || SERVICES.iter().find(|service| service.0 == name).map(|service| service.1);
    pod.or_else(service).unwrap_or(name).to_owned()
}

pub(crate) fn short(party: &Party) -> String {
    match party {
        Party::Workload { name, .. } => name.clone(),
        Party::Address { cidr, .. } => cidr.addr().to_string(),
        Party::Range { .. } => party.to_string(),
    }
}

fn connection(direction: Direction, subject: &Party, peer: &Party, rest: &str) -> String {
    let (from, to) = match direction {
        Direction::Ingress => (peer, subject),
        Direction::Egress => (subject, peer),
    };
    format!("{} -> {} {rest}", short(from), short(to))
}

/// `Unresolved Ingress web -> cart TCP 8080 by shop/it`, or several policies, in alphabetical order.
pub(crate) fn brief(denial: &Denial) -> String {
    let Denial { state, policies, direction, subject, peer, protocol, port, .. } = denial;
    let policies = sorted(policies.iter().map(|by| format!("{}/{}", by.policy.namespace, by.policy.name)));
    let rest = format!("{protocol} {port} by {}", policies.join(", "));
    format!("{state:?} {direction} {}", connection(*direction, subject, peer, &rest))
}

pub(crate) fn denials(report: &Report) -> Vec<String> {
    sorted(report.denials.iter().map(brief))
}

/// The denials of the only preview.
pub(crate) fn previewed(report: &Report) -> Vec<String> {
    let [preview] = &report.previews[..] else { panic!("{:#?}", report.previews) };
    sorted(preview.denials.iter().map(brief))
}

/// `Ingress web -> cart TCP 8080 by shop/it: allowed by ...`
pub(crate) fn listed(connections: &[Connection]) -> Vec<String> {
    sorted(connections.iter().map(|it| {
        let rest = format!("{} {} by {}/{}: {}", it.protocol, it.port, it.policy.namespace, it.policy.name, it.note);
        format!("{} {}", it.direction, connection(it.direction, &it.subject, &it.peer, &rest))
    }))
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}
