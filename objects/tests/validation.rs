//! Validation of a policy's spec: what an API server refuses is refused with the field; what it accepts is accepted.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics on what it does not expect")]

use std::collections::BTreeSet;

use foretell_objects::resource::cidrs::{new_faults, texts};
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::fault::ObjectError;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use serde_json::{Value, json};

fn manifest() -> Origin {
    Origin::Manifest { default_namespace: "shop".to_owned() }
}

fn policy(api_version: &str, kind: &str, spec: &str) -> Value {
    let spec: Value = serde_saphyr::from_str(spec).unwrap();
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}, "spec": spec})
}

fn faults(result: Result<Option<Object>, ObjectError>) -> Vec<String> {
    match result {
        Ok(object) => {
            assert!(object.is_some(), "it should be read");
            Vec::new()
        }
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

/// The kinds that share the spec of a NetworkPolicy.
const KINDS: [(&str, &str); 3] = [
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("kguardian.dev/v1alpha1", "AuditNetworkPolicy"),
    ("kguardian.dev/v1alpha1", "AuditClusterNetworkPolicy"),
];

/// Each spec has exactly the given fault, in every kind of policy.
fn assert_refused(rows: &[(&str, &str)]) {
    for (spec, expected) in rows {
        for (api_version, kind) in KINDS {
            assert_eq!(faults(read(policy(api_version, kind, spec), &manifest())), [*expected], "{kind} {spec}");
        }
    }
}

#[test]
fn ports_that_upstream_refuses_are_refused() {
    assert_refused(&[
        (
            "{ingress: [{ports: [{port: 0}]}]}",
            "spec.ingress[0].ports[0].port: 0 is not a port: write a number from 1 to 65535",
        ),
        (
            "{egress: [{ports: [{port: 65536}]}]}",
            "spec.egress[0].ports[0].port: 65536 is not a port: write a number from 1 to 65535",
        ),
        (
            "{ingress: [{ports: [{port: -1}]}]}",
            "spec.ingress[0].ports[0].port: -1 is not a port: write a number from 1 to 65535",
        ),
        (
            "{ingress: [{ports: [{port: '80'}]}]}",
            "spec.ingress[0].ports[0].port: \"80\" is text, and a port name needs a letter: write the number without quotes",
        ),
        (
            "{ingress: [{ports: [{port: Http}]}]}",
            "spec.ingress[0].ports[0].port: \"Http\" is not a port name: write at most 15 lower-case letters, digits and single \
             '-', with at least one letter and no '-' at either end",
        ),
        (
            "{ingress: [{ports: [{protocol: HTTP}]}]}",
            "spec.ingress[0].ports[0].protocol: \"HTTP\" is not a protocol of a policy: write TCP, UDP or SCTP",
        ),
        (
            "{ingress: [{ports: [{protocol: tcp, port: 80}]}]}",
            "spec.ingress[0].ports[0].protocol: \"tcp\" is not a protocol of a policy: write TCP, UDP or SCTP",
        ),
        (
            "{ingress: [{ports: [{port: 9090, endPort: 8080}]}]}",
            "spec.ingress[0].ports[0].endPort: 8080 is below port 9090: write the last port of the range",
        ),
        (
            "{ingress: [{ports: [{port: 9090, endPort: 70000}]}]}",
            "spec.ingress[0].ports[0].endPort: 70000 is not a port: write a number from 1 to 65535",
        ),
        (
            "{ingress: [{ports: [{port: http, endPort: 8080}]}]}",
            "spec.ingress[0].ports[0].endPort: a range cannot start at a named port: write port as a number, or leave endPort out",
        ),
        (
            "{ingress: [{ports: [{endPort: 8080}]}]}",
            "spec.ingress[0].ports[0].endPort: a range needs a first port: write port as well, or leave endPort out",
        ),
    ]);
}

#[test]
fn peers_that_upstream_refuses_are_refused() {
    assert_refused(&[
        (
            "{ingress: [{from: [{}]}]}",
            "spec.ingress[0].from[0]: selects no peer: write podSelector, namespaceSelector or ipBlock; {} selects all pods",
        ),
        (
            "{egress: [{to: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
            "spec.egress[0].to[1]: ipBlock cannot be combined with selectors: write the selectors as a separate peer",
        ),
        (
            "{egress: [{to: [{ipBlock: {}}]}]}",
            "spec.egress[0].to[0].ipBlock.cidr: required: write, for example, 10.9.8.0/24 or 2001:db8::/64",
        ),
        (
            "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}",
            "spec.egress[0].to[0].ipBlock.cidr: \"10.0.0.0/33\": prefix length over 32",
        ),
        (
            "{egress: [{to: [{ipBlock: {cidr: 10.0.0.1}}]}]}",
            "spec.egress[0].to[0].ipBlock.cidr: \"10.0.0.1\": no prefix length: write \"10.0.0.1/32\" for this single address",
        ),
        (
            "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/33]}}]}]}",
            "spec.egress[0].to[0].ipBlock.except[0]: \"10.0.0.0/33\": prefix length over 32",
        ),
        (
            "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}",
            "spec.egress[0].to[0].ipBlock.except[0]: \"10.0.0.0/8\" is not within \"10.0.0.0/8\": write a smaller range",
        ),
        (
            "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 11.0.0.0/16]}}]}]}",
            "spec.egress[0].to[0].ipBlock.except[1]: \"11.0.0.0/16\" is not within \"10.0.0.0/8\": write a smaller range",
        ),
        (
            "{egress: [{to: [{ipBlock: {cidr: '0.0.0.0/0', except: ['2001:db8::/32']}}]}]}",
            "spec.egress[0].to[0].ipBlock.except[0]: \"2001:db8::/32\" is not within \"0.0.0.0/0\": write a smaller range",
        ),
    ]);
}

#[test]
fn policy_types_that_upstream_refuses_are_refused() {
    assert_refused(&[
        (
            "{policyTypes: [ingress]}",
            "spec.policyTypes[0]: \"ingress\" is not a direction of a policy: write Ingress or Egress",
        ),
        (
            "{policyTypes: [Ingress, Egress, Ingress]}",
            "spec.policyTypes: 3 entries: write Ingress, Egress or both, each once",
        ),
    ]);
}

#[test]
fn selectors_that_upstream_refuses_are_refused() {
    assert_refused(&[
        (
            "{podSelector: {matchExpressions: [{key: app, operator: In}]}}",
            "spec.podSelector.matchExpressions[0].values: required: In needs at least one value to compare with",
        ),
        (
            "{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: []}]}}",
            "spec.podSelector.matchExpressions[0].values: required: NotIn needs at least one value to compare with",
        ),
        (
            "{podSelector: {matchExpressions: [{key: app, operator: Exists, values: [web]}]}}",
            "spec.podSelector.matchExpressions[0].values: Exists does not compare with values: leave values out, or write In or NotIn",
        ),
        (
            "{podSelector: {matchExpressions: [{key: app, operator: Equals, values: [web]}]}}",
            "spec.podSelector.matchExpressions[0].operator: \"Equals\" is not an operator: write In, NotIn, Exists or DoesNotExist",
        ),
        (
            "{podSelector: {matchExpressions: [{operator: Exists}]}}",
            "spec.podSelector.matchExpressions[0].key: \"\": write letters, digits, '-', '_' and '.', with a letter or digit at \
             both ends, optionally after a prefix as in example.com/name",
        ),
        (
            "{ingress: [{from: [{podSelector: {matchLabels: {app: 'my web'}}}]}]}",
            "spec.ingress[0].from[0].podSelector.matchLabels.app: \"my web\": write an empty value, or letters, digits, '-', '_' and \
             '.', with a letter or digit at both ends",
        ),
        (
            "{ingress: [{from: [{namespaceSelector: {matchLabels: {Example.com/app: web}}}]}]}",
            "spec.ingress[0].from[0].namespaceSelector.matchLabels[Example.com/app]: \"Example.com/app\": prefix \
             \"Example.com\": write lower-case letters, digits, '-' and '.', with a letter or digit at both ends and around \
             each '.'",
        ),
        (
            "{podSelector: {matchLabels: {a/b/c: web}}}",
            "spec.podSelector.matchLabels[a/b/c]: \"a/b/c\": write one '/' at most, as in example.com/name",
        ),
        (
            "{podSelector: {matchExpressions: [{key: app, operator: In, values: [web, -x]}]}}",
            "spec.podSelector.matchExpressions[0].values[1]: \"-x\": write an empty value, or letters, digits, '-', '_' and '.', with \
             a letter or digit at both ends",
        ),
    ]);
}

#[test]
fn long_names_are_refused_by_their_length() {
    let long = "a".repeat(64);
    let spec = format!(
        "{{podSelector: {{matchLabels: {{{long}: {long}}}}}, ingress: [{{ports: [{{port: abcdefghij-abcde}}]}}]}}"
    );
    let found = faults(read(policy("networking.k8s.io/v1", "NetworkPolicy", &spec), &manifest()));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].ends_with("has 64 characters: write at most 63"), "{found:?}");
}

#[test]
fn all_faults_of_a_spec_are_found_at_once() {
    let spec = "{policyTypes: [in], podSelector: {matchLabels: {app: '-'}}, ingress: [{from: [{}, {ipBlock: {cidr: x}}], ports: [{port: 0, endPort: -1}]}]}";
    let found = faults(read(policy("networking.k8s.io/v1", "NetworkPolicy", spec), &manifest()));
    let paths: Vec<&str> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "spec.podSelector.matchLabels.app",
            "spec.ingress[0].ports[0].port",
            "spec.ingress[0].ports[0].endPort",
            "spec.ingress[0].ports[0].endPort",
            "spec.ingress[0].from[0]",
            "spec.ingress[0].from[1].ipBlock.cidr",
            "spec.policyTypes[0]",
        ]
    );
}

#[test]
fn the_namespace_selector_of_a_cluster_policy_is_checked_too() {
    let spec = "{namespaceSelector: {matchExpressions: [{key: team, operator: In}]}}";
    assert_eq!(
        faults(read(policy("kguardian.dev/v1alpha1", "AuditClusterNetworkPolicy", spec), &manifest())),
        ["spec.namespaceSelector.matchExpressions[0].values: required: In needs at least one value to compare with"]
    );
}

#[test]
fn specs_that_upstream_accepts_are_accepted() {
    for spec in [
        "{}",
        "{podSelector: {}}",
        "{podSelector: , ingress: , egress: }",
        "{policyTypes: [Ingress, Ingress]}",
        "{policyTypes: [Egress], ingress: [{}]}",
        "{ingress: [{from: [], ports: []}]}",
        "{ingress: [{ports: [{}]}]}",
        "{ingress: [{ports: [{protocol: SCTP}]}]}",
        "{ingress: [{ports: [{port: 1}, {port: 65535}, {port: a}, {port: 1-a}, {port: abcdefghij-abcd}]}]}",
        "{ingress: [{ports: [{port: 80, endPort: 80}, {port: 1, endPort: 65535}]}]}",
        "{ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}, {podSelector: {}, namespaceSelector: {}}]}]}",
        "{egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.168.0.0/16]}}]}]}",
        "{egress: [{to: [{ipBlock: {cidr: '::/0', except: ['fd00::/8']}}]}]}",
        "{podSelector: {matchLabels: {app: '', example.com/App_1.x: A-b_c.9}}}",
        "{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist, values: []}, {key: app, operator: In, values: ['']}]}}",
    ] {
        for (api_version, kind) in KINDS {
            assert_eq!(
                faults(read(policy(api_version, kind, spec), &manifest())),
                Vec::<String>::new(),
                "{kind} {spec}"
            );
        }
    }
}

#[test]
fn manifests_written_for_kguardian_are_accepted_unchanged() {
    for text in [
        r"
apiVersion: kguardian.dev/v1alpha1
kind: AuditNetworkPolicy
metadata:
  name: api-isolation
  namespace: prod
  labels: {app.kubernetes.io/managed-by: kguardian}
  annotations: {kguardian.dev/generated-at: '2026-01-01T00:00:00Z'}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}
    ports: [{protocol: TCP, port: 8080}]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.96.0.0/12]}}]
  - ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
",
        r"
apiVersion: kguardian.dev/v1alpha1
kind: AuditClusterNetworkPolicy
metadata: {name: baseline-deny}
spec:
  namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}
  podSelector: {}
  policyTypes: [Ingress]
",
        r"
apiVersion: kguardian.dev/v1alpha1
kind: AuditClusterNetworkPolicy
metadata: {name: everywhere}
spec:
  podSelector: {}
  ingress: []
",
    ] {
        let value: Value = serde_saphyr::from_str(text).unwrap();
        let object = read(value, &manifest()).unwrap().unwrap();
        assert_eq!(new_faults(&object, &BTreeSet::new()), []);
    }
}

#[test]
fn names_labels_and_annotations_of_policies_follow_their_grammars() {
    let value = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {},
        "metadata": {
            "name": "Web_Policy", "namespace": "my.ns", "labels": {"bad key": "x"},
            "annotations": {"Example.com/Note": "any text at all", "bad key": ""},
        },
    });
    let found = faults(read(value, &manifest()));
    let paths: Vec<&str> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(
        paths,
        ["metadata.name", "metadata.namespace", "metadata.labels[bad key]", "metadata.annotations[bad key]"]
    );
}

const OLD_CIDRS: &str = "{egress: [{to: [{ipBlock: {cidr: 10.1.2.3/8, except: [010.1.0.0/16]}}, {ipBlock: {cidr: '::ffff:10.0.0.0/104'}}]}]}";

#[test]
fn old_forms_of_cidrs_are_read_but_refused_in_new_objects() {
    let value = policy("networking.k8s.io/v1", "NetworkPolicy", OLD_CIDRS);
    for origin in [Origin::Cluster, manifest()] {
        let object = read(value.clone(), &origin).unwrap().unwrap();
        let found: Vec<String> = new_faults(&object, &BTreeSet::new()).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "spec.egress[0].to[0].ipBlock.cidr: \"10.1.2.3/8\" has bits set beyond the prefix length: write \"10.0.0.0/8\", \
                 or \"10.1.2.3/32\" for this single address",
                "spec.egress[0].to[0].ipBlock.except[0]: \"010.1.0.0/16\" has leading zeros in the address or the prefix \
                 length: write \"10.1.0.0/16\"",
                "spec.egress[0].to[1].ipBlock.cidr: \"::ffff:10.0.0.0/104\" has an IPv4-mapped IPv6 address: write \
                 \"10.0.0.0/8\"",
            ]
        );
    }
}

#[test]
fn old_forms_of_cidrs_have_the_api_servers_error_messages() {
    let object = read(policy("networking.k8s.io/v1", "NetworkPolicy", OLD_CIDRS), &manifest()).unwrap().unwrap();
    let api_errors = new_faults(&object, &BTreeSet::new()).into_iter().flat_map(|fault| fault.api_errors());
    let found: Vec<String> = api_errors.map(|api_error| api_error.to_string()).collect();
    assert_eq!(
        found,
        [
            "spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"10.1.2.3/8\": must not have bits set beyond the prefix length",
            "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"010.1.0.0/16\": must not have leading 0s in IP or prefix \
             length",
            "spec.egress[0].to[1].ipBlock.cidr: Invalid value: \"::ffff:10.0.0.0/104\": must not have an IPv4-mapped IPv6 address",
        ]
    );
}

#[test]
fn an_old_form_of_a_cidr_is_accepted_if_the_previous_version_had_it() {
    let object = read(policy("networking.k8s.io/v1", "NetworkPolicy", OLD_CIDRS), &manifest()).unwrap().unwrap();
    let mut stored = texts(&object);
    assert_eq!(stored.len(), 3);
    assert_eq!(new_faults(&object, &stored), []);
    stored.remove("10.1.2.3/8");
    stored.insert("10.0.0.0/8".to_owned());
    assert_eq!(new_faults(&object, &stored).len(), 1, "the text counts, not the network");
}

#[test]
fn a_stored_selector_may_have_values_that_older_api_servers_accepted() {
    let spec = "{podSelector: {matchExpressions: [{key: app, operator: In, values: ['my web']}]}}";
    let value = policy("networking.k8s.io/v1", "NetworkPolicy", spec);
    assert_eq!(faults(read(value.clone(), &Origin::Cluster)), Vec::<String>::new());
    assert_eq!(faults(read(value, &manifest())).len(), 1);
}

#[test]
fn an_invalid_object_of_a_cluster_is_refused_too() {
    let value = policy("kguardian.dev/v1alpha1", "AuditNetworkPolicy", "{ingress: [{from: [{}]}]}");
    let error = read(value, &Origin::Cluster).unwrap_err();
    assert_eq!(
        error.to_string(),
        "AuditNetworkPolicy default/web: spec.ingress[0].from[0]: selects no peer: write podSelector, namespaceSelector or \
         ipBlock; {} selects all pods"
    );
}
