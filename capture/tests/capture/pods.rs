//! The cgroup of a socket decides to which pod its flow is attributed.

use std::fs;

use crate::node::{TestNode, UID, wait_for};

#[test]
fn the_pod_is_found_in_every_layout_and_host_processes_have_none() {
    let Some(node) = TestNode::start() else { return };
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
    // Some cgroups exist before the agent starts, the others are made later.
    let mut processes: Vec<_> = cases[..2].iter().map(|(path, _)| node.process(&node.cgroup.join(path))).collect();
    let agent = node.agent(&["--window", "10m"]);
    processes.extend(cases[2..].iter().map(|(path, _)| node.process(&node.cgroup.join(path))));
    for (port, process) in (9000..).zip(&mut processes) {
        process.run(&format!("udp-send 10.244.0.1:0 10.244.0.2:{port} 1 unanswered"));
    }
    let output = agent.stop();
    for (port, (path, uid)) in (9000..).zip(&cases) {
        let flow = output.only(path, |flow| flow.port == port);
        assert_eq!(flow.src.pod_uid.as_deref(), *uid, "{path}");
    }
    assert_eq!(output.lost("unattributed"), 0);
}

#[test]
fn a_pod_that_is_removed_before_the_window_ends_is_named() {
    let Some(node) = TestNode::start() else { return };
    let agent = node.agent(&["--window", "10m"]);
    let mut pod = node.pod(UID);
    pod.run("udp-send 10.244.0.1:0 10.244.0.2:9000 1 unanswered");
    wait_for("the agent to have looked the pod up", || agent.log().contains("was announced").then_some(()));
    let cgroup = pod.cgroup.clone();
    drop(pod);
    wait_for("the pod's cgroup to be empty", || fs::remove_dir(&cgroup).ok());
    fs::remove_dir(cgroup.parent().unwrap()).unwrap();
    let output = agent.stop();
    let flow = output.only("the flow", |flow| flow.port == 9000);
    assert_eq!(flow.src.pod_uid.as_deref(), Some(UID));
}

#[test]
fn a_pod_that_is_removed_before_it_is_looked_up_is_counted_as_unattributed() {
    let Some(node) = TestNode::start() else { return };
    let agent = node.agent(&["--window", "10m"]);
    agent.pause();
    let mut pod = node.pod(UID);
    pod.run("udp-send 10.244.0.1:0 10.244.0.2:9000 1 unanswered");
    let cgroup = pod.cgroup.clone();
    drop(pod);
    wait_for("the pod's cgroup to be empty", || fs::remove_dir(&cgroup).ok());
    agent.resume();
    let output = agent.stop();
    let flow = output.only("the flow", |flow| flow.port == 9000);
    assert_eq!((flow.src.pod_uid.as_deref(), flow.src.ip.to_string().as_str()), (None, "10.244.0.1"));
    assert_eq!(output.lost("unattributed"), 1);
}
