//! Whatever the bytes of its inputs are, the command ends with an answer or an error, not with a crash.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with other tests")]
mod foretell;

use std::fs;

use foretell::{Place, SNAPSHOT, flow, report};
use foretell_objects::manifest::documents as manifest;
use foretell_objects::model::flow::Line;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read;
use foretell_policy::change::revisions::{ChangeBuilder, Versions};
use proptest::prelude::*;
use proptest::sample::Index;

const POLICY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: prod}\nspec:\n  podSelector: {matchLabels: {app: web}}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90}]}]\n";

/// A text with a few places overwritten, cut out or doubled.
fn damaged(text: String) -> impl Strategy<Value = Vec<u8>> {
    let length = text.len();
    let damage = (any::<Index>(), 0..8_usize, prop_oneof![any::<Vec<u8>>(), pieces()]);
    prop::collection::vec(damage, 1..5).prop_map(move |all| {
        let mut bytes = text.clone().into_bytes();
        for (at, cut, with) in all {
            let at = at.index(length).min(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, with.into_iter().take(40));
        }
        bytes
    })
}

/// Bytes that have a meaning to a parser.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let all: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b"\n",
        b"\n---\n",
        b"---",
        b": ",
        b"- ",
        b"&a ",
        b"*a",
        b"!!int ",
        b"<<: ",
        b"\"",
        b"'",
        b"|\n",
        b"null",
        b"~",
        b"-1",
        b"65536",
        b"1e999",
        b"99999999999999999999",
        b"0.0.0.0/0",
        b"::ffff:1.2.3.4",
        b"::",
        b"{{ .x }}",
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b"\r",
        b"\t",
        b"\\u0000",
        b"-9999-01-01T00:00:00Z",
        b"9999-12-31T23:59:59.999999999Z",
        b"\x1f\x8b\x08\x00",
        b"\x28\xb5\x2f\xfd",
    ];
    prop::sample::select(all).prop_map(<[u8]>::to_vec)
}

fn flows() -> impl Strategy<Value = Vec<u8>> {
    let whole = report("\"10.1.0.1\"") + &flow("10.1.0.6", "10.1.0.5") + &flow("fd00::1", "10.1.0.7");
    prop_oneof![any::<Vec<u8>>(), damaged(whole)]
}

fn snapshot() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any::<Vec<u8>>(), damaged(SNAPSHOT.to_owned())]
}

fn manifest() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any::<Vec<u8>>(), damaged(POLICY.to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_line_is_a_flow_or_an_error(bytes in flows()) {
        for line in bytes.split(|&byte| byte == b'\n') {
            if let Err(error) = Line::parse(line) {
                let error = error.to_string();
                prop_assert!(!error.contains(" at line 1 column "), "{error}");
            }
        }
    }

    #[test]
    fn any_text_is_documents_or_errors(bytes in prop_oneof![snapshot(), manifest()]) {
        for document in manifest::documents(&String::from_utf8_lossy(&bytes)) {
            if let Ok(value) = document.value {
                let manifests = Origin::Manifest { default_namespace: "default".to_owned() };
                let _ = read::read(value.clone(), &manifests);
                let _ = read::read(value, &Origin::Cluster);
            }
        }
    }

    #[test]
    fn any_files_are_a_change(base in manifest(), merged in manifest(), name in "(web|kustomization|Chart|values)[.](yaml|json|tpl)") {
        let mut change = ChangeBuilder::new("default");
        change.file(&name, Versions::Changed { base: Some(&base), merged: Some(&merged) });
        change.file("same.yaml", Versions::Same(&merged));
        let _ = change.finish();
        let mut change = ChangeBuilder::new("default");
        change.rendered(&base, &merged);
        let _ = change.finish();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_files_are_judged_or_refused(flows in flows(), snapshot in snapshot(), manifest in manifest(), one in 0..4) {
        let place = Place::furnished();
        fs::create_dir(place.path().join("base")).unwrap();
        place.write("head/web.yaml", if one == 0 || one == 3 { &manifest } else { POLICY.as_bytes() });
        if one == 1 || one == 3 {
            place.write("flows.ndjson", &flows);
        }
        if one == 2 || one == 3 {
            place.write("snapshot.yaml", &snapshot);
        }
        let observed = "--snapshot snapshot.yaml --flows flows.ndjson";
        for (words, statuses) in [
            (format!("evaluate --all {observed}"), &[0, 2][..]),
            (format!("evaluate --all --bad-lines skip {observed}"), &[0, 2]),
            (format!("check --base-dir base --head-dir head {observed} --at 2026-11-21T02:00:00Z"), &[0, 1, 2]),
        ] {
            let output = place.command(words.split(' ')).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            prop_assert!(output.status.code().is_some_and(|status| statuses.contains(&status)), "{words}: {stderr}");
            prop_assert!(output.status.code() != Some(2) || !output.stdout.is_empty() || !stderr.is_empty(), "{words}");
        }
    }
}
