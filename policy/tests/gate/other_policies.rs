//! Policies of CNIs' and meshes' own kinds, and policies inside objects of other kinds, never pass unread.

use foretell_objects::model::other_policies::{OTHER_POLICY_KINDS, Role};
use foretell_policy::report::data::Decision;

use crate::manifests::policy;
use crate::stage::{NOBODY, Stage, shop};

/// Files before and after a change.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<(&'a str, &'a str)>);

fn staged((_, base, head): &Case<'_>) -> Stage {
    let mut stage = shop();
    for (path, text) in base {
        stage = stage.base(path, text);
    }
    for (path, text) in head {
        stage = stage.head(path, text);
    }
    stage
}

/// What happens to an object, of which there are two versions: cases that change it, and cases that do not.
fn cases<'a>(old: &'a str, new: &'a str, reformatted: &'a str) -> (Vec<Case<'a>>, Vec<Case<'a>>) {
    let changes = vec![
        ("added", vec![], vec![("p.yaml", old)]),
        ("changed", vec![("p.yaml", old)], vec![("p.yaml", new)]),
        ("removed", vec![("p.yaml", old)], vec![]),
        ("moved and changed", vec![("p.yaml", old)], vec![("q.yaml", new)]),
    ];
    let others = vec![
        ("unchanged", vec![("p.yaml", old)], vec![("p.yaml", old)]),
        ("moved", vec![("p.yaml", old)], vec![("x/q.yaml", old)]),
        ("reformatted", vec![("p.yaml", old)], vec![("p.yaml", reformatted)]),
        ("moved and reformatted", vec![("p.yaml", old)], vec![("x/q.yaml", reformatted)]),
    ];
    (changes, others)
}

/// The whole report is looked at where the object is added, which is enough: the rest is what the change holds.
fn assert_undecided(case: &Case<'_>, what: &str, names: &[&str]) {
    let (done, stage) = (case.0, staged(case));
    let change = stage.change();
    let [part] = &change.undecided[..] else { panic!("{what}, {done}: {change:?}") };
    assert!(change.not_judged.is_empty() && !change.leaves_objects_alone(), "{what}, {done}: {change:?}");
    let sentence = part.to_string();
    for name in names {
        assert!(sentence.contains(name), "{what}, {done}: {name}: {sentence}");
    }
    if done == "added" {
        let report = stage.judge();
        assert_eq!((report.decision, report.exit_status), (Decision::Undecided, 2), "{what}: {report:#?}");
        assert!(!report.headline.contains("no policy changed"), "{what}: {}", report.headline);
        assert!(report.reasons.iter().any(|reason| reason.contains(&part.what)), "{what}: {report:#?}");
    }
}

fn assert_silent(case: &Case<'_>, what: &str) {
    let change = staged(case).change();
    assert!(change.undecided.is_empty() && change.not_judged.is_empty(), "{what}, {}: {change:?}", case.0);
    assert!(change.leaves_objects_alone(), "{what}, {}: {change:?}", case.0);
}

/// An object of any kind, with a spec of this value.
fn other(api_version: &str, kind: &str, value: u8) -> String {
    format!(
        "apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: it\n  namespace: shop\nspec:\n  a: {value}\n  b: [x]\n"
    )
}

fn reformatted(api_version: &str, kind: &str) -> String {
    format!(
        "# why\nkind: {kind}\napiVersion: {api_version}\nspec: {{b: [\"x\"], a: 1, c: null}} # it\nmetadata: {{namespace: shop, name: \"it\", labels: {{helm.sh/chart: a-2}}, annotations: {{note: b}}}}\n"
    )
}

#[test]
fn a_change_of_a_policy_of_another_kind_cannot_be_decided() {
    for row in OTHER_POLICY_KINDS {
        for group in row.groups {
            let (version, kind) = (format!("{group}/v1"), row.kind);
            let (old, new) = (other(&version, kind, 1), other(&version, kind, 2));
            // A set is selected by its labels.
            let again = match row.role {
                Role::Set => old.replace("  a: 1\n", "  a: 1 # one\n"),
                _ => reformatted(&version, kind),
            };
            let (changes, others) = cases(&old, &new, &again);
            for case in &changes {
                let what = format!("{kind} of {group}, {}", case.0);
                if row.role == Role::NotEnforced {
                    let report = staged(case).judge();
                    assert_eq!((report.exit_status, report.not_judged.len()), (0, 1), "{what}: {report:#?}");
                    assert!(!report.headline.contains("no policy changed"), "{what}: {}", report.headline);
                    assert!(report.not_judged[0].why.contains(kind), "{what}: {report:#?}");
                    continue;
                }
                let file = if case.0 == "moved and changed" { "q.yaml, document 1" } else { "p.yaml, document 1" };
                let done = case.0.rsplit(' ').next().unwrap();
                assert_undecided(case, &what, &[kind, group, "it", row.project, file, done, "review by hand"]);
            }
            for case in &others {
                assert_silent(case, &format!("{kind} of {group}, {}", case.0));
            }
        }
    }
}

#[test]
fn a_kind_that_is_unknown_and_named_like_a_policy_cannot_be_decided() {
    for (version, kind, is_policy) in [
        ("example.com/v1", "ExampleNetworkPolicy", true),
        ("example.com/v1", "NetworkPolicy", true),
        ("example.com/v1", "NetworkPolicySet", true),
        ("example.com/v1", "AuthorizationPolicy", true),
        ("cilium.io/v3", "CiliumHostNetworkPolicy", true),
        ("stats.antrea.io/v1alpha1", "NetworkPolicyStats", false),
        ("example.com/v1", "NetworkPolicyReport", false),
        ("cilium.io/v2", "CiliumEgressGatewayPolicy", false),
        ("cilium.io/v2", "CiliumNode", false),
        ("k8s.ovn.org/v1", "EgressQoS", false),
        ("k8s.ovn.org/v1", "AdminPolicyBasedExternalRoute", false),
        ("example.com/v1", "Tier", false),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", false),
        ("policy/v1", "PodDisruptionBudget", false),
    ] {
        let (old, new, again) = (other(version, kind, 1), other(version, kind, 2), reformatted(version, kind));
        let (changes, others) = cases(&old, &new, &again);
        for case in &changes {
            let what = format!("{kind}, {}", case.0);
            if is_policy {
                assert_undecided(case, &what, &[kind, "shop/it"]);
            } else {
                assert_silent(case, &what);
            }
        }
        for case in &others {
            assert_silent(case, &format!("{kind}, {}", case.0));
        }
    }
}

#[test]
fn what_counts_of_a_policy_of_another_kind_is_all_that_its_project_reads() {
    let with = |version: &str, kind: &str, rest: &str| format!("apiVersion: {version}\nkind: {kind}\n{rest}\n");
    let cilium = |rest: &str| with("cilium.io/v2", "CiliumNetworkPolicy", rest);
    let set = |rest: &str| with("projectcalico.org/v3", "NetworkSet", rest);
    let istio = |rest: &str| with("security.istio.io/v1", "AuthorizationPolicy", rest);
    for (what, old, new, counts) in [
        (
            "its second list",
            cilium("metadata: {name: a}\nspecs: [{}]"),
            cilium("metadata: {name: a}\nspecs: [{}, {}]"),
            true,
        ),
        (
            "one of two lists",
            cilium("metadata: {name: a}\nspec: {x: 1}\nspecs: [{}]"),
            cilium("metadata: {name: a}\nspec: {x: 2}\nspecs: [{}]"),
            true,
        ),
        (
            "fields at the top",
            with("network.openshift.io/v1", "NetNamespace", "metadata: {name: a}\nnetid: 1"),
            with("network.openshift.io/v1", "NetNamespace", "metadata: {name: a}\nnetid: 0"),
            true,
        ),
        (
            "a label of a set",
            set("metadata: {name: a, labels: {x: a}}"),
            set("metadata: {name: a, labels: {x: b}}"),
            true,
        ),
        (
            "a label of a policy",
            cilium("metadata: {name: a}\nspec: {}"),
            cilium("metadata: {name: a, labels: {x: b}}\nspec: {}"),
            false,
        ),
        (
            "its status",
            cilium("metadata: {name: a}\nspec: {}"),
            cilium("metadata: {name: a}\nspec: {}\nstatus: {x: 1}"),
            false,
        ),
        (
            "its version",
            cilium("metadata: {name: a}\nspec: {}"),
            cilium("metadata: {name: a}\nspec: {}").replace("/v2", "/v2alpha1"),
            false,
        ),
        (
            "its namespace, which was the default",
            cilium("metadata: {name: a}\nspec: {}"),
            cilium("metadata: {name: a, namespace: default}\nspec: {}"),
            false,
        ),
        (
            "the mode of a dry run",
            istio("metadata: {name: a, annotations: {istio.io/dry-run: \"true\"}}\nspec: {}"),
            istio("metadata: {name: a}\nspec: {}"),
            true,
        ),
    ] {
        let report = shop().base("p.yaml", &old).head("p.yaml", &new).judge();
        assert_eq!(report.exit_status, if counts { 2 } else { 0 }, "{what}: {:?}", report.undecided);
        assert!(report.not_judged.is_empty(), "{what}");
    }
    let dry = istio("metadata: {name: a, annotations: {istio.io/dry-run: \"true\"}}\nspec: {}");
    let report = shop().head("p.yaml", &dry).judge();
    assert_eq!((report.exit_status, report.not_judged.len()), (0, 1), "{report:#?}");
}

#[test]
fn a_policy_of_another_kind_does_not_hide_a_policy_that_is_judged() {
    let both = format!("{}---\n{}", policy("shop", "it", NOBODY), other("cilium.io/v2", "CiliumNetworkPolicy", 1));
    let report = shop().head("p.yaml", &both).flow("web -> cart TCP 8080").judge();
    assert_eq!((report.exit_status, report.undecided.len(), report.denials.len()), (2, 1, 1));
    assert_eq!(report.undecided[0].places, ["p.yaml, document 2"]);
}

#[test]
fn a_template_of_a_policy_of_another_kind_cannot_be_decided() {
    let template = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: {{ .Release.Name }}}\n";
    let added = ("added", vec![], vec![("chart/templates/p.yaml", template)]);
    assert_undecided(&added, "a template", &["chart/templates/p.yaml", "helm template chart"]);
    let substituted = other("cilium.io/v2", "CiliumNetworkPolicy", 1).replace("[x]", "[\"${X}\"]");
    let beside = format!("{substituted}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n");
    let case: Case<'_> = ("beside", vec![("p.yaml", &substituted)], vec![("p.yaml", &beside)]);
    assert_silent(&case, "a substitution");
}

/// Indents each line.
fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// An object with a policy in it, and the same object with something else in it changed.
fn holders(policy: &str) -> Vec<(&'static str, String, String)> {
    let item = |by: usize| {
        let text = indented(policy, by);
        format!("{}- {}", " ".repeat(by - 2), text.trim_start())
    };
    let below = |by: usize| indented(policy, by);
    let list = |by: usize| format!("{0}apiVersion: v1\n{0}kind: List\n{0}items:\n{1}", " ".repeat(by), item(by + 2));
    let holder = |head: &str, manifest: String, tail: &str| format!("{head}{manifest}{tail}");
    let template =
        "apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {name: it, namespace: shop}\nobjects:\n";
    let work = "apiVersion: work.open-cluster-management.io/v1\nkind: ManifestWork\nmetadata: {name: it, namespace: shop}\nspec:\n  workload:\n    manifests:\n";
    let set = "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {name: it, namespace: shop}\nspec:\n  resources:\n";
    let object = "apiVersion: kubernetes.crossplane.io/v1alpha2\nkind: Object\nmetadata: {name: it}\nspec:\n  forProvider:\n    manifest:\n";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, namespace: shop}\ndata:\n  p.yaml: |\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: it, namespace: shop}\nstringData:\n  p.yaml: |\n";
    let governed = "apiVersion: policy.open-cluster-management.io/v1\nkind: Policy\nmetadata: {name: it, namespace: shop}\nspec:\n  policy-templates:\n  - objectDefinition:\n      apiVersion: policy.open-cluster-management.io/v1\n      kind: ConfigurationPolicy\n      metadata: {name: x}\n      spec:\n        object-templates:\n        - objectDefinition:\n";
    vec![
        ("Template", holder(template, item(4), ""), holder(template, item(4), "parameters: [{name: APP}]\n")),
        (
            "ManifestWork",
            holder(work, item(8), ""),
            holder(work, item(8), "  deleteOption: {propagationPolicy: Orphan}\n"),
        ),
        ("ResourceSet", holder(set, item(6), ""), holder(set, item(6), "  wait: true\n")),
        ("Object", holder(object, below(6), ""), holder(object, below(6), "  providerConfigRef: {name: x}\n")),
        ("ConfigMap", holder(map, below(4), ""), holder(map, below(4), "  other: x\n")),
        ("Secret", holder(secret, below(4), ""), holder(secret, below(4), "  other: x\n")),
        ("Policy", holder(governed, below(12), ""), holder(governed, below(12), "  disabled: false\n")),
        (
            "Template",
            holder(template, item(4).replace("    ", "    "), ""),
            holder(template, item(4), "message: hello\n"),
        ),
        (
            "ManifestWork",
            holder(work, format!("      - {}", list(8).trim_start()), ""),
            holder(work, format!("      - {}", list(8).trim_start()), "  executor: {}\n"),
        ),
        ("ConfigMap", holder(map, list(4), ""), holder(map, list(4), "  other: x\n")),
    ]
}

#[test]
fn a_change_of_a_policy_inside_an_object_of_another_kind_cannot_be_decided() {
    let judged_kind = |app: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: inner\nspec:\n  podSelector: {{matchLabels: {{app: {app}}}}}\n"
        )
    };
    let others = |app: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: inner\nspec:\n  endpointSelector: {{matchLabels: {{app: {app}}}}}\n"
        )
    };
    let audited = |app: &str| {
        judged_kind(app).replace("networking.k8s.io/v1", "kguardian.dev/v1alpha1").replace("NetworkP", "AuditNetworkP")
    };
    for (inner, policy) in [
        ("NetworkPolicy", &judged_kind as &dyn Fn(&str) -> String),
        ("CiliumNetworkPolicy", &others),
        ("AuditNetworkPolicy", &audited),
    ] {
        for ((kind, old, beside), (_, new, _)) in holders(&policy("a")).into_iter().zip(holders(&policy("b"))) {
            let again = old.replace("app: a", "\"app\": \"a\"").replace("      ", "      ");
            let (changes, others) = cases(&old, &new, &again);
            for case in &changes {
                let what = format!("{inner} in {kind}, {}:\n{old}", case.0);
                let name = format!("{inner} inner");
                assert_undecided(case, &what, &[kind, "it", &name, ".yaml, document 1"]);
            }
            for case in &others {
                assert_silent(case, &format!("{inner} in {kind}, {}", case.0));
            }
            let elsewhere: Case<'_> = ("beside", vec![("p.yaml", &old)], vec![("p.yaml", &beside)]);
            assert_silent(&elsewhere, &format!("{inner} in {kind}, beside it:\n{beside}"));
        }
    }
}

#[test]
fn an_object_that_refers_to_policies_and_contains_none_is_silent() {
    for (what, text) in [
        (
            "a ConfigMap",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {p.yaml: \"kind: Deployment\\n\"}\n",
        ),
        (
            "settings of an exporter",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  c.yaml: |\n    resources:\n    - groupVersionKind: {group: cilium.io, version: v2, kind: CiliumNetworkPolicy}\n",
        ),
        (
            "encoded data",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {p.yaml: a2luZDogTmV0d29ya1BvbGljeQ==}\n",
        ),
        (
            "a reference",
            "apiVersion: example.com/v1\nkind: Check\nmetadata: {name: a}\nspec: {targetRef: {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, name: x}}\n",
        ),
        (
            "an annotation",
            "apiVersion: example.com/v1\nkind: Check\nmetadata: {name: a, annotations: {example: \"apiVersion: networking.k8s.io/v1\\nkind: NetworkPolicy\\nmetadata: {name: x}\"}}\n",
        ),
        (
            "a role",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{apiGroups: [cilium.io], resources: [ciliumnetworkpolicies], verbs: [get]}]\n",
        ),
        (
            "a definition",
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: networkpolicies.crd.projectcalico.org}\nspec: {group: crd.projectcalico.org, names: {kind: NetworkPolicy}}\n",
        ),
        (
            "a validating rule",
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: a}\nspec: {rules: [{name: x, match: {any: [{resources: {kinds: [NetworkPolicy]}}]}, validate: {message: m}}]}\n",
        ),
        (
            "a staged policy in a List",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  p.yaml: |\n    apiVersion: projectcalico.org/v3\n    kind: StagedNetworkPolicy\n    metadata: {name: a}\n",
        ),
    ] {
        assert_silent(&("added", vec![], vec![("p.yaml", text)]), what);
    }
}

#[test]
fn a_rule_that_generates_or_changes_policies_cannot_be_decided() {
    let kyverno = |rule: &str| {
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: it}}\nspec:\n  rules:\n  - name: r\n    match: {{any: [{{resources: {{kinds: [Namespace]}}}}]}}\n{rule}"
        )
    };
    let data = |port: &str| {
        kyverno(&format!(
            "    generate: {{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, name: x, data: {{spec: {{podSelector: {{}}, policyTypes: [{port}]}}}}}}\n"
        ))
    };
    let cloned = |name: &str| {
        kyverno(&format!(
            "    generate: {{cloneList: {{namespace: {name}, kinds: [networking.k8s.io/v1/NetworkPolicy]}}}}\n"
        ))
    };
    let each = |name: &str| {
        kyverno(&format!(
            "    generate: {{foreach: [{{list: x, apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, name: {name}}}]}}\n"
        ))
    };
    let mutated = |name: &str| {
        kyverno(&format!(
            "    mutate: {{targets: [{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, name: {name}}}], patchStrategicMerge: {{}}}}\n"
        ))
    };
    let cel = |text: &str| {
        format!(
            "apiVersion: policies.kyverno.io/v1alpha1\nkind: GeneratingPolicy\nmetadata: {{name: it}}\nspec: {{variables: [{{name: x, expression: '[{{\"kind\": dyn(\"NetworkPolicy\"), \"spec\": {text}}}]'}}]}}\n"
        )
    };
    for (what, old, new) in [
        ("data", data("Ingress"), data("Egress")),
        ("a list to clone", cloned("a"), cloned("b")),
        ("one for each", each("a"), each("b")),
        ("a mutation", mutated("a"), mutated("b")),
        ("an expression", cel("1"), cel("2")),
    ] {
        let again = format!("# why\n{}", old.replace("name: it", "name: \"it\""));
        let (changes, others) = cases(&old, &new, &again);
        for case in &changes {
            assert_undecided(case, &format!("{what}, {}", case.0), &["it", "polic"]);
        }
        for case in &others {
            assert_silent(case, &format!("{what}, {}", case.0));
        }
    }
}

#[test]
fn a_parameter_counts_if_a_policy_inside_may_use_it() {
    let template = |app: &str, value: &str, described: &str| {
        format!(
            "apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {{name: it}}\nobjects:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata: {{name: x}}\n  spec: {{podSelector: {{matchLabels: {{app: \"{app}\"}}}}}}\nparameters:\n- {{name: APP, value: {value}, description: {described}}}\n"
        )
    };
    let set = |app: &str, value: &str| {
        format!(
            "apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {{name: it}}\nspec:\n  inputs: [{{app: {value}}}]\n  resourcesTemplate: |\n    apiVersion: networking.k8s.io/v1\n    kind: NetworkPolicy\n    metadata: {{name: x}}\n    spec: {{podSelector: {{matchLabels: {{app: {app}}}}}}}\n"
        )
    };
    for (what, old, new, counts) in [
        ("a value", template("${APP}", "a", "x"), template("${APP}", "b", "x"), true),
        ("its description", template("${APP}", "a", "x"), template("${APP}", "a", "y"), false),
        ("a value that it does not use", template("web", "a", "x"), template("web", "b", "x"), false),
        ("an input", set("<< inputs.app >>", "a"), set("<< inputs.app >>", "b"), true),
        ("an input that it does not use", set("web", "a"), set("web", "b"), false),
    ] {
        let report = shop().base("p.yaml", &old).head("p.yaml", &new).judge();
        assert_eq!(report.exit_status, if counts { 2 } else { 0 }, "{what}: {:?}", report.undecided);
    }
}

#[test]
fn a_text_that_is_no_yaml_and_seems_to_contain_a_policy_cannot_be_decided() {
    let script = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: it, namespace: shop}}\ndata:\n  apply.sh: |\n    kubectl apply -f - <<END\n    apiVersion: networking.k8s.io/v1\n    kind: NetworkPolicy\n    metadata: {{name: {name}}}\n    END\n"
        )
    };
    let (old, new) = (script("a"), script("b"));
    let case: Case<'_> = ("changed", vec![("p.yaml", &old)], vec![("p.yaml", &new)]);
    assert_undecided(&case, "a script", &["ConfigMap shop/it", "seems to contain a policy"]);
}

/// The notes about policies that are not judged, of a change that denies `web -> cart` and `prom -> cart`, where these objects are in the
/// cluster.
fn notes(live: &[String]) -> Vec<String> {
    let mut stage = shop().head("np.yaml", &policy("shop", "it", NOBODY));
    for object in live {
        stage = stage.live(object);
    }
    let report = stage.flow("web -> cart TCP 8080").flow("prom -> cart TCP 8080").judge();
    assert_eq!(report.denials.len(), 2, "{live:?}");
    report.notes.into_iter().filter(|note| note.starts_with("not judged: ")).collect()
}

#[test]
fn a_policy_of_another_kind_in_the_cluster_is_named_if_it_may_select_an_end_of_a_judged_connection() {
    let live = |version: &str, kind: &str, place: &str, rest: &str| {
        format!("{{apiVersion: {version}, kind: {kind}, metadata: {{{place}}}, {rest}}}")
    };
    let cilium = |namespace: &str, selector: &str| {
        let place = format!("name: it, namespace: {namespace}");
        live("cilium.io/v2", "CiliumNetworkPolicy", &place, &format!("spec: {{endpointSelector: {selector}}}"))
    };
    let istio = |namespace: &str, selector: &str| {
        let place = format!("name: it, namespace: {namespace}");
        live("security.istio.io/v1", "AuthorizationPolicy", &place, &format!("spec: {{selector: {selector}}}"))
    };
    for (what, object, expected) in [
        (
            "the subject",
            cilium("shop", "{matchLabels: {app: cart}}"),
            Some(
                "CiliumNetworkPolicy shop/it (cilium.io) selects Deployment shop/cart, whose connections are judged here without it",
            ),
        ),
        ("with a source", cilium("shop", "{matchLabels: {\"k8s:app\": cart}}"), Some("selects Deployment shop/cart,")),
        (
            "the peer",
            cilium("ops", "{matchExpressions: [{key: app, operator: In, values: [prom]}]}"),
            Some("selects Deployment ops/prom,"),
        ),
        ("all of a namespace", cilium("shop", "{}"), Some("selects Deployment shop/cart, Deployment shop/web,")),
        (
            "by more than labels",
            cilium("shop", "{matchLabels: {app: cart, \"k8s:io.kubernetes.pod.namespace\": shop}}"),
            Some("may select Deployment shop/cart,"),
        ),
        ("another pod", cilium("shop", "{matchLabels: {app: pay}}"), None),
        ("another namespace", cilium("data", "{}"), None),
        (
            "the second spec",
            live(
                "cilium.io/v2",
                "CiliumNetworkPolicy",
                "name: it, namespace: shop",
                "specs: [{endpointSelector: {matchLabels: {app: pay}}}, {endpointSelector: {matchLabels: {app: web}}}]",
            ),
            Some("selects Deployment shop/web,"),
        ),
        (
            "in the cluster",
            live(
                "cilium.io/v2",
                "CiliumClusterwideNetworkPolicy",
                "name: it",
                "spec: {endpointSelector: {matchLabels: {app: web}}}",
            ),
            Some("CiliumClusterwideNetworkPolicy it (cilium.io) selects Deployment shop/web,"),
        ),
        ("nodes", live("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "name: it", "spec: {nodeSelector: {}}"), None),
        (
            "an expression",
            live("crd.projectcalico.org/v1", "NetworkPolicy", "name: it, namespace: shop", "spec: {selector: all()}"),
            Some("NetworkPolicy shop/it (crd.projectcalico.org) may select Deployment shop/cart, Deployment shop/web,"),
        ),
        (
            "a staged policy",
            live("projectcalico.org/v3", "StagedNetworkPolicy", "name: it, namespace: shop", "spec: {selector: all()}"),
            None,
        ),
        ("a set", live("projectcalico.org/v3", "NetworkSet", "name: it, namespace: shop", "spec: {nets: []}"), None),
        (
            "an egress firewall",
            live("k8s.ovn.org/v1", "EgressFirewall", "name: default, namespace: ops", "spec: {egress: []}"),
            Some("may select Deployment ops/prom,"),
        ),
        ("of a mesh", istio("shop", "{matchLabels: {app: cart}}"), Some("selects Deployment shop/cart,")),
        (
            "of a mesh, in its root namespace",
            istio("istio-system", "{matchLabels: {app: prom}}"),
            Some("selects Deployment ops/prom,"),
        ),
        ("of a mesh, elsewhere", istio("data", "{matchLabels: {app: prom}}"), None),
        (
            "of a whole mesh",
            live("kuma.io/v1alpha1", "MeshTrafficPermission", "name: it, namespace: kuma-system", "spec: {}"),
            Some("may select Deployment ops/prom, Deployment shop/cart, Deployment shop/web,"),
        ),
        (
            "in shadow mode",
            live(
                "kuma.io/v1alpha1",
                "MeshTrafficPermission",
                "name: it, namespace: kuma-system, labels: {kuma.io/effect: shadow}",
                "spec: {}",
            ),
            None,
        ),
    ] {
        let notes = notes(&[object]);
        match expected {
            Some(part) => assert!(matches!(&notes[..], [note] if note.contains(part)), "{what}: {notes:?}"),
            None => assert!(notes.is_empty(), "{what}: {notes:?}"),
        }
    }
}

#[test]
fn many_policies_of_one_kind_and_namespace_are_one_sentence() {
    let many: Vec<String> = (1..=5)
        .map(|n| format!("{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: p{n}, namespace: shop}}, spec: {{endpointSelector: {{matchLabels: {{app: cart}}}}}}}}"))
        .collect();
    assert_eq!(
        notes(&many),
        [
            "not judged: 5 objects of kind CiliumNetworkPolicy (cilium.io) in namespace shop select Deployment shop/cart, whose \
          connections are judged here without them: p1, p2, p3 and 2 more"
        ]
    );
    let beside = shop().live(&many[0]).flow("web -> cart TCP 8080").judge();
    assert!(beside.notes.is_empty(), "nothing is judged: {:?}", beside.notes);
}
