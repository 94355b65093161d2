//! The fields of live objects that a snapshot keeps.

use foretell_objects::manifest::documents::documents;
use foretell_objects::resource::kept::strip;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::other_policy::OtherPolicy;
use foretell_objects::resource::read::read;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::workload::Workload;
use foretell_policy::snapshot::api_resource::{Detail, RESOURCES};
use serde_json::Value;

const RICH: &str = include_str!("rich.yaml");

fn rich() -> Vec<Value> {
    documents(RICH).into_iter().map(|document| document.value.unwrap()).collect()
}

fn kind(object: &Value) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| object["kind"] == kind.name())
}

fn stripped() -> Vec<Value> {
    rich().into_iter().map(|object| strip(object.clone(), kind(&object))).collect()
}

fn typed(objects: Vec<Value>) -> Vec<Object> {
    objects.into_iter().filter_map(|object| read(object, &Origin::Cluster).unwrap()).collect()
}

#[test]
fn every_kind_is_among_the_objects_of_these_tests() {
    let kinds: Vec<Value> = rich().into_iter().map(|mut object| object["kind"].take()).collect();
    for resource in RESOURCES {
        assert!(kinds.iter().any(|kind| kind == resource.kind), "{}", resource.kind);
    }
}

#[test]
fn the_engine_sees_the_same_cluster() {
    let (before, after) = (typed(rich()), typed(stripped()));
    let ids = |objects: &[Object]| objects.iter().map(Object::id).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after));
    let workloads = |objects: &[Object]| objects.iter().flat_map(Workload::controllers).collect::<Vec<_>>();
    assert_eq!(workloads(&before), workloads(&after));

    let (one, other) = (Cluster::build(&before), Cluster::build(&after));
    assert_eq!(one.namespaces(), other.namespaces());
    assert!(one.pods().count() > 3 && one.services().count() > 1);
    assert_eq!(format!("{:#?}", one.pods().collect::<Vec<_>>()), format!("{:#?}", other.pods().collect::<Vec<_>>()));
    assert_eq!(one.services().collect::<Vec<_>>(), other.services().collect::<Vec<_>>());
    for ip in ["10.1.1.9", "10.9.9.9", "fd00:1::9", "192.0.2.10", "198.51.100.7", "203.0.113.4"] {
        let ip = ip.parse().unwrap();
        assert_eq!(one.in_pod_range(ip), other.in_pod_range(ip), "{ip}");
        assert_eq!(one.nodes().by_address(ip), other.nodes().by_address(ip), "{ip}");
    }
}

#[test]
fn fields_that_the_engine_reads_are_kept_unchanged() {
    for (before, after) in typed(rich()).iter().zip(&typed(stripped())) {
        // Only the owners of controllers are read in a cluster; their templates come from Git.
        let resource = RESOURCES.iter().find(|resource| resource.read_as() == Some(before.kind()));
        if resource.is_some_and(|resource| resource.detail == Detail::Whole) || before.kind() == Kind::Namespace {
            let [was, is] = [before, after].map(|object| {
                let mut fields = object.relevant_fields();
                // Only revisions are compared by the name outside of the cluster.
                fields.as_object_mut().unwrap().remove("externalName");
                fields
            });
            assert_eq!(was, is, "{}", before.id());
        }
    }
}

#[test]
fn no_secret_leaves_the_cluster() {
    // Every field that must not be kept contains this word: environments, commands, images, other annotations, probes, volumes.
    assert!(RICH.matches("hunter2").count() > 30);
    for object in stripped() {
        let text = object.to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn exactly_these_fields_of_a_pod_are_kept() {
    let pod = stripped().into_iter().find(|object| object["metadata"]["name"] == "web-7d9-x5z2w").unwrap();
    let expected = documents(
        r#"
apiVersion: v1
kind: Pod
metadata:
  name: web-7d9-x5z2w
  namespace: shop
  uid: 6f1c0000-0000-4000-8000-000000000001
  labels: {app: web, pod-template-hash: 7d9}
  ownerReferences: [{kind: ReplicaSet, name: web-7d9, controller: true}]
spec:
  nodeName: n1
  containers: [{ports: [{name: http, containerPort: 8080, protocol: TCP}, {containerPort: 9000, protocol: TCP}]}]
  initContainers: [{restartPolicy: Always, ports: [{name: admin, containerPort: 15000, protocol: TCP}]}]
status:
  phase: Running
  startTime: "2026-11-21T08:00:00Z"
  podIP: 10.1.1.5
  podIPs: [{ip: 10.1.1.5}, {ip: "fd00:1::5"}]
  hostIP: 192.0.2.10
  hostIPs: [{ip: 192.0.2.10}]
  conditions: [{type: Ready, status: "True"}]
"#,
    );
    assert_eq!(pod, expected.into_iter().next().unwrap().value.unwrap());
}

#[test]
fn a_policy_of_another_kind_is_kept_with_everything_that_counts() {
    let text = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: it
  namespace: shop
  labels: {team: hunter2, kuma.io/mesh: a}
  annotations: {istio.io/dry-run: "true", note: hunter2}
  managedFields: [{manager: hunter2}]
spec: {endpointSelector: {matchLabels: {app: web}}, ingress: [{}]}
specs: [{endpointSelector: {}}]
status: {conditions: [{message: hunter2}]}
"#;
    let object = documents(text).into_iter().next().unwrap().value.unwrap();
    let kept = strip(object.clone(), None);
    assert_eq!(OtherPolicy::read(&kept, ""), OtherPolicy::read(&object, ""));
    assert!(OtherPolicy::read(&kept, "").is_some() && !kept.to_string().contains("hunter2"), "{kept}");
}
