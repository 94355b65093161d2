//! A cluster of pods with short names, in which tests ask whether a flow is allowed at both ends.

use std::sync::Arc;

use foretell_objects::model::flow::{Direction, Flow, Line};
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::engine::backends::Backend;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::pair::Pair;
use foretell_policy::engine::world::World;
use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::policy::network_policy::Policy;
use serde_json::{Value, json};

/// A pod of the tables.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: &'static str,
    pub(crate) name: String,
    pub(crate) ip: String,
    pub(crate) labels: Value,
    /// Named ports: name, protocol, number.
    pub(crate) ports: Vec<(&'static str, &'static str, u16)>,
}

#[derive(Default)]
pub(crate) struct Scenery {
    objects: Vec<Object>,
}

impl Scenery {
    /// Adds manifests, separated by `---`. An object replaces an earlier one of the same identity.
    pub(crate) fn with(mut self, manifests: &str) -> Self {
        for document in manifests.split("\n---\n").filter(|document| !document.trim().is_empty()) {
            let value: Value = serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"));
            let origin = Origin::Manifest { default_namespace: "default".to_owned() };
            let object = read(value, &origin).unwrap_or_else(|error| panic!("{error}\n{document}")).unwrap();
            self.objects.retain(|known| known.id() != object.id());
            self.objects.push(object);
        }
        self
    }

    pub(crate) fn pod(self, pod: &Pod) -> Self {
        let ports = pod
            .ports
            .iter()
            .map(|(name, protocol, number)| json!({"name": name, "protocol": protocol, "containerPort": number}));
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.name, "labels": pod.labels},
            "spec": {"nodeName": "n2", "containers": [{"name": "c", "image": "c", "ports": ports.collect::<Vec<_>>()}]},
            "status": {"phase": "Running", "podIP": pod.ip},
        });
        self.with(&manifest.to_string())
    }

    /// Whether each of these flows between two addresses is allowed.
    pub(crate) fn passes(&self, flows: &[(String, String, &str, u16)]) -> Vec<bool> {
        let cluster = Cluster::build(&self.objects);
        let policies = self.objects.iter().filter_map(Policy::of).map(Arc::new).collect();
        let admin_policies = self.objects.iter().filter_map(AdminPolicy::of).map(Arc::new).collect();
        let world = World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), policies)
            .with_admin_policies(admin_policies);
        let passes = |(src, dst, protocol, port): &(String, String, &str, u16)| {
            let flow = flow(src, dst, protocol, *port);
            let ends = cluster.resolve(&flow);
            let backends = world.view().backends(&ends, flow.protocol, flow.port, flow.start);
            backends.iter().all(|backend| {
                let Backend { end: dst, port, dialled } = *backend;
                let pair = Pair { src: ends.src, dst, protocol: flow.protocol, port, dialled };
                Direction::BOTH.into_iter().all(|direction| world.decide(&pair, direction).passes())
            })
        };
        flows.iter().map(passes).collect()
    }
}

fn flow(src: &str, dst: &str, protocol: &str, port: u16) -> Flow {
    let at = "2026-11-21T12:00:00Z";
    let line =
        json!({"start": at, "end": at, "src": {"ip": src}, "dst": {"ip": dst}, "protocol": protocol, "port": port});
    match Line::parse(line.to_string().as_bytes()).unwrap() {
        Line::Flow(flow) => *flow,
        Line::Report(report) => panic!("{report:?}"),
    }
}
