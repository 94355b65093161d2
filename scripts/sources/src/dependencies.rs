//! Dependencies that no source names.
//!
//! `cargo-machete` is not used because its build takes a minute on a new machine and it checks `[dependencies]` only, and
//! `cargo-shear` because it needs a newer Rust than this workspace.

use std::collections::BTreeSet;

use crate::rust::{Kind, Token};

/// A line of a manifest that declares a dependency.
#[derive(Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name in the manifest. Sources write `_` for `-`.
    pub name: String,
    /// The line in the manifest.
    pub line: usize,
    /// Whether it is in `[workspace.dependencies]`, which declares it for members.
    pub is_shared: bool,
}

/// The end of the line of a dependency that only turns on features; a reason follows.
const FOR_ITS_FEATURES: &str = "# for its features:";

/// The dependencies that a manifest declares, except those that only turn on features.
#[must_use]
pub fn declared(manifest: &str) -> Vec<Declared> {
    let mut declared = Vec::new();
    let mut section = "";
    for (number, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            continue;
        }
        let is_dependency = section.rsplit('.').next().is_some_and(|last| last.ends_with("dependencies"));
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        if is_dependency && !name.is_empty() && !name.starts_with('#') && !line.contains(FOR_ITS_FEATURES) {
            let is_shared = section == "workspace.dependencies";
            declared.push(Declared { name: name.to_owned(), line: number + 1, is_shared });
        }
    }
    declared
}

/// Whether a source names a crate: at the start of a path, after `use`, or at the start of a string, as in attributes of serde.
#[must_use]
pub fn names(tokens: &[Token], dependency: &str) -> bool {
    let name = dependency.replace('-', "_");
    let head = format!("{name}::");
    tokens.iter().enumerate().any(|(at, token)| match &token.kind {
        Kind::Word(word) if *word == name => {
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            let is_head = before.is_none_or(|before| before.kind != Kind::Path);
            let is_used = before.is_some_and(|before| before.is_word("use") || before.is_word("crate"));
            is_used || (is_head && tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Path))
        }
        Kind::Text(text) => text.starts_with(&head) || *text == name,
        _ => false,
    })
}

/// The names of all dependencies of the members.
#[must_use]
pub fn taken(manifests: &[String]) -> BTreeSet<String> {
    let all = manifests.iter().flat_map(|manifest| declared_all(manifest));
    all.collect()
}

fn declared_all(manifest: &str) -> Vec<String> {
    let plain = manifest.replace(FOR_ITS_FEATURES, "#");
    declared(&plain).into_iter().filter(|declared| !declared.is_shared).map(|declared| declared.name).collect()
}

#[cfg(test)]
mod tests {
    use super::{declared, names, taken};
    use crate::rust::tokens;

    const MANIFEST: &str = "
[workspace.dependencies]
shared = \"1\"
[dependencies]
# comment
a-b.workspace = true
c = { version = \"1\" }
d = \"1\" # for its features: turns on e
[target.'cfg(unix)'.dev-dependencies]
f = \"1\"
[lints]
workspace = true
";

    #[test]
    fn every_table_of_dependencies_counts() {
        let names: Vec<(String, bool)> =
            declared(MANIFEST).into_iter().map(|declared| (declared.name, declared.is_shared)).collect();
        let expected = [("shared", true), ("a-b", false), ("c", false), ("f", false)];
        assert_eq!(names, expected.map(|(name, is_shared)| (name.to_owned(), is_shared)));
        assert_eq!(taken(&[MANIFEST.to_owned()]).into_iter().collect::<Vec<_>>(), ["a-b", "c", "d", "f"]);
    }

    #[test]
    fn a_crate_is_used_where_a_path_begins_with_it() {
        for (source, is_used) in [
            ("use a_b::C;", true),
            ("use {x, a_b::C};", true),
            ("use a_b;", true),
            ("#[a_b::test] fn f() {}", true),
            ("#[serde(with = \"a_b::hex\")] struct S;", true),
            ("use x::a_b::C;", false),
            ("// a_b::C\nlet a_b = 1;", false),
            ("\"see a_b::C\"", false),
        ] {
            assert_eq!(names(&tokens(source), "a-b"), is_used, "{source}");
        }
    }
}
