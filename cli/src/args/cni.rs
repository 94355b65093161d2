//! `--cni`: which enforcer's treatment of policies is judged by.

use clap::Args;
use foretell_objects::model::dialect::Dialect;

/// The enforcer. A command adds its default with `mut_arg`.
#[derive(Debug, Args)]
pub struct CniArg {
    /// What enforces the policies, as some treat a policy differently: upstream (the specification of Kubernetes), antrea,
    /// aws-vpc-cni, azure-npm, calico, cilium, kube-network-policies, kube-router, ovn-kubernetes or weave. For Cilium with
    /// policy-cidr-match-mode write cilium,policy-cidr-match-mode=nodes (or pods, or pods+nodes)
    #[arg(long, env = "FORETELL_CNI", value_name = "CNI", help_heading = "Judgement")]
    pub cni: Option<Dialect>,
}
