//! The fields of an admin policy that the engine reads: everything except the names of its rules.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use crate::model::cidr::parse_cidr;
use crate::model::flow::Direction;
use crate::resource::admin::Pods;
use crate::resource::admin_view::{AdminAction, AdminPolicyView, Peer, Ports, Rule};
use crate::resource::canonical;
use crate::resource::canonical::canonical_selector;

pub(super) fn of(policy: &AdminPolicyView<'_>) -> Value {
    let rules = |direction| policy.rules(direction).iter().map(rule).collect::<Vec<_>>();
    json!({
        "tier": policy.tier,
        "priority": policy.priority,
        "subject": {
            "namespaces": policy.subject.namespaces.as_ref().map(selector),
            "pods": policy.subject.pods.as_ref().map(pods),
        },
        "ingress": rules(Direction::Ingress),
        "egress": rules(Direction::Egress),
    })
}

fn rule(rule: &Rule<'_>) -> Value {
    json!({
        "action": AdminAction::read(rule.action),
        "peers": rule.each_peer().map(|it| peer(&it)).collect::<Vec<_>>(),
        "ports": ports(rule.ports),
    })
}

fn peer(peer: &Peer<'_>) -> Value {
    let network = |text: &String| parse_cidr(text).map_or_else(|_| text.clone(), |cidr| cidr.net.to_string());
    let networks = peer.networks.map(|networks| networks.iter().map(network).collect::<Vec<_>>());
    json!({
        "namespaces": peer.namespaces.map(selector),
        "pods": peer.pods.map(pods),
        "nodes": peer.nodes.map(selector),
        "networks": networks,
        "domainNames": peer.domain_names,
    })
}

fn pods(pods: &Pods) -> Value {
    let namespaces = pods.namespace_selector.clone().unwrap_or_default();
    json!({ "namespaces": selector(&namespaces), "pods": selector(&pods.pod_selector) })
}

fn selector(selector: &LabelSelector) -> Value {
    let mut selector = selector.clone();
    canonical_selector(&mut selector);
    canonical::json(&selector)
}

fn ports(ports: Ports<'_>) -> Value {
    match ports {
        Ports::Any => Value::Null,
        // The type has set the protocol of an entry that states none.
        Ports::Ports(ports) => canonical::json(&ports),
        Ports::Protocols(ports) => canonical::json(&ports),
    }
}
