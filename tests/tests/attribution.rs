//! Attribution of flows to pods: the output of the agents on two real nodes, compared with the pods of the API server.
//!
//! Ends that an agent cannot distinguish:
//! - a hostNetwork pod, the kubelet and any other process of a node, observed by the pod that they call: all have the node's
//!   address. When its connections leave the node, a hostNetwork pod is identified by its cgroup;
//! - containers of one pod: a flow belongs to the pod, as for NetworkPolicy;
//! - a pod that calls itself through its Service, observed on arrival: the node masquerades the connection, so it comes from the
//!   host. When it leaves, it belongs to the pod.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use foretell_objects::model::flow::{Direction, Endpoint, Flow, Line, NodeReport, Outcome, Protocol, is_log};
use foretell_tests::cluster::Cluster;
use foretell_tests::patience::until;
use foretell_tests::{images, machine};
use serde_json::{Value, json};

const IMAGE: &str = "ghcr.io/foretell-dev/foretell-demo:0.1.0";

/// An address outside the cluster.
const WORLD: &str = "203.0.113.200";

/// One end of an expected flow.
#[derive(Debug, Clone)]
enum End {
    /// A pod, identified by its UID.
    Pod(String),
    /// An address without a pod.
    Address(IpAddr),
    /// An address without a pod, which the agent of this node reports as its host's.
    Node(&'static str),
}

/// The addresses of each node's host, as its agent has reported them so far. The address of the bridge appears with the first pod.
type Hosts = BTreeMap<String, BTreeSet<IpAddr>>;

impl End {
    fn is(&self, endpoint: &Endpoint, hosts: &Hosts) -> bool {
        match self {
            Self::Pod(uid) => endpoint.pod_uid.as_ref() == Some(uid),
            Self::Address(address) => endpoint.pod_uid.is_none() && endpoint.ip == *address,
            Self::Node(node) => {
                endpoint.pod_uid.is_none() && hosts.get(*node).is_some_and(|own| own.contains(&endpoint.ip))
            }
        }
    }
}

#[derive(Debug)]
struct Expected {
    what: &'static str,
    observed: Direction,
    node: &'static str,
    src: End,
    dst: End,
    protocol: Protocol,
    port: u16,
}

impl Expected {
    fn is(&self, flow: &Flow, hosts: &Hosts) -> bool {
        flow.observed == Some(self.observed)
            && flow.node.as_deref() == Some(self.node)
            && self.src.is(&flow.src, hosts)
            && self.dst.is(&flow.dst, hosts)
            && (flow.protocol, flow.port) == (self.protocol, self.port)
            && flow.outcome == Some(Outcome::Established)
    }
}

/// A pod on a node, with one container for each list of arguments.
fn pod(namespace: &str, name: &str, node: &str, containers: &[&[&str]]) -> Value {
    let containers: Vec<Value> = containers
        .iter()
        .enumerate()
        .map(|(number, args)| {
            json!({"name": format!("c{number}"), "image": IMAGE, "imagePullPolicy": "Never", "args": args})
        })
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": containers},
    })
}

fn service(namespace: &str, name: &str, port: u16, target: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("{name}-{port}"), "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]},
    })
}

/// A pod that has an address, from the API server.
struct Known {
    uid: String,
    ip: IpAddr,
}

fn known(cluster: &Cluster, namespace: &str, name: &str) -> Known {
    until(&format!("pod {name} has an address"), || {
        let pod = cluster.kubectl().json(&["get", "pod", name, "--namespace", namespace]);
        let ip = pod["status"]["podIP"].as_str().ok_or_else(|| pod["status"].to_string())?;
        Ok(Known { uid: pod["metadata"]["uid"].as_str().unwrap().to_owned(), ip: ip.parse().unwrap() })
    })
}

/// The flows and reports of all agents so far.
fn written(cluster: &Cluster) -> (Vec<Flow>, Vec<NodeReport>) {
    let agents = cluster.kubectl().run(&["get", "pods", "--namespace=foretell", "--output=name"]);
    let (mut flows, mut reports) = (Vec::new(), Vec::new());
    for agent in agents.lines() {
        let log = cluster.kubectl().run(&["logs", "--namespace=foretell", agent]);
        for line in log.lines().filter(|line| !is_log(line.as_bytes())) {
            match Line::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{agent}: {line}: {error}")) {
                Line::Flow(flow) => flows.push(*flow),
                Line::Report(report) => reports.push(report),
            }
        }
    }
    (flows, reports)
}

/// A listener outside the cluster, until the value is dropped.
struct Outside(Child);

impl Outside {
    fn listen(cluster: &Cluster) -> Self {
        let demo = machine::root().join("target/images/foretell-demo");
        // `exec` replaces its process by the demo program, so killing the child kills that.
        let mut command: Command = cluster.exec("outside");
        Self(command.arg(demo).args(["--from", WORLD, "--listen", "9443"]).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "one cluster and one table: each pod's calls are beside the expected flows")]
fn flows_are_attributed_to_the_pods_that_the_api_server_knows() {
    let Some(cluster) = Cluster::with_nodes(2) else { return };
    cluster.load(&[&images::archive("foretell-capture"), &images::archive("foretell-demo")]);
    let kubectl = cluster.kubectl();
    let agent = machine::root().join("manifests/capture");
    kubectl.run(&["apply", "--kustomize", agent.to_str().unwrap()]);
    kubectl.run(&["rollout", "status", "--namespace=foretell", "--timeout=120s", "daemonset/foretell-capture"]);
    let namespace = cluster.namespace("attribution");
    let ns = namespace.name();
    let apply = |objects: &[Value]| {
        kubectl.apply(&objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n"));
    };

    // Each case has its own port, so that cases cannot be confused.
    let listens: Vec<String> = ["8080", "8081", "8082", "8083", "8084", "8085", "8086", "8087", "5353/UDP"]
        .map(|port| format!("--listen={port}"))
        .into();
    let listens: Vec<&str> = listens.iter().map(String::as_str).collect();
    let mut near = pod(ns, "near", "node-1", &[&listens]);
    near["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 8087}, "periodSeconds": 1});
    apply(&[near, pod(ns, "far", "node-2", &[&listens]), service(ns, "near", 80, 8081)]);
    let (near, far) = (known(&cluster, ns, "near"), known(&cluster, ns, "far"));
    let cluster_ip = |service: &str| -> IpAddr {
        let service = kubectl.json(&["get", "service", service, "--namespace", ns]);
        service["spec"]["clusterIP"].as_str().unwrap().parse().unwrap()
    };
    let of_near = cluster_ip("near-80");
    let _world = Outside::listen(&cluster);

    let calls =
        |targets: &[String]| -> Vec<String> { targets.iter().map(|target| format!("--call={target}")).collect() };
    let of_client = calls(&[
        format!("{}:8080", near.ip),
        format!("{}:5353/UDP", near.ip),
        format!("{of_near}:80"),
        format!("{}:8080", far.ip),
        format!("{WORLD}:9443"),
        format!("client-90.{ns}.svc.cluster.local:90"),
    ]);
    let mut of_client: Vec<&str> = of_client.iter().map(String::as_str).collect();
    of_client.push("--listen=9090");
    let of_host = calls(&[format!("{}:8082", near.ip), format!("{}:8082", far.ip)]);
    let of_host: Vec<&str> = of_host.iter().map(String::as_str).collect();
    let mut host = pod(ns, "host", "node-1", &[&of_host]);
    host["spec"]["hostNetwork"] = json!(true);
    let short = format!("--call={}:8083", near.ip);
    let mut brief = pod(ns, "brief", "node-1", &[&[&short, "--times=1"]]);
    brief["spec"]["restartPolicy"] = json!("Never");
    let (one, two) = (format!("--call={}:8084", near.ip), format!("--call={}:8085", near.ip));
    apply(&[
        service(ns, "client", 90, 9090),
        pod(ns, "client", "node-1", &[&of_client]),
        host,
        brief,
        pod(ns, "twin", "node-1", &[&[&one], &[&two]]),
    ]);
    // A static pod: kubelet runs it from a file. Its UID in the API server is not the one that kubelet uses.
    let mut of_kubelet = pod(ns, "static", "node-1", &[&[&format!("--call={}:8086", near.ip), "--listen=8088"]]);
    of_kubelet["spec"].as_object_mut().unwrap().remove("nodeName");
    std::fs::write(cluster.file_of("node-1", "/run/kubernetes/manifests/static.json"), of_kubelet.to_string()).unwrap();

    let itself = cluster_ip("client-90");
    let client = known(&cluster, ns, "client");
    let host = known(&cluster, ns, "host");
    let twin = known(&cluster, ns, "twin");
    let shown = known(&cluster, ns, "static-node-1");
    let hash = kubectl.run(&[
        "get",
        "pod",
        "static-node-1",
        "--namespace",
        ns,
        r"--output=jsonpath={.metadata.annotations.kubernetes\.io/config\.hash}",
    ]);
    assert_ne!(shown.uid, hash, "if a static pod had the API server's UID, the hash would not be needed");
    let brief = until("the brief pod has ended", || {
        let pod = kubectl.json(&["get", "pod", "brief", "--namespace", ns]);
        let is_over = pod["status"]["phase"] == "Succeeded";
        is_over.then(|| pod.clone()).ok_or_else(|| pod["status"].to_string())
    });
    let state = &brief["status"]["containerStatuses"][0]["state"]["terminated"];
    println!("the brief pod's container ran from {} to {}", state["startedAt"], state["finishedAt"]);
    let brief = brief["metadata"]["uid"].as_str().unwrap().to_owned();

    let uid = |known: &Known| End::Pod(known.uid.clone());
    let at = |known: &Known| End::Address(known.ip);
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let (leaving, arriving) = (Direction::Egress, Direction::Ingress);
    let row =
        |what, observed, node, src, dst, protocol, port| Expected { what, observed, node, src, dst, protocol, port };
    let expected = [
        row("pod to pod, leaving", leaving, "node-1", uid(&client), at(&near), tcp, 8080),
        row("pod to pod, arriving", arriving, "node-1", at(&client), uid(&near), tcp, 8080),
        row("pod to pod by UDP, leaving", leaving, "node-1", uid(&client), at(&near), udp, 5353),
        row("pod to pod by UDP, arriving", arriving, "node-1", at(&client), uid(&near), udp, 5353),
        row("pod to ClusterIP, leaving", leaving, "node-1", uid(&client), End::Address(of_near), tcp, 80),
        row("ClusterIP to pod, arriving", arriving, "node-1", at(&client), uid(&near), tcp, 8081),
        row("pod to pod of another node, leaving", leaving, "node-1", uid(&client), at(&far), tcp, 8080),
        row("pod to pod of another node, arriving", arriving, "node-2", at(&client), uid(&far), tcp, 8080),
        row("hostNetwork pod to pod, leaving", leaving, "node-1", uid(&host), at(&near), tcp, 8082),
        row(
            "hostNetwork pod to pod, arriving: the node",
            arriving,
            "node-1",
            End::Node("node-1"),
            uid(&near),
            tcp,
            8082,
        ),
        row("hostNetwork pod to pod of another node, leaving", leaving, "node-1", uid(&host), at(&far), tcp, 8082),
        row(
            "hostNetwork pod to pod of another node, arriving: its node",
            arriving,
            "node-2",
            at(&host),
            uid(&far),
            tcp,
            8082,
        ),
        row("kubelet's probe, arriving: the node", arriving, "node-1", End::Node("node-1"), uid(&near), tcp, 8087),
        row("static pod, leaving: by its hash", leaving, "node-1", End::Pod(hash.clone()), at(&near), tcp, 8086),
        row("static pod, arriving", arriving, "node-1", at(&shown), uid(&near), tcp, 8086),
        row(
            "pod to itself through its Service, leaving",
            leaving,
            "node-1",
            uid(&client),
            End::Address(itself),
            tcp,
            90,
        ),
        row(
            "pod to itself through its Service, arriving: the node",
            arriving,
            "node-1",
            End::Node("node-1"),
            uid(&client),
            tcp,
            9090,
        ),
        row("pod outwards, leaving", leaving, "node-1", uid(&client), End::Address(WORLD.parse().unwrap()), tcp, 9443),
        row("a pod of one call, leaving", leaving, "node-1", End::Pod(brief.clone()), at(&near), tcp, 8083),
        row("one container of a pod, leaving", leaving, "node-1", uid(&twin), at(&near), tcp, 8084),
        row("the other container of it, leaving", leaving, "node-1", uid(&twin), at(&near), tcp, 8085),
    ];
    let (flows, hosts) = until("the agents have written all flows", || {
        let (flows, reports) = written(&cluster);
        let mut hosts = Hosts::new();
        for report in reports {
            assert_eq!(report.lost, BTreeMap::new(), "{report:?}");
            hosts.entry(report.node).or_default().extend(report.addresses);
        }
        let missing: Vec<&str> =
            expected.iter().filter(|row| !flows.iter().any(|flow| row.is(flow, &hosts))).map(|row| row.what).collect();
        if missing.is_empty() { Ok((flows, hosts)) } else { Err(format!("{missing:#?} among {flows:#?}")) }
    });

    // No flow has an unknown pod, and on the port of a case there is no other flow.
    let pods = kubectl.json(&["get", "pods", "--all-namespaces"]);
    let known: BTreeSet<&str> = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|pod| [&pod["metadata"]["uid"], &pod["metadata"]["annotations"]["kubernetes.io/config.hash"]])
        .filter_map(Value::as_str)
        .collect();
    for flow in &flows {
        for end in [&flow.src, &flow.dst] {
            let is_known = end.pod_uid.as_deref().is_none_or(|uid| known.contains(uid));
            assert!(is_known, "the API server does not know the pod of {flow:#?}");
        }
        let cases: Vec<&Expected> = expected
            .iter()
            .filter(|row| (row.observed, row.port, row.protocol) == (flow.observed.unwrap(), flow.port, flow.protocol))
            .collect();
        let is_expected = cases.is_empty()
            || cases.iter().any(|row| row.is(flow, &hosts) || flow.outcome != Some(Outcome::Established));
        assert!(is_expected, "none of {cases:#?} is {flow:#?}");
    }
}
