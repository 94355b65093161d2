//! Manifests of admin policies: what their definitions accept, what they refuse, and the error messages.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic rather than return errors")]

use std::collections::BTreeSet;

use foretell_objects::resource::cidrs::new_faults;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::read::read;
use serde_json::{Value, json};

const ADMIN: &str = "AdminNetworkPolicy";
const BASELINE: &str = "BaselineAdminNetworkPolicy";
const CLUSTER: &str = "ClusterNetworkPolicy";

fn manifest() -> Origin {
    Origin::Manifest { default_namespace: "shop".to_owned() }
}

/// A valid policy of a kind, with additional fields in its spec.
fn policy(kind: &str, fields: &str) -> Value {
    let (version, name, head) = match kind {
        ADMIN => ("v1alpha1", "it", "priority: 5, "),
        BASELINE => ("v1alpha1", "default", ""),
        _ => ("v1beta1", "it", "tier: Admin, priority: 5, "),
    };
    let text = format!(
        "{{apiVersion: policy.networking.k8s.io/{version}, kind: {kind}, metadata: {{name: {name}}}, spec: {{{head}subject: {{namespaces: {{}}}}, {fields}}}}}"
    );
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn faults(value: Value, origin: &Origin) -> Vec<String> {
    match read(value, origin) {
        Ok(object) => {
            object.unwrap();
            Vec::new()
        }
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

fn object(value: Value) -> Object {
    read(value, &manifest()).unwrap_or_else(|error| panic!("{error}")).unwrap()
}

/// An egress rule in the form of the kind, with this `to` and these ports.
fn egress(kind: &str, to: &str, ports: &str) -> Value {
    let field = if kind == CLUSTER { "protocols" } else { "ports" };
    let ports = if ports.is_empty() { String::new() } else { format!(", {field}: [{ports}]") };
    policy(kind, &format!("egress: [{{action: Deny, to: [{to}]{ports}}}]"))
}

#[test]
fn every_served_version_is_read_and_no_other() {
    for version in ["v1alpha2", "v1beta1"] {
        let mut value = policy(CLUSTER, "");
        value["apiVersion"] = json!(format!("policy.networking.k8s.io/{version}"));
        assert_eq!(object(value).kind(), Kind::ClusterNetworkPolicy);
    }
    let mut value = policy(CLUSTER, "");
    value["apiVersion"] = json!("policy.networking.k8s.io/v1");
    assert_eq!(
        faults(value, &manifest()),
        [
            "apiVersion: ClusterNetworkPolicy is not served as policy.networking.k8s.io/v1: write policy.networking.k8s.io/v1beta1 or policy.networking.k8s.io/v1alpha2"
        ]
    );
    // A kind of the same name in a foreign group.
    let mut value = policy(CLUSTER, "");
    value["apiVersion"] = json!("crd.antrea.io/v1beta1");
    assert_eq!(read(value, &manifest()), Ok(None));
}

#[test]
fn the_two_versions_of_one_policy_are_one_object() {
    let mut former = policy(CLUSTER, "");
    former["apiVersion"] = json!("policy.networking.k8s.io/v1alpha2");
    let (former, now) = (object(former), object(policy(CLUSTER, "")));
    assert_eq!(former.id(), now.id());
    assert_eq!(former.relevant_fields(), now.relevant_fields());
}

#[test]
fn admin_policies_have_no_namespace() {
    for kind in [ADMIN, BASELINE, CLUSTER] {
        let mut value = policy(kind, "");
        value["metadata"]["namespace"] = json!("shop");
        assert_eq!(object(value).id().namespace, "");
    }
}

#[test]
fn valid_policies_are_accepted() {
    for kind in [ADMIN, BASELINE, CLUSTER] {
        let allow = if kind == CLUSTER { "Accept" } else { "Allow" };
        for fields in [
            String::new(),
            "ingress: [], egress: []".to_owned(),
            format!(
                "ingress: [{{name: a, action: {allow}, from: [{{namespaces: {{matchLabels: {{a: b}}}}}}, {{pods: {{namespaceSelector: {{}}, podSelector: {{}}}}}}]}}]"
            ),
            "egress: [{action: Deny, to: [{nodes: {}}, {networks: [10.0.0.0/8, 'fd00::/8']}, {namespaces: {}}]}]"
                .to_owned(),
        ] {
            assert_eq!(faults(policy(kind, &fields), &manifest()), Vec::<String>::new(), "{kind} {fields}");
        }
    }
    for ports in ["{portNumber: {port: 80}}", "{portRange: {protocol: UDP, start: 1, end: 65535}}", "{namedPort: web}"]
    {
        assert_eq!(faults(egress(ADMIN, "{namespaces: {}}", ports), &manifest()), Vec::<String>::new(), "{ports}");
    }
    for ports in [
        "{tcp: {destinationPort: {number: 80}}}",
        "{udp: {destinationPort: {range: {start: 1, end: 2}}}}, {sctp: {destinationPort: {number: 65535}}}",
        "{destinationNamedPort: web}",
    ] {
        assert_eq!(faults(egress(CLUSTER, "{namespaces: {}}", ports), &manifest()), Vec::<String>::new(), "{ports}");
    }
    for names in ["[example.com]", "['*.example.com', example.com., a_b.example.com]"] {
        let value = egress(ADMIN, &format!("{{domainNames: {names}}}"), "");
        assert_eq!(faults(value, &manifest()), Vec::<String>::new(), "{names}");
    }
}

#[test]
fn a_status_is_never_a_fault() {
    let mut value = policy(ADMIN, "");
    value["status"] = json!({"conditions": [{"type": "Accepted"}]});
    assert_eq!(faults(value, &manifest()), Vec::<String>::new());
}

#[test]
fn an_absent_protocol_is_tcp() {
    let short = egress(ADMIN, "{namespaces: {}}", "{portNumber: {port: 80}}, {portRange: {start: 1, end: 2}}");
    let long = egress(
        ADMIN,
        "{namespaces: {}}",
        "{portNumber: {protocol: TCP, port: 80}}, {portRange: {protocol: TCP, start: 1, end: 2}}",
    );
    assert_eq!(object(short).relevant_fields(), object(long).relevant_fields());
}

#[test]
fn different_spellings_of_one_meaning_are_no_change() {
    let of = |to: &str| object(egress(CLUSTER, to, "")).relevant_fields();
    assert_eq!(of("{pods: {podSelector: {}}}"), of("{pods: {namespaceSelector: {matchLabels: {}}, podSelector: {}}}"));
    assert_ne!(of("{pods: {podSelector: {}}}"), of("{namespaces: {}}"), "as it is written, though it means the same");
    assert_ne!(of("{networks: [10.0.0.0/8]}"), of("{networks: [10.0.0.0/9]}"));
    let rules = |rules: &str| object(policy(ADMIN, rules)).relevant_fields();
    assert_eq!(rules("ingress: []"), rules("egress: []"));
    assert_eq!(
        rules("ingress: [{name: a, action: Deny, from: [{namespaces: {}}]}]"),
        rules("ingress: [{name: b, action: Deny, from: [{namespaces: {}}]}]"),
    );
}

#[test]
fn an_invalid_field_is_reported_with_its_path_and_the_fix() {
    let many = |count: usize, one: &str| vec![one; count].join(", ");
    let rule = "{action: Deny, from: [{namespaces: {}}]}";
    let peers = |count| format!("ingress: [{{action: Deny, from: [{}]}}]", many(count, "{namespaces: {}}"));
    for (kind, fields, fault) in [
        (ADMIN, "priorty: 1".to_owned(), "spec.priorty: unknown field: did you mean priority?"),
        (
            BASELINE,
            "priority: 1".to_owned(),
            "spec.priority: unknown field: the fields here are egress, ingress, subject",
        ),
        (ADMIN, format!("ingress: [{}]", many(101, rule)), "spec.ingress: 101 entries: at most 100 are allowed"),
        (CLUSTER, format!("ingress: [{}]", many(26, rule)), "spec.ingress: 26 entries: at most 25 are allowed"),
        (BASELINE, peers(101), "spec.ingress[0].from: 101 entries: at most 100 are allowed"),
        (CLUSTER, peers(26), "spec.ingress[0].from: 26 entries: at most 25 are allowed"),
        (CLUSTER, peers(0), "spec.ingress[0].from: an empty list matches nothing: write at least one entry"),
        (
            ADMIN,
            format!("ingress: [{{name: {}, action: Deny, from: [{{namespaces: {{}}}}]}}]", "n".repeat(101)),
            "spec.ingress[0].name: 101 characters: write at most 100",
        ),
        (
            ADMIN,
            "ingress: [{action: Accept, from: [{namespaces: {}}]}]".to_owned(),
            "spec.ingress[0].action: \"Accept\" is not an action of AdminNetworkPolicy: write Allow, Deny or Pass",
        ),
        (
            BASELINE,
            "ingress: [{action: Pass, from: [{namespaces: {}}]}]".to_owned(),
            "spec.ingress[0].action: \"Pass\" is not an action of BaselineAdminNetworkPolicy: write Allow or Deny",
        ),
        (
            CLUSTER,
            "egress: [{action: Allow, to: [{namespaces: {}}]}]".to_owned(),
            "spec.egress[0].action: \"Allow\" is not an action of ClusterNetworkPolicy: write Accept, Deny or Pass",
        ),
        (ADMIN, "ingress: [{from: [{namespaces: {}}]}]".to_owned(), "spec.ingress[0].action: required but missing"),
        (ADMIN, "ingress: [{action: Deny}]".to_owned(), "spec.ingress[0].from: required but missing"),
        (
            ADMIN,
            "ingress: [{action: Deny, from: [{}]}]".to_owned(),
            "spec.ingress[0].from[0]: selects no peer: write namespaces or pods, or in an egress rule nodes or networks",
        ),
        (
            ADMIN,
            "ingress: [{action: Deny, from: [{networks: [10.0.0.0/8]}]}]".to_owned(),
            "spec.ingress[0].from[0].networks: unknown field: the fields here are namespaces, pods",
        ),
        (
            CLUSTER,
            "egress: [{action: Deny, to: [{namespaces: {}, nodes: {}}]}]".to_owned(),
            "spec.egress[0].to[0]: combines several kinds of selectors: write each as a separate peer",
        ),
        (
            ADMIN,
            "egress: [{action: Deny, to: [{pods: {podSelector: {}}}]}]".to_owned(),
            "spec.egress[0].to[0].pods.namespaceSelector: required but missing: {} selects all namespaces",
        ),
        (
            CLUSTER,
            "egress: [{action: Deny, to: [{pods: {namespaceSelector: {}}}]}]".to_owned(),
            "spec.egress[0].to[0].pods.podSelector: required but missing",
        ),
        (
            BASELINE,
            "egress: [{action: Deny, to: [{domainNames: [example.com]}]}]".to_owned(),
            "spec.egress[0].to[0].domainNames: unknown field: a BaselineAdminNetworkPolicy has no domainNames",
        ),
        (
            ADMIN,
            "ingress: [{action: Deny, from: [{namespaces: {matchLabels: {a: 'b c'}}}]}]".to_owned(),
            "spec.ingress[0].from[0].namespaces.matchLabels.a: \"b c\": write an empty value, or letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        ),
    ] {
        assert!(
            faults(policy(kind, &fields), &manifest()).contains(&fault.to_owned()),
            "{fault}\n{:#?}",
            faults(policy(kind, &fields), &manifest())
        );
    }
}

#[test]
fn tier_priority_and_subject_are_checked() {
    for (kind, pointer, value, fault) in [
        (ADMIN, "/spec/priority", json!(-1), "spec.priority: -1 is not a priority: write a number from 0 to 1000"),
        (
            CLUSTER,
            "/spec/priority",
            json!(1001),
            "spec.priority: 1001 is not a priority: write a number from 0 to 1000",
        ),
        (CLUSTER, "/spec/tier", json!("admin"), "spec.tier: \"admin\" is not a tier: write Admin or Baseline"),
        (
            BASELINE,
            "/metadata/name",
            json!("other"),
            "metadata.name: \"other\": there is one BaselineAdminNetworkPolicy, and it is named default",
        ),
        (
            ADMIN,
            "/spec/subject",
            json!({}),
            "spec.subject: selects no pods: write namespaces or pods; namespaces: {} selects all",
        ),
        (
            ADMIN,
            "/spec/subject",
            json!({"namespaces": {}, "pods": {"namespaceSelector": {}, "podSelector": {}}}),
            "spec.subject: write namespaces or pods, not both",
        ),
        (ADMIN, "/spec", json!({"subject": {"namespaces": {}}}), "spec.priority: required but missing"),
        (CLUSTER, "/spec", json!({"priority": 1, "subject": {"namespaces": {}}}), "spec.tier: required but missing"),
    ] {
        let mut policy = policy(kind, "");
        *policy.pointer_mut(pointer).unwrap() = value;
        assert_eq!(faults(policy, &manifest()), [fault]);
    }
    for priority in [0, 1000] {
        let mut policy = policy(ADMIN, "");
        policy["spec"]["priority"] = json!(priority);
        assert_eq!(faults(policy, &manifest()), Vec::<String>::new());
    }
}

#[test]
fn ports_are_checked() {
    let pods = "{namespaces: {}}";
    let nodes = "nodes, networks and domainNames have no named ports: write their numbers, or another rule";
    for (kind, to, ports, fault) in [
        (ADMIN, pods, "{}", "ports[0]: write one of portNumber, namedPort and portRange"),
        (
            ADMIN,
            pods,
            "{namedPort: a, portNumber: {port: 1}}",
            "ports[0]: write one of portNumber, namedPort and portRange",
        ),
        (
            ADMIN,
            pods,
            "{portNumber: {port: 0}}",
            "ports[0].portNumber.port: 0 is not a port: write a number from 1 to 65535",
        ),
        (
            ADMIN,
            pods,
            "{portNumber: {protocol: tcp, port: 1}}",
            "ports[0].portNumber.protocol: \"tcp\" is not a protocol of a policy: write TCP, UDP or SCTP",
        ),
        (
            BASELINE,
            pods,
            "{portRange: {start: 1, end: 65536}}",
            "ports[0].portRange.end: 65536 is not a port: write a number from 1 to 65535",
        ),
        (CLUSTER, pods, "{}", "protocols[0]: write one of tcp, udp, sctp and destinationNamedPort"),
        (CLUSTER, pods, "{tcp: {}}", "protocols[0].tcp: write destinationPort: a protocol without a port is refused"),
        (CLUSTER, pods, "{tcp: {destinationPort: {}}}", "protocols[0].tcp.destinationPort: write number or range"),
        (
            CLUSTER,
            pods,
            "{udp: {destinationPort: {number: 70000}}}",
            "protocols[0].udp.destinationPort.number: 70000 is not a port: write a number from 1 to 65535",
        ),
        (
            CLUSTER,
            pods,
            "{sctp: {destinationPort: {range: {start: 5, end: 5}}}}",
            "protocols[0].sctp.destinationPort.range.start: 5 is not below end 5: write the first port",
        ),
    ] {
        assert_eq!(faults(egress(kind, to, ports), &manifest()), [format!("spec.egress[0].{fault}")]);
    }
    for (kind, to, ports) in [
        (ADMIN, "{nodes: {}}", "{namedPort: web}"),
        (BASELINE, "{namespaces: {}}, {networks: [10.0.0.0/8]}", "{portNumber: {port: 1}}, {namedPort: web}"),
        (CLUSTER, "{domainNames: [example.com]}", "{destinationNamedPort: web}"),
    ] {
        assert_eq!(faults(egress(kind, to, ports), &manifest()), [format!("spec.egress[0]: {nodes}")]);
    }
}

#[test]
fn networks_and_domain_names_are_checked() {
    for (peer, fault) in [
        ("{networks: []}", "networks: an empty list matches nothing: write at least one entry".to_owned()),
        ("{networks: [10.0.0.0/33]}", "networks[0]: \"10.0.0.0/33\": prefix length over 32".to_owned()),
        (
            "{networks: [10.0.0.0/8, 10.0.0.0/8]}",
            "networks[1]: \"10.0.0.0/8\" is listed twice: write it once".to_owned(),
        ),
        (
            "{domainNames: [localhost]}",
            "domainNames[0]: \"localhost\" is not a domain name: write a name with a dot, for example example.com or *.example.com"
                .to_owned(),
        ),
        (
            "{domainNames: ['a.*.com']}",
            "domainNames[0]: \"a.*.com\" is not a domain name: write a name with a dot, for example example.com or *.example.com"
                .to_owned(),
        ),
        (
            "{domainNames: ['-a.com']}",
            "domainNames[0]: \"-a.com\" is not a domain name: write a name with a dot, for example example.com or *.example.com"
                .to_owned(),
        ),
    ] {
        assert_eq!(faults(egress(CLUSTER, peer, ""), &manifest()), [format!("spec.egress[0].to[0].{fault}")]);
    }
    let many: Vec<String> = (0..26).map(|n| format!("10.0.{n}.0/24")).collect();
    let value = egress(ADMIN, &format!("{{networks: [{}]}}", many.join(", ")), "");
    assert_eq!(faults(value, &manifest()), ["spec.egress[0].to[0].networks: 26 entries: at most 25 are allowed"]);
}

#[test]
fn old_forms_of_networks_are_refused_if_the_definition_refuses_them() {
    let new_faults_of = |kind: &str, network: &str| -> Vec<String> {
        let object = object(egress(kind, &format!("{{networks: ['{network}']}}"), ""));
        new_faults(&object, &BTreeSet::new()).iter().map(ToString::to_string).collect()
    };
    for kind in [ADMIN, BASELINE, CLUSTER] {
        assert_eq!(new_faults_of(kind, "10.0.0.0/8").len(), 0);
        assert_eq!(new_faults_of(kind, "010.0.0.0/8").len(), 1, "{kind}");
        assert_eq!(new_faults_of(kind, "::ffff:10.0.0.0/104").len(), 1, "{kind}");
    }
    assert_eq!(new_faults_of(ADMIN, "10.1.2.3/8").len(), 0, "its definition accepts it");
    assert_eq!(
        new_faults_of(CLUSTER, "10.1.2.3/8"),
        [
            "spec.egress[0].to[0].networks[0]: \"10.1.2.3/8\" has bits set beyond the prefix length: write \"10.0.0.0/8\", or \"10.1.2.3/32\" for this single address"
        ]
    );
}

#[test]
fn objects_stored_in_a_cluster_are_read() {
    let stored = egress(ADMIN, "{domainNames: [_dmarc.example.com]}", "{portNumber: {protocol: ICMP, port: 1}}");
    assert_eq!(faults(stored.clone(), &Origin::Cluster), Vec::<String>::new());
    assert_eq!(faults(stored, &manifest()).len(), 2);
    let mut newer = policy(ADMIN, "");
    newer["spec"]["later"] = json!(1);
    assert_eq!(faults(newer, &Origin::Cluster), Vec::<String>::new());
}
