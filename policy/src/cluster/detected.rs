//! What enforces NetworkPolicy in a cluster, as far as the pods of its agents and its nodes tell.

use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::Pod;
use foretell_objects::model::dialect::{Cni, Dialect};

/// What was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectedEnforcer {
    /// An enforcer, and by what it was recognised.
    Enforcer {
        /// Which.
        cni: Cni,
        /// `pods of kube-system/cilium`
        by: String,
    },
    /// A network that enforces nothing, and no enforcer beside it.
    Nothing {
        /// Its name.
        network: &'static str,
        /// By what it was recognised.
        by: String,
    },
}

/// The label that an enforcer's own manifests give the pods of its agent. An enforcer that may run beside a network comes before
/// what may be that network.
const AGENTS: [(&str, &str, Cni); 14] = [
    ("k8s-app", "cilium", Cni::Cilium),
    ("k8s-app", "calico-node", Cni::Calico),
    ("k8s-app", "canal", Cni::Calico),
    ("k8s-app", "kube-router", Cni::KubeRouter),
    ("component", "antrea-agent", Cni::Antrea),
    ("app", "ovnkube-node", Cni::OvnKubernetes),
    ("k8s-app", "azure-npm", Cni::AzureNpm),
    ("name", "weave-net", Cni::Weave),
    ("k8s-app", "kube-network-policies", Cni::KubeNetworkPolicies),
    ("app", "kube-network-policies", Cni::KubeNetworkPolicies),
    ("k8s-app", "kindnet", Cni::KubeNetworkPolicies),
    ("app", "kindnet", Cni::KubeNetworkPolicies),
    ("app.kubernetes.io/name", "aws-node", Cni::AwsVpcCni),
    ("k8s-app", "aws-node", Cni::AwsVpcCni),
];

/// Flannel's README: "While the flanneld binary does not natively enforce Network Policies", others do beside it.
const FLANNEL: [(&str, &str); 2] = [("app", "flannel"), ("k8s-app", "flannel")];

/// A server of k3s runs kube-router's policy controller within itself, so that no pod tells of it; its nodes are of this type.
/// <https://docs.k3s.io/networking/networking-services#network-policy-controller>
const K3S: (&str, &str) = ("node.kubernetes.io/instance-type", "k3s");

/// Looks at the `DaemonSet`s that run at a time, and at nodes.
#[must_use]
pub fn recognise(cluster: &Cluster, at: Timestamp) -> Option<DetectedEnforcer> {
    let agents = |key: &str, value: &str| {
        let is_one = |pod: &Pod| {
            let is_so_called = pod.labels.get(key).is_some_and(|is| is == value);
            is_so_called && pod.workload.kind == "DaemonSet" && pod.life.contains(at)
        };
        let pod = cluster.pods().map(|(_, pod)| pod).find(|pod| is_one(pod))?;
        Some(format!("pods of {}/{}", pod.namespace, pod.workload.name))
    };
    let enforcer = AGENTS.iter().find_map(|(key, value, cni)| Some((*cni, agents(key, value)?)));
    if let Some((cni, by)) = enforcer {
        return Some(DetectedEnforcer::Enforcer { cni, by });
    }
    let (key, value) = K3S;
    if cluster.nodes().have_label(key, value) {
        return Some(DetectedEnforcer::Enforcer {
            cni: Cni::KubeRouter,
            by: "within k3s, by the type of its nodes".to_owned(),
        });
    }
    let by = FLANNEL.iter().find_map(|(key, value)| agents(key, value))?;
    Some(DetectedEnforcer::Nothing { network: "Flannel", by })
}

/// What is to be said of a cluster that was judged in a dialect: that another enforcer runs there, whose answers may differ.
#[must_use]
pub fn remark(recognised: &DetectedEnforcer, judged: Dialect) -> Option<String> {
    match recognised {
        DetectedEnforcer::Enforcer { cni, by } => {
            let theirs = Dialect::of(*cni);
            // How an enforcer is set up, whoever judges knows better.
            let answers_alike = judged.cni == *cni || theirs.deviations().eq(judged.deviations());
            (!answers_alike).then(|| format!("this cluster runs {} ({by}): judge with --cni {cni}", cni.title()))
        }
        DetectedEnforcer::Nothing { network, by } => Some(format!(
            "this cluster runs {network} ({by}), which enforces no NetworkPolicy, and nothing that does was recognised beside \
             it: until something does, nothing is denied"
        )),
    }
}
