//! What a snapshot keeps of the previous one.

use foretell_objects::model::flow::{Flow, Line};
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::ownership::End;
use foretell_policy::snapshot::gone::add_gone;
use foretell_policy::snapshot::text::Snapshot;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{snapshot, title};

const KEEP: SignedDuration = SignedDuration::from_hours(14 * 24);

/// `shop` with the Deployment `web`, whose pod has 10.1.1.5, and a Job of a CronJob, on the nodes n1 and n2.
const FIRST: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: empty}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n3}, status: {addresses: [{type: InternalIP, address: 192.0.2.3}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-old, namespace: shop, ownerReferences: [{kind: Deployment, name: web, controller: true}]}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: unused, namespace: shop, ownerReferences: [{kind: Deployment, name: other, controller: true}]}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: settle, namespace: shop}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: by-hand, namespace: shop, ownerReferences: [{kind: CronJob, name: settle, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-old-1, namespace: shop, uid: u1, labels: {app: web}, ownerReferences: [{kind: ReplicaSet, name: web-old, controller: true}]}, spec: {nodeName: n1}, status: {phase: Running, podIP: 10.1.1.5, startTime: "2026-11-20T00:00:00Z"}}
---
{apiVersion: v1, kind: Pod, metadata: {name: by-hand-1, namespace: shop, uid: u2, labels: {app: settle}, ownerReferences: [{kind: Job, name: by-hand, controller: true}]}, spec: {nodeName: n2}, status: {phase: Succeeded, podIP: 10.1.2.5, startTime: "2026-11-20T00:00:00Z", containerStatuses: [{state: {terminated: {finishedAt: "2026-11-20T00:05:00Z"}}}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {}}}
"#;

const EMPTY: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}";

fn first() -> Snapshot {
    snapshot("2026-11-21T12:00:00Z", FIRST)
}

/// A later snapshot that continues an earlier one.
fn over(former: Snapshot, taken: &str, documents: &str) -> Snapshot {
    let mut now = snapshot(taken, documents);
    add_gone(&mut now, former, KEEP);
    now
}

/// The pods that are gone, each with its end time.
fn gone(snapshot: &Snapshot) -> Vec<String> {
    let gone = snapshot.objects.iter().filter_map(|object| {
        let at = object["metadata"]["annotations"]["foretell.dev/gone-at"].as_str()?;
        Some(format!("{} {at}", title(object)))
    });
    let mut gone: Vec<String> = gone.collect();
    gone.sort();
    gone
}

fn cluster(snapshot: &Snapshot) -> Cluster {
    let objects: Vec<_> =
        snapshot.objects.iter().filter_map(|object| read(object.clone(), &Origin::Cluster).unwrap()).collect();
    Cluster::build(&objects)
}

fn flow(at: &str, src: &Value) -> Flow {
    let line = json!({"start": at, "end": at, "src": src, "dst": {"ip": "203.0.113.9"}, "protocol": "TCP", "port": 80});
    match Line::parse(line.to_string().as_bytes()).unwrap() {
        Line::Flow(flow) => *flow,
        Line::Report(_) => panic!("a report"),
    }
}

/// The owner of the source address: `Deployment/web on n1`.
fn source(snapshot: &Snapshot, at: &str, src: &Value) -> String {
    let cluster = cluster(snapshot);
    match cluster.resolve(&flow(at, src)).src {
        End::Pod { pod, .. } => {
            let pod = cluster.pod(pod);
            format!("{} on {}", pod.workload, pod.node.map(|node| cluster.node_name(node)).unwrap_or_default())
        }
        End::UnknownPod { .. } => "an unknown pod".to_owned(),
        End::Address { ip } | End::Host { ip, .. } => ip.to_string(),
    }
}

#[test]
fn pods_that_are_gone_are_kept_with_their_owners() {
    let later = over(first(), "2026-11-21T13:00:00Z", EMPTY);
    assert_eq!(
        gone(&later),
        [
            "Job shop/by-hand 2026-11-21T12:00:00Z",
            "Namespace /shop 2026-11-21T12:00:00Z",
            "Node /n1 2026-11-21T12:00:00Z",
            "Node /n2 2026-11-21T12:00:00Z",
            "Pod shop/by-hand-1 2026-11-20T00:05:00Z",
            "Pod shop/web-old-1 2026-11-21T12:00:00Z",
            "ReplicaSet shop/web-old 2026-11-21T12:00:00Z",
            "Service shop/web 2026-11-21T12:00:00Z",
        ]
    );
    assert!(later.objects.iter().any(|object| title(object) == "Namespace /kube-system"));
    let before = cluster(&first());
    let after = cluster(&later);
    assert_eq!(before.namespaces().get("shop"), after.namespaces().get("shop"));
    for (at, src) in [
        ("2026-11-20T11:00:00Z", json!({"ip": "10.1.1.5"})),
        ("2026-11-21T11:59:59Z", json!({"ip": "10.1.1.5"})),
        ("2026-11-20T00:03:00Z", json!({"ip": "10.1.2.5"})),
    ] {
        assert_eq!(source(&later, at, &src), source(&first(), at, &src), "{src} at {at}");
    }
    assert_eq!(source(&later, "2026-11-20T00:03:00Z", &json!({"ip": "10.1.2.5"})), "CronJob/settle on n2");
}

#[test]
fn an_address_is_not_attributed_to_a_pod_after_the_last_snapshot_that_contains_it() {
    let successor = r#"{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: shop, uid: u9}, spec: {nodeName: n2}, status: {phase: Running, podIP: 10.1.1.5, startTime: "2026-11-21T12:40:00Z"}}"#;
    let later = over(first(), "2026-11-21T13:00:00Z", successor);
    for (at, src, owner) in [
        ("2026-11-21T11:59:00Z", json!({"ip": "10.1.1.5"}), "Deployment/web on n1"),
        // Another pod may have had the address in the meantime.
        ("2026-11-21T12:20:00Z", json!({"ip": "10.1.1.5"}), "10.1.1.5"),
        ("2026-11-21T12:50:00Z", json!({"ip": "10.1.1.5"}), "Pod/new on n2"),
        // Unless the flow names the pod.
        ("2026-11-21T12:20:00Z", json!({"ip": "10.1.1.5", "podUid": "u1"}), "Deployment/web on n1"),
        (
            "2026-11-21T12:20:00Z",
            json!({"ip": "10.1.1.5", "namespace": "shop", "pod": "web-old-1"}),
            "Deployment/web on n1",
        ),
    ] {
        assert_eq!(source(&later, at, &src), owner, "{src} at {at}");
    }
}

#[test]
fn a_pod_that_is_gone_keeps_its_end_time() {
    let second = over(first(), "2026-11-21T13:00:00Z", EMPTY);
    let third = over(second.clone(), "2026-11-21T14:00:00Z", EMPTY);
    assert_eq!(gone(&third), gone(&second));
}

#[test]
fn a_pod_that_reappears_is_not_gone() {
    let second = over(first(), "2026-11-21T13:00:00Z", EMPTY);
    let third = over(second, "2026-11-21T14:00:00Z", FIRST);
    assert_eq!(gone(&third), [""; 0]);
    assert_eq!(third.objects.len(), first().objects.len());
}

#[test]
fn a_pod_of_the_same_name_and_another_uid_is_another_pod() {
    let reborn = FIRST.replace("uid: u1", "uid: u7").replace("10.1.1.5", "10.1.1.6");
    let later = over(first(), "2026-11-21T13:00:00Z", &reborn);
    assert_eq!(gone(&later), ["Pod shop/web-old-1 2026-11-21T12:00:00Z"]);
    assert_eq!(source(&later, "2026-11-21T11:00:00Z", &json!({"ip": "10.1.1.5"})), "Deployment/web on n1");
}

#[test]
fn pods_that_are_gone_for_long_are_dropped_with_their_owners() {
    let second = over(first(), "2026-11-21T13:00:00Z", EMPTY);
    // Fourteen days after the end of the Job's pod; the Deployment's pod is kept for another day.
    let third = over(second, "2026-12-04T12:00:00Z", EMPTY);
    assert_eq!(
        gone(&third),
        [
            "Namespace /shop 2026-11-21T12:00:00Z",
            "Node /n1 2026-11-21T12:00:00Z",
            "Pod shop/web-old-1 2026-11-21T12:00:00Z",
            "ReplicaSet shop/web-old 2026-11-21T12:00:00Z",
            "Service shop/web 2026-11-21T12:00:00Z",
        ]
    );
    assert_eq!(gone(&over(third, "2026-12-05T12:00:01Z", EMPTY)), [""; 0]);
}

#[test]
fn a_clock_that_was_set_back_does_not_extend_the_lifetime_of_a_pod() {
    let later = over(first(), "2026-11-21T10:00:00Z", EMPTY);
    assert!(gone(&later).contains(&"Pod shop/web-old-1 2026-11-21T10:00:00Z".to_owned()), "{:?}", gone(&later));
}

#[test]
fn a_service_or_node_whose_address_was_reused_is_dropped() {
    let others = "{apiVersion: v1, kind: Service, metadata: {name: other, namespace: shop}, spec: {clusterIP: 10.96.0.10}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: n9}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}";
    let later = gone(&over(first(), "2026-11-21T13:00:00Z", others));
    assert!(!later.iter().any(|line| line.starts_with("Service") || line.starts_with("Node /n1")), "{later:?}");
    assert!(later.iter().any(|line| line.starts_with("Node /n2")), "{later:?}");
}

#[test]
fn headless_services_share_no_address() {
    let headless = "{apiVersion: v1, kind: Service, metadata: {name: NAME, namespace: shop}, spec: {clusterIP: None, clusterIPs: [None]}}";
    let former = snapshot("2026-11-21T12:00:00Z", &headless.replace("NAME", "old"));
    let later = over(former, "2026-11-21T13:00:00Z", &headless.replace("NAME", "new"));
    assert_eq!(gone(&later), ["Service shop/old 2026-11-21T12:00:00Z"]);
}

#[test]
fn a_pod_that_finishes_without_a_time_ran_until_the_last_snapshot_with_it_running() {
    let evicted = FIRST.replace("phase: Running", "phase: Failed");
    let second = over(first(), "2026-11-21T13:00:00Z", &evicted);
    assert_eq!(gone(&second), ["Pod shop/web-old-1 2026-11-21T12:00:00Z"]);
    let third = over(second.clone(), "2026-11-21T14:00:00Z", &evicted);
    assert_eq!(gone(&third), gone(&second), "while its object is still there");
    let fourth = over(third, "2026-11-21T15:00:00Z", EMPTY);
    assert!(gone(&fourth).contains(&"Pod shop/web-old-1 2026-11-21T12:00:00Z".to_owned()));
    assert_eq!(source(&fourth, "2026-11-21T11:00:00Z", &json!({"ip": "10.1.1.5"})), "Deployment/web on n1");
}

#[test]
fn a_pod_that_finishes_without_its_address_keeps_the_former_address() {
    let pod = r#"status: {phase: Running, podIP: 10.1.1.5, startTime: "2026-11-20T00:00:00Z"}"#;
    assert!(FIRST.contains(pod));
    let evicted = FIRST.replace(pod, "status: {phase: Failed, reason: Evicted}");
    let later = over(first(), "2026-11-21T13:00:00Z", &evicted);
    assert_eq!(gone(&later), ["Pod shop/web-old-1 2026-11-21T12:00:00Z"]);
    for (at, owner) in [("2026-11-21T11:00:00Z", "Deployment/web on n1"), ("2026-11-21T12:30:00Z", "10.1.1.5")] {
        assert_eq!(source(&later, at, &json!({"ip": "10.1.1.5"})), owner, "{at}");
    }
}

#[test]
fn a_pod_that_was_only_recorded_as_finished_is_known_to_have_run_at_its_start() {
    let former = snapshot("2026-11-21T12:00:00Z", &FIRST.replace("phase: Running", "phase: Failed"));
    let later = over(former, "2026-11-21T13:00:00Z", EMPTY);
    assert!(gone(&later).contains(&"Pod shop/web-old-1 2026-11-20T00:00:00Z".to_owned()), "{:?}", gone(&later));
    assert_eq!(source(&later, "2026-11-21T11:00:00Z", &json!({"ip": "10.1.1.5"})), "10.1.1.5");
    let rejected = "{apiVersion: v1, kind: Pod, metadata: {name: never, namespace: shop, uid: u1}, status: {phase: Failed, reason: OutOfcpu}}";
    let later = over(snapshot("2026-11-21T12:00:00Z", rejected), "2026-11-21T13:00:00Z", EMPTY);
    assert_eq!(gone(&later), [""; 0], "it never ran");
}
