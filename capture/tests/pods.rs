//! Which pod a flow is laid to, by the cgroup of its socket.
mod stage;

use std::fs;

use stage::{Stage, actor, skipped, wait_for};

const UID: &str = "6f1c7b0e-0a52-4d1e-9d39-0242ac120002";

/// Not a test: what a pod's process runs.
#[test]
fn actor() {
    if stage::is_actor() {
        actor::serve();
    }
}

#[test]
fn every_layout_names_the_pod_and_the_hosts_own_processes_name_none() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let systemd = format!("kubepods-besteffort-pod{}.slice", UID.replace('-', "_"));
    let cases = [
        (format!("kubepods.slice/kubepods-besteffort.slice/{systemd}/cri-containerd-0a.scope"), Some(UID)),
        (format!("kubepods/burstable/pod{UID}/0a/nested/further"), Some(UID)),
        (format!("kubepods/pod{UID}/0b"), Some(UID)),
        (
            "kubepods/burstable/pod8ce9f1a2d3b4c5e6f708192a3b4c5d6e/0a".to_owned(),
            Some("8ce9f1a2d3b4c5e6f708192a3b4c5d6e"),
        ),
        ("system.slice/kubelet.service".to_owned(), None),
    ];
    // Half of them made before the agent comes, half after.
    let mut actors: Vec<_> = cases[..2].iter().map(|(path, _)| stage.actor(&stage.cgroup.join(path))).collect();
    let agent = stage.agent(&["--window", "10m"]);
    actors.extend(cases[2..].iter().map(|(path, _)| stage.actor(&stage.cgroup.join(path))));
    for (port, actor) in (9000..).zip(&mut actors) {
        actor.must(&format!("udp-send 10.244.0.1:0 10.244.0.2:{port} 1 unanswered"));
    }
    let record = agent.stop();
    for (port, (path, uid)) in (9000..).zip(&cases) {
        let flow = record.only(path, |flow| flow.port == port);
        assert_eq!(flow.src.pod_uid.as_deref(), *uid, "{path}");
    }
    assert_eq!(record.lost("unattributed"), 0);
}

#[test]
fn a_pod_that_is_gone_long_before_the_window_ends_is_named() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let agent = stage.agent(&["--window", "10m"]);
    let mut pod = stage.pod(UID);
    pod.must("udp-send 10.244.0.1:0 10.244.0.2:9000 1 unanswered");
    wait_for("the agent to have looked the pod up", || agent.log().contains("was announced").then_some(()));
    let cgroup = pod.cgroup.clone();
    drop(pod);
    wait_for("the pod's cgroup to be empty", || fs::remove_dir(&cgroup).ok());
    fs::remove_dir(cgroup.parent().unwrap()).unwrap();
    let record = agent.stop();
    let flow = record.only("the flow", |flow| flow.port == 9000);
    assert_eq!(flow.src.pod_uid.as_deref(), Some(UID));
}

#[test]
fn a_pod_that_was_gone_before_it_could_be_looked_up_is_said_to_be_lost() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let agent = stage.agent(&["--window", "10m"]);
    agent.pause();
    let mut pod = stage.pod(UID);
    pod.must("udp-send 10.244.0.1:0 10.244.0.2:9000 1 unanswered");
    let cgroup = pod.cgroup.clone();
    drop(pod);
    wait_for("the pod's cgroup to be empty", || fs::remove_dir(&cgroup).ok());
    agent.resume();
    let record = agent.stop();
    let flow = record.only("the flow", |flow| flow.port == 9000);
    assert_eq!((flow.src.pod_uid.as_deref(), flow.src.ip.to_string().as_str()), (None, "10.244.0.1"));
    assert_eq!(record.lost("unattributed"), 1);
}
