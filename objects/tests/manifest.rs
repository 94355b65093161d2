//! Reading the documents of a text.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use foretell_objects::manifest::document::Document;
use foretell_objects::manifest::documents::documents;
use foretell_objects::manifest::kinds::{may_hold_objects, seems_to_hold_policy};
use proptest::prelude::*;
use serde_json::{Value, json};

fn values(text: &str) -> Vec<Value> {
    documents(text).into_iter().map(|document| document.value.unwrap()).collect()
}

fn error(text: &str) -> String {
    let documents = documents(text);
    let Some(Document { number, value: Err(error), .. }) = documents.iter().find(|document| document.value.is_err())
    else {
        panic!("no error in {text:?}, but {documents:?}")
    };
    format!("document {number}, {error}")
}

#[test]
fn documents_are_numbered_and_empty_ones_are_skipped() {
    for (text, numbers) in [
        ("", vec![]),
        ("# only a comment\n", vec![]),
        ("a: 1", vec![1]),
        ("---\na: 1\n", vec![1]),
        ("# licence\n\n---\na: 1\n---\nb: 1\n", vec![1, 2]),
        ("%YAML 1.2\n---\na: 1\n", vec![1]),
        ("a: 1\n---\n# nothing\n---\nnull\n--- # marked\nb: 1\n", vec![1, 4]),
        ("a: 1\r\n---\r\nb: 1\r\n", vec![1, 2]),
        ("\u{feff}a: 1\n--- {b: 1}\n...\n", vec![1, 2]),
        ("a: |\n  --- no marker\n  -----\nb: ----\n", vec![1]),
        (r#"{"a":1}{"b":1} {"c":1}"#, vec![1, 2, 3]),
        ("{a: 1, b: [2]}\n---\n{c: 1}\n", vec![1, 2]),
        ("{\"a\":1}\n---\n{\"b\":1}\n", vec![1, 2]),
    ] {
        assert_eq!(documents(text).iter().map(|document| document.number).collect::<Vec<_>>(), numbers, "{text:?}");
        values(text);
    }
}

#[test]
fn scalars_have_the_meaning_that_kubectl_gives_them() {
    assert_eq!(
        values("[yes, ON, n, 'yes', 0644, 0x10, 1_000, 2026-12-31, 12:30, ~, 1e3, v1, 010.0.0.1]\n"),
        [json!([true, true, false, "yes", 420, 16, 1000, "2026-12-31", "12:30", null, 1000.0, "v1", "010.0.0.1"])]
    );
    assert_eq!(values("80: a\nyes: b\n"), [json!({"80": "a", "yes": "b"})]);
    assert_eq!(values("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n")[0]["use"], json!({"x": 1, "y": 3}));
}

#[test]
fn lists_are_flattened_at_any_depth() {
    let text = "
kind: List
apiVersion: v1
items:
- {kind: Pod, apiVersion: v1, metadata: {name: a}}
- kind: List
  items:
  - kind: NetworkPolicyList
    apiVersion: networking.k8s.io/v1
    items: [{metadata: {name: b}}, {metadata: {name: c}}]
---
kind: PodList
items: null
---
{kind: IPAMList, spec: {}}
---
{kind: List}
";
    let documents = documents(text);
    let items: Vec<_> = documents.iter().map(|document| (document.number, document.item.as_str())).collect();
    assert_eq!(
        items,
        [(1, "items[0]"), (1, "items[1].items[0].items[0]"), (1, "items[1].items[0].items[1]"), (2, ""), (3, "")]
    );
    assert_eq!(
        documents[2].value,
        Ok(json!({"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": "c"}}))
    );
}

#[test]
fn an_error_has_its_document_and_line_and_does_not_affect_other_documents() {
    let text = "a: 1\n---\nb: 1\nc: [1\n---\nd: 1\n";
    assert!(error(text).starts_with("document 2, line "), "{}", error(text));
    assert_eq!(documents(text).iter().filter(|document| document.value.is_ok()).count(), 2);
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3\n", "document 1, line 3: key `a` is given twice"),
        ("---\nx: 1\n---\na: {b: 1, b: 2}\n", "document 2, line 4: key `b` is given twice"),
        ("a: .nan\n", "document 1, line 1: "),
        ("? [1, 2]\n: a\n", "document 1, line 1: "),
        ("? {a: b}\n: a\n", "document 1, line 1: "),
        ("a: *nowhere\n", "document 1, line 1: "),
        ("{{ if .Values.on }}\nkind: Pod\n{{ end }}\n", "document 1, line "),
        ("a: b\n\tc: d\n", "document 1, line "),
        ("{\"a\": 1,\n \"a\": 2}", "document 1, line 2: key `a` is given twice"),
        ("{\"a\": 1} {\"b\"", "document 2, line 1: EOF while parsing an object"),
    ] {
        let error = error(text);
        assert!(error.starts_with(expected), "{text:?}: {error}");
        assert!(!error.contains('\n') && !error.contains(" at line"), "{error}");
    }
}

#[test]
fn alias_bombs_and_deep_nesting_are_errors() {
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let alias = format!("*a{}, ", n - 1);
        text + &format!("a{n}: &a{n} [{}]\n", alias.repeat(9))
    });
    for text in [
        bomb,
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        "- ".repeat(100_000),
        (0..1000).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n"),
        "a: &a [*a]\n".to_owned(),
    ] {
        assert!(documents(&text).iter().any(|document| document.value.is_err()), "{}", &text[..text.len().min(80)]);
    }
}

#[test]
fn large_documents_without_aliases_are_read() {
    let pod = "- {kind: Pod, apiVersion: v1, metadata: {name: a, namespace: b, labels: {c: d}}}\n";
    assert_eq!(values(&format!("kind: List\nitems:\n{}", pod.repeat(20_000))).len(), 20_000);
    assert_eq!(values(&"---\na: 1\n".repeat(5_000)).len(), 5_000);
}

#[test]
fn a_text_without_a_known_kind_is_not_parsed() {
    for (text, worth) in [
        ("apiVersion: v1\nkind: Service\n", true),
        (r#"{"kind":"NetworkPolicyList"}"#, true),
        ("kind: CiliumNetworkPolicy", true),
        ("x: &p NetworkPolicy\nkind: *p\n", true),
        ("\"k\\u0069nd\": Pod\n", true),
        ("kind: \"Network\\\n  Policy\"\n", true),
        ("kind: ConfigMap\n", false),
        ("services:\n  web: {image: nginx}\n", false),
        ("name: deploy\non: push\n", false),
    ] {
        assert_eq!(may_hold_objects(text.as_bytes()), worth, "{text:?}");
    }
}

#[test]
fn a_policy_is_recognised_in_texts_that_cannot_be_parsed() {
    for text in [
        "kind: NetworkPolicy\nmetadata: {name: {{ .Release.Name }}}\n",
        "  kind :  \"AuditNetworkPolicy\"\n",
        "{\"apiVersion\":\"x\",\"kind\":\"AuditException\",",
        "'kind': 'ClusterNetworkPolicy'",
        "- {target: {kind: NetworkPolicy}, patch: x",
        "kind: {{ .Values.kind }}\nspec:\n  podSelector: {}\n",
        "kind: {{ ternary \"AuditNetworkPolicy\" \"NetworkPolicy\" .Values.audit }}\n",
        "kind: {{ if .x }}Audit{{ end }}NetworkPolicy\n",
        "kind: ${KIND}\nspec:\n  policyTypes: [Ingress]\n",
        "{{- define \"x\" }}\npodSelector: {}\n{{- end }}\n",
        "{{ include \"common.network-policy\" . }}\n",
        "kind: !!str NetworkPolicy\n",
        "kind: # which\n  NetworkPolicy\n{{ x }}",
        "kind: &k NetworkPolicy\n",
        "kind:\n  NetworkPolicy\n",
        "? kind\n: NetworkPolicy\n",
        "{{- if .on }}kind: NetworkPolicy{{ end }}\n",
        "patch: \"{\\\"kind\\\": \\\"NetworkPolicy\\\"}\"",
        "patch: \"a: b\\nkind: NetworkPolicy\\n\"",
        "note: \"#1\" \nx: {a: \"b # c\", kind: NetworkPolicy}\n",
        "# don't\nkind: BaselineAdminNetworkPolicy\n",
        "{{/* why */}}\nkind: NetworkPolicy # {{ x }}\n",
        "kind: CiliumNetworkPolicy\n{{ x }}\n",
        "apiVersion: projectcalico.org/v3\nkind: Tier\n{{ x }}\n",
        "apiVersion: policy.linkerd.io/v1beta3\nkind: Server\n{{ x }}\n",
        "kind: ExampleNetworkPolicy\n{{ x }}\n",
    ] {
        assert!(seems_to_hold_policy(text), "{text:?}");
    }
}

#[test]
fn a_policy_is_not_recognised_in_texts_without_one() {
    for text in [
        "",
        "# kind: NetworkPolicy\nkind: Deployment\n{{ x }}\n",
        "kind: Deployment # not a kind: NetworkPolicy\n",
        "kind: Deployment\ndescription: a NetworkPolicy guards this {{ x }}\n",
        "{{/* kind: NetworkPolicy */}}\nkind: Deployment\n",
        "{{- /*\n kind: NetworkPolicy\n*/ -}}\nkind: Deployment\n",
        "mykind: NetworkPolicy\n{{ x }}\n",
        "kind: Tier\n{{ x }}\n",
        "kind: StagedNetworkPolicy\napiVersion: projectcalico.org/v3\n{{ x }}\n",
        "kind: NetworkPolicyStats\n{{ x }}\n",
        "kind: CiliumEgressGatewayPolicy\n{{ x }}\n",
        "kind: {{ .Values.kind }}\nspec: {replicas: 1}\n",
        "kind: NetworkPolicyReport\n",
        "kind: Deployment\n# podSelector: {}\n{{ x }}\n",
        "{{ if eq .Values.kind \"x\" }}\n",
        "{\"kind\":\"Deployment\",\"note\":\"NetworkPolicy\"",
    ] {
        assert!(!seems_to_hold_policy(text), "{text:?}");
    }
}

#[test]
fn looking_for_a_policy_in_one_long_line_is_fast() {
    let line = "{\"kind\":\"Deployment\",\"a\":\"# {{ x\"},".repeat(100_000);
    let start = std::time::Instant::now();
    assert!(!seems_to_hold_policy(&line));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// Texts of random fragments of YAML, JSON and templates.
fn snippets() -> impl Strategy<Value = String> {
    let words = [
        "kind",
        ":",
        " ",
        "\n",
        "---\n",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "#",
        "&a ",
        "*a",
        "<<: ",
        "!!binary ",
        "!x ",
        "|\n",
        ">-\n",
        "? ",
        "List",
        "items",
        "NetworkPolicy",
        "{{",
        "}}",
        "/*",
        "*/",
        "%YAML 1.2\n",
        "...\n",
        "\t",
        "\\u00",
        "é",
        "\u{feff}",
        "null",
        "0",
        ".nan",
        "1e999",
        ",",
        "\r\n",
        "podSelector",
        "\\",
        "include \"",
        "  ",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn reading_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = documents(&text);
        let _ = seems_to_hold_policy(&text);
        let _ = may_hold_objects(&bytes);
    }

    #[test]
    fn reading_yaml_like_text_never_panics(text in snippets()) {
        let _ = documents(&text);
        let _ = seems_to_hold_policy(&text);
    }

    #[test]
    fn written_json_is_read_back_equal(text in "[ -~é]{0,20}", number in any::<i64>()) {
        let value = json!({"kind": "Pod", "a": text, "b": [number, null, true]});
        prop_assert_eq!(values(&value.to_string()), vec![value.clone()]);
        prop_assert_eq!(values(&format!("---\n{}", serde_json::to_string_pretty(&value).unwrap())), vec![value]);
    }
}
