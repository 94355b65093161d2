//! Writing and reading the text of a snapshot.

use foretell_objects::manifest::documents::documents;
use foretell_policy::snapshot::text::{Snapshot, SnapshotError, check_complete};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::snapshot;

const PODS: &str = "
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, uid: u2}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, uid: u3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, uid: u1, annotations: {foretell.dev/gone-at: '2026-11-20T00:00:00Z'}}}
";

#[test]
fn a_snapshot_is_written_as_plain_yaml_in_a_fixed_order() {
    let text = snapshot("2026-11-21T12:00:00Z", PODS).into_text();
    let expected = "\
# Objects of a Kubernetes cluster, reduced to the fields that Foretell reads. Written by `foretell snapshot`.
---
apiVersion: foretell.dev/v1alpha1
cluster: one
kind: Snapshot
notServed:
- AuditException
objects:
  Namespace: 1
  Pod: 3
server: \"https://one.example:6443\"
taken: \"2026-11-21T12:00:00Z\"
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: Pod
metadata:
  annotations:
    foretell.dev/gone-at: \"2026-11-20T00:00:00Z\"
  name: a
  namespace: shop
  uid: u1
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  uid: u3
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: shop
  uid: u2
";
    assert_eq!(text, expected);
}

#[test]
fn a_written_snapshot_is_read_back_unchanged() {
    let before = snapshot("2026-11-21T12:00:00Z", PODS);
    let after = Snapshot::from_documents(documents(&before.clone().into_text())).unwrap();
    assert_eq!((after.taken, &after.cluster, &after.server), (before.taken, &before.cluster, &before.server));
    assert_eq!(after.not_served, before.not_served);
    assert_eq!(after.clone().into_text(), before.into_text());
    assert_eq!(after.gone_pods(), 1);
}

#[test]
fn a_truncated_text_is_refused_wherever_it_is_cut() {
    let text = snapshot("2026-11-21T12:00:00Z", PODS).into_text();
    let whole = documents(&text);
    for length in 1..whole.len() {
        let part: Vec<_> = whole[..length].to_vec();
        let values: Vec<Value> = part.iter().map(|document| document.value.clone().unwrap()).collect();
        let error = Snapshot::from_documents(part).unwrap_err();
        assert!(matches!(error, SnapshotError::Count { .. }), "{error}");
        assert_eq!(check_complete(&values), Err(error));
    }
}

#[test]
fn concatenated_snapshots_are_each_checked_for_completeness() {
    let text = snapshot("2026-11-21T12:00:00Z", PODS).into_text();
    let read = |text: &str| -> Vec<Value> { documents(text).into_iter().map(|it| it.value.unwrap()).collect() };
    assert_eq!(check_complete(&read(&format!("{text}{text}"))), Ok(()));
    assert_eq!(check_complete(&read(PODS)), Ok(()), "nobody says how many there are");
    let cut = text.rsplit_once("---").unwrap().0;
    let error = check_complete(&read(&format!("{cut}{text}"))).unwrap_err().to_string();
    assert_eq!(
        error,
        "contains 2 objects of kind Pod, and its first document states 3: the file was truncated or changed"
    );
}

#[test]
fn a_text_that_is_not_a_snapshot_is_refused() {
    for text in ["", PODS, "just text", "{apiVersion: v1, kind: Snapshot}"] {
        assert_eq!(Snapshot::from_documents(documents(text)), Err(SnapshotError::NotOurs), "{text}");
    }
    let half = Snapshot::from_documents(documents("{apiVersion: foretell.dev/v1alpha1, kind: Snapshot}"));
    assert!(matches!(half, Err(SnapshotError::Header(_))), "{half:?}");
}

/// Values as in objects, made of words that YAML could read as something else.
fn values() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "yes",
        "NO",
        "y",
        "null",
        "~",
        "1e3",
        "0644",
        "0x1f",
        "12:30:45",
        "2026-11-21",
        ".inf",
        "-",
        "- a",
        "a: b",
        "#c",
        "a #c",
        "!t",
        "&a",
        "*a",
        "[",
        "{",
        "|",
        ">",
        "%",
        "@",
        "`",
        "'",
        "\"",
        "\\",
        "a\nb",
        "\t",
        "",
        " ",
        " a",
        "a ",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "é",
        "\u{1f600}",
        "---",
        "...",
        "=",
        "<<",
        "?",
        ":",
        ",",
        "1_000",
        "+1",
        "True",
    ]);
    let text = prop_oneof![words.prop_map(str::to_owned), "\\PC{0,6}", ".{0,4}"];
    let leaf = prop_oneof![
        text.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_read_as_it_was_written(value in values()) {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": value});
        let mut before = snapshot("2026-11-21T12:00:00Z", "");
        before.objects.push(object.clone());
        let text = before.into_text();
        let after = Snapshot::from_documents(documents(&text));
        prop_assert_eq!(after.map(|after| after.objects), Ok(vec![object]), "{}", text);
    }
}
