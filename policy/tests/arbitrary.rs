//! `read` returns a result for every input, without panicking.

use std::collections::BTreeSet;

use foretell_objects::resource::cidrs::{new_faults, texts};
use foretell_objects::resource::object::Kind;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names of fields that exist somewhere, so that random trees reach deep into the types.
const WORDS: &[&str] = &[
    "metadata",
    "name",
    "namespace",
    "generateName",
    "labels",
    "annotations",
    "managedFields",
    "creationTimestamp",
    "spec",
    "status",
    "podSelector",
    "namespaceSelector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "policyTypes",
    "ingress",
    "egress",
    "from",
    "to",
    "ports",
    "port",
    "endPort",
    "protocol",
    "ipBlock",
    "cidr",
    "except",
    "template",
    "containers",
    "initContainers",
    "hostNetwork",
    "restartPolicy",
    "containerPort",
    "jobTemplate",
    "selector",
    "targetPort",
    "clusterIPs",
    "endpoints",
    "addresses",
    "conditions",
    "ready",
    "targetRef",
    "podCIDRs",
    "policyRef",
    "direction",
    "peers",
    "reason",
    "expiresAt",
    "kind",
    "unheard",
];

const TEXTS: &[&str] = &[
    "",
    "web",
    "Ingress",
    "Egress",
    "In",
    "Exists",
    "TCP",
    "10.0.0.0/8",
    "10.1.2.3/8",
    "010.0.0.0/8",
    "::ffff:1.2.3.4/100",
    "::/0",
    "10.0.0.0/33",
    "/",
    "NetworkPolicy",
    "AuditNetworkPolicy",
    "2026-12-31T00:00:00Z",
    "ü",
    "-",
    "a b",
];

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1..70000_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
        Just(json!({})),
        Just(json!([])),
    ];
    leaf.prop_recursive(8, 96, 6, |below| {
        prop_oneof![
            prop::collection::vec(below.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(WORDS), below), 0..6).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

/// A tree with the structure of a policy, in which some values are replaced by others.
fn policy() -> impl Strategy<Value = Value> {
    let mostly = |value: BoxedStrategy<Value>| prop_oneof![12 => value, 1 => tree().boxed()];
    let text = || prop::sample::select(TEXTS).prop_map(Value::from).boxed();
    let selector = move || {
        mostly(
            (prop::option::of(text()), prop::option::of(text()))
                .prop_map(|(label, operator)| {
                    json!({"matchLabels": {"app": label}, "matchExpressions": [{"key": "app", "operator": operator, "values": [label]}]})
                })
                .boxed(),
        )
    };
    let peer = move || {
        mostly(
            prop_oneof![
                selector().prop_map(|selector| json!({"podSelector": selector})),
                (text(), text()).prop_map(|(cidr, except)| json!({"ipBlock": {"cidr": cidr, "except": [except]}})),
            ]
            .boxed(),
        )
    };
    let port = move || {
        mostly(
            (text(), -1..70000_i64)
                .prop_map(|(text, port)| json!({"port": port, "endPort": port, "protocol": text}))
                .boxed(),
        )
    };
    let rule = move |peers: &'static str| {
        mostly(
            (prop::collection::vec(peer(), 0..3), prop::collection::vec(port(), 0..3))
                .prop_map(move |(found, ports)| {
                    let mut rule = Map::new();
                    rule.insert(peers.to_owned(), found.into());
                    rule.insert("ports".to_owned(), ports.into());
                    Value::Object(rule)
                })
                .boxed(),
        )
    };
    (
        selector(),
        mostly(prop::collection::vec(text(), 0..4).prop_map(Value::from).boxed()),
        prop::collection::vec(rule("from"), 0..3),
        prop::collection::vec(rule("to"), 0..3),
    )
        .prop_map(|(selector, types, ingress, egress)| {
            json!({"podSelector": selector, "policyTypes": types, "ingress": ingress, "egress": egress})
        })
}

fn object() -> impl Strategy<Value = Value> {
    let spec = prop_oneof![tree(), policy()];
    let metadata = prop_oneof![3 => Just(json!({"name": "web"})), 1 => tree()];
    (prop::sample::select(Kind::ALL.to_vec()), metadata, spec, tree()).prop_map(|(kind, metadata, spec, rest)| {
        let mut object = match rest {
            Value::Object(fields) => Value::Object(fields),
            _ => json!({}),
        };
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.name());
        object["metadata"] = metadata;
        object["spec"] = spec;
        object
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn read_never_panics(value in prop_oneof![4 => object(), 1 => tree()]) {
        for origin in [Origin::Cluster, Origin::Manifest { default_namespace: "shop".to_owned() }] {
            match read(value.clone(), &origin) {
                Ok(None) => {}
                Ok(Some(object)) => {
                    prop_assert!(!object.id().name.is_empty());
                    prop_assert_eq!(object.relevant_fields(), object.relevant_fields());
                    prop_assert!(new_faults(&object, &texts(&object)).is_empty());
                    let _ = new_faults(&object, &BTreeSet::new());
                }
                Err(error) => {
                    prop_assert!(!error.faults.is_empty());
                    prop_assert!(error.faults.iter().all(|fault| !fault.problem.is_empty()), "{}", error);
                }
            }
        }
    }
}
