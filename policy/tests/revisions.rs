//! The changes of objects between two revisions of files.
#![allow(clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use foretell_objects::resource::object::id::ObjectId;
use foretell_policy::change::revisions::{Change, ChangeBuilder, Sourced, Versions};
use proptest::prelude::*;

type Tree<'a> = &'a [(&'a str, &'a str)];

fn borrowed(tree: &[(String, String)]) -> Vec<(&str, &str)> {
    tree.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

/// The change between two trees, given as (path, text).
fn change_between(base: Tree<'_>, merged: Tree<'_>) -> Change {
    let (base, merged): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (base.iter().copied().collect(), merged.iter().copied().collect());
    let mut paths: Vec<_> = base.keys().chain(merged.keys()).copied().collect();
    paths.sort_unstable();
    paths.dedup();
    let mut collation = ChangeBuilder::new("default");
    for path in paths {
        let versions = match (base.get(path), merged.get(path)) {
            (Some(base), Some(merged)) if base == merged => Versions::Same(base.as_bytes()),
            (base, merged) => {
                Versions::Changed { base: base.map(|text| text.as_bytes()), merged: merged.map(|text| text.as_bytes()) }
            }
        };
        collation.file(path, versions);
    }
    collation.finish()
}

/// What happens to each object, as the engine sees it: `changed NetworkPolicy prod/web`, `same …`, `added …`, `removed …`.
fn effects(change: &Change) -> Vec<String> {
    let by_id = |sourced: &[Sourced]| {
        let map: BTreeMap<_, _> = sourced.iter().map(|s| (s.object.id(), s.object.relevant_fields())).collect();
        assert_eq!(map.len(), sourced.len(), "one object an identity");
        map
    };
    let (before, after) = (by_id(&change.before), by_id(&change.after));
    let mut ids: Vec<_> = before.keys().chain(after.keys()).collect();
    ids.sort();
    ids.dedup();
    let named = |id: &ObjectId| format!("{} {}/{}", id.kind, id.namespace, id.name);
    ids.into_iter()
        .map(|id| match (before.get(id), after.get(id)) {
            (None, _) => format!("added {}", named(id)),
            (_, None) => format!("removed {}", named(id)),
            (before, after) => format!("{} {}", if before == after { "same" } else { "changed" }, named(id)),
        })
        .collect()
}

fn undecided(change: &Change) -> Vec<String> {
    change.undecided.iter().map(ToString::to_string).collect()
}

fn not_judged(change: &Change) -> Vec<String> {
    change.not_judged.iter().map(ToString::to_string).collect()
}

fn policy(name: &str, app: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{podSelector: {{matchLabels: {{app: {app}}}}}, policyTypes: [Ingress]}}\n"
    )
}

fn deployment(name: &str, app: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {app}}}}}\n  template:\n    metadata: {{labels: {{app: {app}}}}}\n    spec: {{containers: [{{name: c, image: \"{image}\"}}]}}\n"
    )
}

#[test]
fn objects_are_added_changed_and_removed() {
    let (a, b) = (policy("web", "a"), policy("web", "b"));
    for (base, merged, expected) in [
        (vec![], vec![("p.yaml", a.as_str())], "added NetworkPolicy default/web"),
        (vec![("p.yaml", a.as_str())], vec![], "removed NetworkPolicy default/web"),
        (vec![("p.yaml", a.as_str())], vec![("p.yaml", b.as_str())], "changed NetworkPolicy default/web"),
        (vec![("p.yaml", a.as_str())], vec![("p.yaml", a.as_str())], "same NetworkPolicy default/web"),
        // This is not a file of values for Helm.
        (vec![], vec![("values.yaml", a.as_str())], "added NetworkPolicy default/web"),
        // An object that is moved and modified counts as changed.
        (vec![("p.yaml", a.as_str())], vec![("q.yaml", b.as_str())], "changed NetworkPolicy default/web"),
    ] {
        let change = change_between(&base, &merged);
        assert_eq!(effects(&change), [expected]);
        assert_eq!((undecided(&change), not_judged(&change)), (vec![], vec![]));
    }
}

#[test]
fn a_change_of_fields_that_the_engine_ignores_is_no_change() {
    let (web, bare) = (policy("web", "a"), deployment("web", "a", "nginx:1"));
    let commented = format!("# why\n{web}");
    let bumped = deployment("web", "a", "nginx:2");
    let two = format!("{web}---\n{}", policy("db", "db"));
    let (first, second) = (policy("web", "a"), policy("db", "db"));
    for (what, base, merged) in [
        ("a comment", vec![("p.yaml", web.as_str())], vec![("p.yaml", commented.as_str())]),
        ("an image", vec![("d.yaml", bare.as_str())], vec![("d.yaml", bumped.as_str())]),
        ("a move", vec![("p.yaml", web.as_str())], vec![("x/q.yml", web.as_str())]),
        ("a file split in two", vec![("p.yaml", two.as_str())], vec![("a.yaml", &first), ("b.yaml", &second)]),
        ("two files made one", vec![("a.yaml", &first), ("b.yaml", &second)], vec![("p.yaml", two.as_str())]),
        ("a copy gone", vec![("a.yaml", &web), ("b.yaml", &web)], vec![("a.yaml", &web)]),
        ("a copy more", vec![("a.yaml", &web)], vec![("a.yaml", &web), ("b.yaml", &web)]),
    ] {
        let change = change_between(&base, &merged);
        assert!(effects(&change).iter().all(|effect| effect.starts_with("same ")), "{what}: {:?}", effects(&change));
        assert!(!change.before.is_empty(), "{what}");
        assert_eq!((undecided(&change), not_judged(&change)), (vec![], vec![]), "{what}");
    }
}

#[test]
fn files_that_are_not_manifests_are_skipped() {
    let change = change_between(
        &[("a.yaml", "on: push\n"), ("p.json", "{\"name\": \"kind of a package\"}"), ("b.yaml", "a: [\n")],
        &[
            ("a.yaml", "on: [push]\njobs: {x: {run: \"${{ kind }}\"}}\n"),
            ("p.json", "[1, {\"kind\": \"Service\"}]"),
            ("b.yaml", "a: [[\n"),
            (
                "crd.yaml",
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {names: {kind: NetworkPolicy}}\n",
            ),
            ("knative.yaml", "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\n"),
            ("job.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: x-}\nspec: {template: {}}\n"),
        ],
    );
    assert_eq!(change, Change::default());
}

#[test]
fn an_unreadable_file_matters_only_if_the_change_touches_it() {
    let template = "kind: NetworkPolicy\nmetadata: {name: {{ .Release.Name }}}\n";
    let quiet = "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\n";
    let quoted = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: \"{{ .Release.Name }}-x\"}\nspec: {}\n";
    let flux =
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: \"${NS}\"}\nspec: {}\n";
    let included = "{{- include \"common.networkpolicy\" . }}\n";
    let broken = format!("{}---\nkind: Service\na: [1\n", policy("web", "a"));
    let good = policy("web", "a");
    let path = "charts/shop/templates/x.yaml";
    for (what, base, merged, seen, blocks) in [
        ("untouched", Some(template), Some(template), false, false),
        ("added", None, Some(template), true, true),
        ("removed", Some(template), None, true, true),
        ("a template becomes plain", Some(template), Some(good.as_str()), true, true),
        ("plain becomes a template", Some(good.as_str()), Some(quiet), true, true),
        ("of a service", None, Some(quiet), true, false),
        ("quoted", None, Some(quoted), true, true),
        ("flux", None, Some(flux), true, true),
        ("out of a library", None, Some(included), true, true),
        ("broken", Some(good.as_str()), Some(broken.as_str()), true, true),
        ("broken, untouched", Some(broken.as_str()), Some(broken.as_str()), false, false),
    ] {
        let one =
            |text: Option<&str>| text.map(|text| (path.to_owned(), text.to_owned())).into_iter().collect::<Vec<_>>();
        let (base, merged) = (one(base), one(merged));
        let refs = |tree: &[(String, String)]| tree.iter().map(|(p, t)| (p.clone(), t.clone())).collect::<Vec<_>>();
        let (base, merged) = (refs(&base), refs(&merged));
        let change = change_between(&borrowed(&base), &borrowed(&merged));
        assert_eq!(effects(&change), Vec::<String>::new(), "{what}");
        assert_eq!(!change.undecided.is_empty(), blocks, "{what}: {:?}", undecided(&change));
        assert_eq!(!change.not_judged.is_empty(), seen && !blocks, "{what}: {:?}", not_judged(&change));
        for undecided in undecided(&change) {
            assert!(undecided.contains(path), "{what}: {undecided}");
            let fix = if what == "broken" { "fix the file" } else { "--render 'helm template charts/shop'" };
            assert!(undecided.contains(fix), "{what}: {undecided}");
        }
    }
    let change = change_between(&[], &[("p.yaml", &broken)]);
    assert!(undecided(&change)[0].contains("document 2, line "), "{:?}", undecided(&change));
    let change = change_between(&[], &[("policy.tpl", "{{ define \"x\" }}\nkind: NetworkPolicy\n{{ end }}")]);
    assert_eq!(change.undecided.len(), 1);
}

#[test]
fn changed_generators_of_manifests_are_reported() {
    let kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n";
    let more = format!("{kustomization}namespace: prod\n");
    let bumped = format!("{kustomization}images: [{{name: a, newTag: v2}}]\n# bumped\n");
    let patching = format!("{kustomization}patches:\n- patch: |\n    kind: NetworkPolicy\n    metadata: {{name: a}}\n");
    let targeting = format!("{kustomization}patches:\n- target: {{kind: NetworkPolicy}}\n  path: x.yaml\n");
    let release =
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\nspec: {interval: 1m}\n";
    let application = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec: {project: x}\n";
    let chart = "apiVersion: v2\nname: shop\n";
    for (what, path, base, merged, undecided_count, not_judged_count) in [
        ("a kustomization", "k/kustomization.yaml", kustomization, more.as_str(), 0, 1),
        ("without a kind", "k/kustomization.yml", "resources: []\n", "resources: [a]\n", 0, 1),
        ("an image bumped", "k/kustomization.yaml", kustomization, bumped.as_str(), 0, 0),
        ("an inline patch", "k/kustomization.yaml", kustomization, patching.as_str(), 1, 0),
        ("a patch's target", "k/kustomization.yaml", kustomization, targeting.as_str(), 1, 0),
        ("a Helm release", "r.yaml", "", release, 0, 1),
        ("an Argo CD Application", "a.yaml", "", application, 0, 1),
        ("a chart", "c/Chart.yaml", chart, "apiVersion: v2\nname: shop2\n", 0, 1),
        ("values", "c/ci/values-prod.yaml", "a: 1\n", "a: 2\n", 0, 1),
        ("a comment in values", "c/values.yaml", "a: 1\n", "a: 1 # one\n", 0, 0),
        ("values elsewhere", "d/values.yaml", "a: 1\n", "a: 2\n", 0, 0),
        ("values elsewhere with a policy", "d/values.yaml", "x: []\n", "x: [{kind: NetworkPolicy}]\n", 1, 0),
        ("values with a policy", "c/values.yaml", "x: []\n", "x: [{kind: NetworkPolicy}]\n", 1, 0),
    ] {
        let mut base = vec![(path, base)];
        let mut merged = vec![(path, merged)];
        if path != "c/Chart.yaml" {
            base.push(("c/Chart.yaml", chart));
            merged.push(("c/Chart.yaml", chart));
        }
        let change = change_between(&base, &merged);
        assert_eq!(change.undecided.len(), undecided_count, "{what}: {:?}", undecided(&change));
        assert_eq!(change.not_judged.len(), not_judged_count, "{what}: {:?}", not_judged(&change));
    }
}

#[test]
fn an_invalid_object_is_undecided_only_if_the_change_touches_it() {
    let good = policy("web", "a");
    let bad = good.replace("policyTypes: [Ingress]", "policyTypes: [Ingres], ingres: []");
    let other = policy("db", "db");
    let (both, both_changed) = (format!("{bad}---\n{other}"), format!("{bad}---\n{}", policy("db", "c")));

    let added = change_between(&[], &[("p.yaml", &format!("{other}---\n{bad}"))]);
    let [undecided_one] = &undecided(&added)[..] else { panic!("{added:?}") };
    for part in ["p.yaml, document 2", "NetworkPolicy default/web", "spec.ingres", "fix"] {
        assert!(undecided_one.contains(part), "{part}: {undecided_one}");
    }
    assert_eq!(effects(&added), ["added NetworkPolicy default/db"]);

    let untouched = change_between(&[("p.yaml", &both)], &[("p.yaml", &both_changed)]);
    assert_eq!((untouched.undecided.len(), untouched.not_judged.len()), (0, 0), "{untouched:?}");
    assert_eq!(effects(&untouched), ["changed NetworkPolicy default/db"]);

    let fixed = change_between(&[("p.yaml", &bad)], &[("p.yaml", &good)]);
    assert_eq!((fixed.undecided.len(), fixed.not_judged.len()), (0, 1), "{fixed:?}");
    assert_eq!(effects(&fixed), ["added NetworkPolicy default/web"]);

    assert_eq!(change_between(&[("p.yaml", &bad)], &[]).undecided.len(), 1);
    assert_eq!(change_between(&[("p.yaml", &good)], &[("p.yaml", &bad)]).undecided.len(), 1);

    let unversioned = change_between(&[], &[("p.yaml", &good.replace("apiVersion: networking.k8s.io/v1\n", ""))]);
    assert_eq!(unversioned.undecided.len(), 1, "{unversioned:?}");
    let old = change_between(&[], &[("p.yaml", &good.replace("networking.k8s.io/v1", "extensions/v1beta1"))]);
    assert_eq!(old.undecided.len(), 1, "{old:?}");
}

#[test]
fn old_forms_of_cidrs_are_accepted_only_where_they_were_before() {
    let with = |cidr: &str, app: &str| {
        policy("web", app)
            .replace("policyTypes: [Ingress]", &format!("ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]"))
    };
    let (stored, kept, new) = (with("10.0.0.1/8", "a"), with("10.0.0.1/8", "b"), with("10.0.0.2/8", "a"));
    assert_eq!(
        effects(&change_between(&[("p.yaml", &stored)], &[("p.yaml", &kept)])),
        ["changed NetworkPolicy default/web"]
    );
    for base in [vec![], vec![("p.yaml", stored.as_str())]] {
        let change = change_between(&base, &[("p.yaml", &new)]);
        assert!(undecided(&change)[0].contains("spec.ingress[0].from[0].ipBlock.cidr"), "{:?}", undecided(&change));
    }
}

#[test]
fn an_identity_in_several_files_is_undecided_only_if_the_change_touches_it() {
    let (a, b, c) = (policy("web", "a"), policy("web", "b"), policy("web", "c"));
    let commented = format!("# why\n{a}");
    let twice = format!("{a}---\n{b}");
    for (what, base, merged, expected) in [
        ("untouched and unequal", vec![("x", &a), ("y", &b)], vec![("x", &a), ("y", &b)], None),
        ("a comment in one", vec![("x", &a), ("y", &b)], vec![("x", &commented), ("y", &b)], None),
        ("one moves", vec![("x", &a), ("y", &b)], vec![("z", &a), ("y", &b)], None),
        ("both swap files", vec![("x", &a), ("y", &b)], vec![("x", &b), ("y", &a)], Some(vec![])),
        ("one changes", vec![("x", &a), ("y", &b)], vec![("x", &c), ("y", &b)], Some(vec![])),
        ("they become one", vec![("x", &a), ("y", &b)], vec![("x", &a)], Some(vec![])),
        ("they part", vec![("x", &a), ("y", &a)], vec![("x", &a), ("y", &b)], Some(vec![])),
        ("in one file", vec![("x", &a)], vec![("x", &twice)], Some(vec![])),
        ("all change alike", vec![("x", &a), ("y", &a)], vec![("x", &b), ("y", &b)], Some(vec!["changed"])),
        ("both are added", vec![], vec![("x", &b), ("y", &b)], Some(vec!["added"])),
        ("both are removed", vec![("x", &b), ("y", &b)], vec![], Some(vec!["removed"])),
    ] {
        let named = |tree: &[(&str, &String)]| -> Vec<(String, String)> {
            tree.iter().map(|(path, text)| (format!("{path}.yaml"), (*text).clone())).collect()
        };
        let (base, merged) = (named(&base), named(&merged));
        let change = change_between(&borrowed(&base), &borrowed(&merged));
        match expected {
            None => assert_eq!(change, Change::default(), "{what}"),
            Some(effect) if effect.is_empty() => {
                assert_eq!((effects(&change), change.undecided.len()), (vec![], 1), "{what}");
                for (path, _) in &merged {
                    assert!(undecided(&change)[0].contains(path), "{what}: {:?}", undecided(&change));
                }
            }
            Some(effect) => {
                assert_eq!(effects(&change), [format!("{} NetworkPolicy default/web", effect[0])], "{what}");
                assert_eq!(undecided(&change), Vec::<String>::new(), "{what}");
            }
        }
    }
    let untouched_and_equal =
        change_between(&[("x.yaml", &a), ("y.yaml", &a)], &[("x.yaml", &a), ("y.yaml", &commented)]);
    assert_eq!(effects(&untouched_and_equal), ["same NetworkPolicy default/web"]);
}

#[test]
fn a_patch_and_its_base_are_undecided_if_either_changes() {
    let base = deployment("web", "a", "x");
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n";
    let relabelling = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {metadata: {labels: {tier: x}}}}\n";
    let scaled = patch.replace('3', "4");
    let trees = |patch: &str| [("base/d.yaml".to_owned(), base.clone()), ("prod/d.yaml".to_owned(), patch.to_owned())];
    for (merged, blocks) in [(scaled.as_str(), false), (relabelling, true)] {
        let (before, after) = (trees(patch), trees(merged));
        let change = change_between(&borrowed(&before), &borrowed(&after));
        assert_eq!(!change.undecided.is_empty(), blocks, "{:?}", undecided(&change));
        assert_eq!(effects(&change), Vec::<String>::new());
    }
}

#[test]
fn every_rendered_document_must_be_readable() {
    let (a, b) = (policy("web", "a"), policy("web", "b"));
    let rendered = |base: &str, merged: &str| {
        let mut collation = ChangeBuilder::new("prod");
        collation.rendered(base.as_bytes(), merged.as_bytes());
        collation.finish()
    };
    let change = rendered(&a, &b);
    assert_eq!(effects(&change), ["changed NetworkPolicy prod/web"]);
    assert_eq!(change.after[0].place.to_string(), "(rendered), document 1");
    for (broken, problem) in [
        ("Error: no such file: x\n a: b: [", "merged revision cannot be read: document 2"),
        (
            "kind: Service\nmetadata: {{ x }}\n",
            "merged revision is a template, which cannot be read before it is rendered",
        ),
    ] {
        let change = rendered(&a, &format!("{b}---\nkind: Pod\n{broken}"));
        assert!(undecided(&change)[0].contains(problem), "{change:?}");
    }
}

#[test]
fn the_answer_does_not_depend_on_the_order_of_files() {
    let texts = [policy("web", "a"), policy("db", "b"), policy("web", "c"), deployment("x", "y", "z")];
    let finish = |order: &[usize]| {
        let mut collation = ChangeBuilder::new("default");
        for &n in order {
            let path = format!("{n}.yaml");
            collation.file(&path, Versions::Changed { base: None, merged: Some(texts[n].as_bytes()) });
        }
        collation.finish()
    };
    assert_eq!(finish(&[0, 1, 2, 3]), finish(&[3, 2, 1, 0]));
    assert_eq!(finish(&[0, 1, 2, 3]), finish(&[2, 0, 3, 1]));
}

/// Files `0.yaml` to `2.yaml`, each with documents (name, app). There are few names and apps, so that they collide.
type Model = Vec<Vec<(u8, u8)>>;

fn models() -> impl Strategy<Value = Model> {
    proptest::collection::vec(proptest::collection::vec((0..2_u8, 0..2_u8), 0..3), 3)
}

fn written(model: &Model) -> Vec<(String, String)> {
    let document = |&(name, app): &(u8, u8)| policy(&format!("p{name}"), &format!("a{app}"));
    let files = model.iter().enumerate().filter(|(_, documents)| !documents.is_empty());
    files
        .map(|(n, documents)| (format!("{n}.yaml"), documents.iter().map(document).collect::<Vec<_>>().join("---\n")))
        .collect()
}

fn apps(model: &Model, name: u8) -> BTreeSet<u8> {
    model.iter().flatten().filter(|document| document.0 == name).map(|document| document.1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_change_of_an_object_is_found(base in models(), merged in models()) {
        let change = change_between(&borrowed(&written(&base)), &borrowed(&written(&merged)));
        let effects = effects(&change);
        for name in 0..2 {
            let named = format!(" NetworkPolicy default/p{name}");
            let (before, after) = (apps(&base, name), apps(&merged, name));
            let is_undecided = undecided(&change).iter().any(|undecided| undecided.contains(&named));
            let effect = effects.iter().find_map(|effect| effect.strip_suffix(&named));
            let expected = match (before.len(), after.len()) {
                (0, 0) => (false, None),
                (0, 1) => (false, Some("added")),
                (1, 0) => (false, Some("removed")),
                (1, 1) => (false, Some(if before == after { "same" } else { "changed" })),
                // The places disagree: the object is undecided, or untouched and left out.
                _ if before != after => (true, None),
                _ => (is_undecided, None),
            };
            prop_assert_eq!((is_undecided, effect), expected, "{}", name);
        }
    }

    #[test]
    fn equal_trees_have_no_change(tree in models()) {
        let tree = written(&tree);
        let commented: Vec<_> = tree.iter().map(|(path, text)| (path.clone(), format!("# why\n{text}"))).collect();
        for merged in [&tree, &commented] {
            let change = change_between(&borrowed(&tree), &borrowed(merged));
            prop_assert!(effects(&change).iter().all(|effect| effect.starts_with("same ")));
            prop_assert_eq!((change.undecided.len(), change.not_judged.len()), (0, 0));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(base in any::<Vec<u8>>(), merged in any::<Vec<u8>>()) {
        let mut collation = ChangeBuilder::new("default");
        for path in ["a.yaml", "kustomization.yaml", "values.yaml", "a.tpl", "Chart.yaml"] {
            collation.file(path, Versions::Changed { base: Some(&base), merged: Some(&merged) });
        }
        collation.rendered(&base, &merged);
        let _ = collation.finish();
    }
}
