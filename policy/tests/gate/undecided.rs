//! What cannot be judged is never "may merge".

use foretell_policy::report::data::Decision;

use crate::manifests::policy;
use crate::stage::{EVERYBODY, NOBODY, denials, shop};

#[test]
fn what_a_change_touches_and_cannot_be_evaluated_makes_it_undecided() {
    let template = "{{- if .Values.on }}\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: {{ .Release.Name }}}\n{{- end }}\n";
    let bad_cidr = policy("shop", "it", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}");
    let unknown_field = policy("shop", "it", "{podSelector: {}, ingres: []}");
    for (path, text, says) in [
        ("chart/templates/np.yaml", template, "chart/templates/np.yaml"),
        ("np.yaml", bad_cidr.as_str(), "spec.ingress[0].from[0].ipBlock.cidr"),
        ("np.yaml", unknown_field.as_str(), "ingres"),
        ("np.yaml", "kind: NetworkPolicy\n\tapiVersion: [", "np.yaml"),
    ] {
        let report = shop().head(path, text).judge();
        assert_eq!((report.decision, report.exit_status), (Decision::Undecided, 2), "{text}");
        assert!(report.reasons.iter().any(|reason| reason.contains(says)), "{:?}", report.reasons);
        assert!(!report.undecided[0].fix.is_empty());
    }
}

#[test]
fn one_policy_in_two_files_that_do_not_agree_is_undecided_where_the_change_touches_it() {
    let stage = shop().both("a.yaml", &policy("shop", "it", NOBODY));
    let report = stage.head("b.yaml", &policy("shop", "it", EVERYBODY)).judge();
    assert_eq!(report.exit_status, 2);
    assert_eq!(report.undecided[0].places, ["a.yaml, document 1", "b.yaml, document 1"]);
}

#[test]
fn undecided_has_precedence_over_a_denial_which_is_listed_all_the_same() {
    let report = shop()
        .head("np.yaml", &policy("shop", "it", NOBODY))
        .head("bad.yaml", &policy("shop", "bad", "{podSelector: {}, ingres: []}"))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 2);
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
}

#[test]
fn files_outside_the_answer_are_named_and_do_not_block() {
    let report = shop()
        .both("chart/Chart.yaml", "apiVersion: v2\nname: chart\n")
        .head("chart/templates/web.yaml", "kind: Deployment\nmetadata: {name: {{ .Release.Name }}}\n")
        .judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    assert_eq!(report.not_judged[0].file, "chart/templates/web.yaml");
}

#[test]
fn host_bits_in_a_new_cidr_are_refused_only_where_the_cluster_does_so() {
    let node = |version: &str| {
        format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: n9}}, status: {{nodeInfo: {{kubeletVersion: {version}}}}}}}"
        )
    };
    let rule = |cidr: &str| {
        format!("{{podSelector: {{matchLabels: {{app: cart}}}}, ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]}}")
    };
    let (old, new) = (policy("shop", "it", &rule("10.0.0.0/8")), policy("shop", "it", &rule("10.0.0.1/8")));
    for (version, refused) in
        [(None, false), (Some("v1.35.4"), false), (Some("v1.36.0-rc.1+k3s1"), true), (Some("v1.40.1"), true)]
    {
        let stage = || version.iter().fold(shop(), |stage, version| stage.live(&node(version)));
        let report = stage().head("it.yaml", &new).judge();
        let said = |texts: Vec<&String>| texts.iter().any(|text| text.contains("\"10.0.0.1/8\" has bits set"));
        assert_eq!(report.decision == Decision::Undecided, refused, "{version:?}");
        assert_eq!(said(report.undecided.iter().map(|part| &part.what).collect()), refused, "{version:?}");
        assert_eq!(said(report.notes.iter().collect()), !refused, "{version:?}: {:?}", report.notes);
        // What is stored is accepted by every version.
        let report = stage().base("it.yaml", &new).head("it.yaml", &new.replace("app: cart", "app: pay")).judge();
        assert!(
            !said(report.notes.iter().chain(report.undecided.iter().map(|part| &part.what)).collect()),
            "{version:?}"
        );
        let report = stage().base("it.yaml", &old).head("it.yaml", &new).judge();
        assert_eq!(report.decision == Decision::Undecided, refused, "{version:?}: it is new here");
    }
}
