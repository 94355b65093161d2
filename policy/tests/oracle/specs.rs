//! Random policy specs, in a space narrow enough that selectors, ports and CIDRs collide. All of them are valid.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::generate::{NAMESPACES, PORT_NAMES, PROTOCOLS, short};

/// Blocks with possible exceptions. Some have host bits, leading zeros, or are IPv4 mapped into IPv6.
const BLOCKS: [(&str, &[&str]); 14] = [
    ("10.0.0.0/24", &["10.0.0.1/32", "10.0.0.2/31", "10.0.0.3/30"]),
    ("10.0.0.1/32", &["10.0.0.1/32"]),
    ("10.0.0.3/31", &["10.0.0.3/32"]),
    ("10.0.0.0/8", &["10.0.0.0/24", "10.96.0.0/16", "10.0.0.1/32"]),
    ("010.0.9.0/24", &["10.0.9.1/32"]),
    ("192.168.0.0/16", &["192.168.0.1/32", "192.168.0.3/31"]),
    ("203.0.113.0/24", &["203.0.113.4/30", "203.0.113.5/32"]),
    ("0.0.0.0/0", &["10.0.0.0/8", "10.0.0.3/24", "203.0.113.0/24"]),
    ("fd00::/64", &["fd00::1/128", "fd00::2/127"]),
    ("fd00::2/128", &["fd00::2/128"]),
    ("fd00::/16", &["fd00:9::/112", "fd00::/64"]),
    ("2001:db8::7/32", &["2001:db8::5/128"]),
    ("::/0", &["fd00::/8", "2001:db8::/32"]),
    ("::ffff:10.0.0.2/127", &["10.0.0.2/32"]),
];

const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

pub(crate) fn spec() -> impl Strategy<Value = NetworkPolicySpec> {
    let types: &[Option<&[&str]>] =
        &[None, Some(&[]), Some(&["Ingress"]), Some(&["Egress"]), Some(&["Ingress", "Egress"])];
    let ingress = option::weighted(0.8, vec(rule(), 0..4));
    let egress = option::weighted(0.8, vec(rule(), 0..4));
    (option::weighted(0.9, pod_selector()), select(types), ingress, egress).prop_map(
        |(pod_selector, types, ingress, egress)| NetworkPolicySpec {
            pod_selector,
            policy_types: types.map(|types| types.iter().map(|text| (*text).to_owned()).collect()),
            ingress: ingress.map(|rules| {
                let rules = rules.into_iter();
                rules.map(|(from, ports)| NetworkPolicyIngressRule { from, ports }).collect()
            }),
            egress: egress
                .map(|rules| rules.into_iter().map(|(to, ports)| NetworkPolicyEgressRule { to, ports }).collect()),
        },
    )
}

type Rule = (Option<Vec<NetworkPolicyPeer>>, Option<Vec<NetworkPolicyPort>>);

fn rule() -> impl Strategy<Value = Rule> {
    (option::weighted(0.8, vec(peer(), short(2))), option::weighted(0.7, vec(port(), short(2))))
}

fn peer() -> impl Strategy<Value = NetworkPolicyPeer> {
    let selectors =
        |namespace_selector, pod_selector| NetworkPolicyPeer { namespace_selector, pod_selector, ip_block: None };
    prop_oneof![
        3 => pod_selector().prop_map(move |pods| selectors(None, Some(pods))),
        4 => namespace_selector().prop_map(move |namespaces| selectors(Some(namespaces), None)),
        2 => (namespace_selector(), pod_selector()).prop_map(move |(n, p)| selectors(Some(n), Some(p))),
        4 => block().prop_map(|block| NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }),
    ]
}

fn block() -> impl Strategy<Value = IPBlock> {
    (select(&BLOCKS[..]), option::weighted(0.5, vec(any::<prop::sample::Index>(), short(1)))).prop_map(
        |((cidr, exceptions), except)| IPBlock {
            cidr: cidr.to_owned(),
            except: except.map(|some| some.iter().map(|index| (*index.get(exceptions)).to_owned()).collect()),
        },
    )
}

fn port() -> impl Strategy<Value = NetworkPolicyPort> {
    let number = (80..84_i32, option::weighted(0.4, 0..3_i32))
        .prop_map(|(first, more)| (Some(IntOrString::Int(first)), more.map(|more| first + more)));
    let port = prop_oneof![
        1 => Just((None, None)),
        4 => number,
        3 => select(&PORT_NAMES[..]).prop_map(|name| (Some(IntOrString::String(name.to_owned())), None)),
    ];
    (select(&PROTOCOLS[..]), port).prop_map(|(protocol, (port, end_port))| NetworkPolicyPort {
        protocol: protocol.map(str::to_owned),
        port,
        end_port,
    })
}

pub(crate) fn namespace_selector() -> impl Strategy<Value = LabelSelector> {
    let by_name = select(&NAMESPACES[..]).prop_map(|name| LabelSelector {
        match_labels: Some([(NAMESPACE_NAME.to_owned(), name.to_owned())].into()),
        match_expressions: None,
    });
    let host_network = Just(LabelSelector {
        match_labels: Some([(NAMESPACE_NAME.to_owned(), "openshift-host-network".to_owned())].into()),
        match_expressions: None,
    });
    prop_oneof![4 => by_name, 6 => pod_selector(), 2 => host_network]
}

pub(crate) fn pod_selector() -> impl Strategy<Value = LabelSelector> {
    (option::weighted(0.5, vec(label(), short(1))), option::weighted(0.4, vec(expression(), short(1)))).prop_map(
        |(labels, match_expressions)| LabelSelector {
            match_labels: labels.map(|labels| labels.into_iter().collect()),
            match_expressions,
        },
    )
}

fn label() -> impl Strategy<Value = (String, String)> {
    (select(&["a", "b"][..]), select(&["x", "y"][..])).prop_map(|(key, value)| (key.to_owned(), value.to_owned()))
}

fn expression() -> impl Strategy<Value = LabelSelectorRequirement> {
    let values: &[&[&str]] = &[&["x"], &["y"], &["x", "y"]];
    (select(&["a", "b"][..]), select(&["In", "NotIn", "Exists", "DoesNotExist"][..]), select(values)).prop_map(
        |(key, operator, values)| LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: operator.ends_with("In").then(|| values.iter().map(|value| (*value).to_owned()).collect()),
        },
    )
}
