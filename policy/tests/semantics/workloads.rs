//! Names of workloads.

use crate::scenario::{Scenario, empty};
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::cluster::workload::{Workload, kind_named};

fn owned(owner: &str, name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  {{name: pod, namespace: shop, labels: {{{labels}}},
   ownerReferences: [{{apiVersion: v1, kind: {owner}, name: {name}, uid: u, controller: true}}]}}"
    )
}

fn workload(scenario: &Scenario) -> String {
    scenario.cluster().pods().next().unwrap().1.workload.to_string()
}

fn owner(kind: &str, api_version: &str, name: &str, owner: &str) -> String {
    format!(
        "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: {name}, namespace: shop, ownerReferences: [{owner}]}}}}"
    )
}

#[test]
fn a_pod_of_a_deployment_is_named_after_the_deployment() {
    let set = owner(
        "ReplicaSet",
        "apps/v1",
        "web-6d4cf",
        "{apiVersion: apps/v1, kind: Deployment, name: web, uid: d, controller: true}",
    );
    assert_eq!(workload(&empty().and(&owned("ReplicaSet", "web-6d4cf", "")).and(&set)), "Deployment/web");
    assert_eq!(workload(&empty().and(&set).and(&owned("ReplicaSet", "web-6d4cf", ""))), "Deployment/web");
}

#[test]
fn a_pod_of_a_cron_job_is_named_after_the_cron_job() {
    let job = owner(
        "Job",
        "batch/v1",
        "report-manual",
        "{apiVersion: batch/v1, kind: CronJob, name: report, uid: c, controller: true}",
    );
    assert_eq!(workload(&empty().and(&owned("Job", "report-manual", "")).and(&job)), "CronJob/report");
}

#[test]
fn a_controller_without_an_owner_is_its_own_workload() {
    for (kind, api_version) in [("ReplicaSet", "apps/v1"), ("Job", "batch/v1")] {
        let scenario = empty().and(&owned(kind, "lone", "")).and(&owner(kind, api_version, "lone", ""));
        assert_eq!(workload(&scenario), format!("{kind}/lone"));
    }
    for kind in ["StatefulSet", "DaemonSet", "Rollout"] {
        assert_eq!(workload(&empty().and(&owned(kind, "it", ""))), format!("{kind}/it"));
    }
}

#[test]
fn the_deployment_of_an_unknown_replica_set_follows_from_the_pod_template_hash() {
    let scenario = |labels| empty().and(&owned("ReplicaSet", "my-web-6d4cf", labels));
    assert_eq!(workload(&scenario("pod-template-hash: 6d4cf")), "Deployment/my-web");
    assert_eq!(workload(&scenario("pod-template-hash: abcde")), "ReplicaSet/my-web-6d4cf", "another hash");
    assert_eq!(workload(&scenario("app: web")), "ReplicaSet/my-web-6d4cf", "no hash");
}

#[test]
fn the_cron_job_of_an_unknown_job_follows_from_the_scheduled_minute() {
    for (job, named) in [
        ("report-29500800", "CronJob/report"),
        ("weekly-report-29500800", "CronJob/weekly-report"),
        ("report-2950080", "Job/report-2950080"),
        ("migrate-20261121", "Job/migrate-20261121"),
        ("migrate", "Job/migrate"),
    ] {
        assert_eq!(workload(&empty().and(&owned("Job", job, ""))), named);
    }
}

#[test]
fn a_known_job_without_an_owner_does_not_belong_to_a_cron_job() {
    let scenario =
        empty().and(&owned("Job", "import-29500800", "")).and(&owner("Job", "batch/v1", "import-29500800", ""));
    assert_eq!(workload(&scenario), "Job/import-29500800");
}

#[test]
fn a_pod_without_a_controller_and_a_static_pod_are_their_own_workload() {
    let lone = "{apiVersion: v1, kind: Pod, metadata: {name: pod, namespace: shop}}";
    assert_eq!(workload(&empty().and(lone)), "Pod/pod");
    assert_eq!(workload(&empty().and(&owned("Node", "n1", ""))), "Pod/pod");
    let not_controlled = owned("ReplicaSet", "web", "").replace("controller: true", "controller: false");
    assert_eq!(workload(&empty().and(&not_controlled)), "Pod/pod");
}

#[test]
fn an_object_proves_that_its_workload_and_its_owners_exist() {
    let controllers = |manifest: &str| {
        let object =
            read(serde_saphyr::from_str::<serde_json::Value>(manifest).unwrap(), &Origin::Cluster).unwrap().unwrap();
        Workload::controllers(&object).iter().map(|it| format!("{} {it}", it.namespace)).collect::<Vec<_>>()
    };
    let owned = "{apiVersion: apps/v1, kind: Owner, name: above, uid: u, controller: true}";
    for (kind, api_version, spec) in [
        ("Deployment", "apps/v1", ""),
        ("StatefulSet", "apps/v1", ""),
        ("DaemonSet", "apps/v1", ""),
        ("ReplicaSet", "apps/v1", ""),
        ("CronJob", "batch/v1", ", spec: {schedule: '* * * * *', jobTemplate: {}}"),
        ("Job", "batch/v1", ""),
    ] {
        let manifest = |owner: &str| {
            format!(
                "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: it, namespace: shop, ownerReferences: [{owner}]}}{spec}}}"
            )
        };
        assert_eq!(controllers(&manifest("")), [format!("shop {kind}/it")]);
        assert_eq!(controllers(&manifest(owned)), [format!("shop {kind}/it"), "shop Owner/above".to_owned()]);
    }
    assert_eq!(controllers("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"), [""; 0]);
}

#[test]
fn kinds_are_recognised_regardless_of_case() {
    for (text, kind) in [
        ("deployment", "Deployment"),
        ("STATEFULSET", "StatefulSet"),
        ("cronJob", "CronJob"),
        ("Pod", "Pod"),
        ("rollout", "rollout"),
        ("", ""),
    ] {
        assert_eq!(kind_named(text), kind);
    }
}
