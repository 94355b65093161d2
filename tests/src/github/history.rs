//! Commits, trees and merges, as far as GitHub's API shows them.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use sha1::{Digest as _, Sha1};

/// The commits of a repository.
#[derive(Default)]
pub(super) struct History {
    pub(super) commits: BTreeMap<String, Commit>,
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) branches: BTreeMap<String, String>,
}

pub(super) struct Commit {
    pub(super) parents: Vec<String>,
    /// Blobs by path.
    pub(super) files: BTreeMap<String, String>,
}

impl History {
    /// Commits files to a branch.
    pub(super) fn commit(&mut self, branch: &str, from: Option<&str>, files: &[(&str, Option<&str>)]) {
        let start = self.branches.get(branch).cloned().or_else(|| from.map(|from| self.tip(from)));
        let mut tree = start.as_ref().map(|start| self.commits[start].files.clone()).unwrap_or_default();
        for (path, text) in files {
            match text {
                Some(text) => {
                    let header = format!("blob {}\0", text.len());
                    let sha = hash(&[header.as_bytes(), text.as_bytes()]);
                    self.blobs.insert(sha.clone(), text.as_bytes().to_vec());
                    tree.insert((*path).to_owned(), sha);
                }
                None => drop(tree.remove(*path)),
            }
        }
        let sha = self.add(start.into_iter().collect(), tree);
        self.branches.insert(branch.to_owned(), sha);
    }

    pub(super) fn tip(&self, branch: &str) -> String {
        self.branches.get(branch).unwrap_or_else(|| panic!("no branch {branch}")).clone()
    }

    /// The merge commit, or `None` for a conflict. Files are merged as a whole: if both sides change a file differently, that is a
    /// conflict.
    pub(super) fn merge(&mut self, base: &str, head: &str) -> Option<String> {
        let of_base = self.ancestors(base);
        let common = self.ancestors(head).into_iter().find(|commit| of_base.contains(commit))?;
        let [common, ours, theirs] = [&common, base, head].map(|commit| self.commits[commit].files.clone());
        let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let mut files = BTreeMap::new();
        for path in paths {
            let (was, our, their) = (common.get(path), ours.get(path), theirs.get(path));
            let merged = match (our == was, their == was) {
                (true, _) => their,
                (_, true) => our,
                _ if our == their => our,
                _ => return None,
            };
            files.extend(merged.map(|blob| (path.clone(), blob.clone())));
        }
        Some(self.add(vec![base.to_owned(), head.to_owned()], files))
    }

    fn add(&mut self, parents: Vec<String>, files: BTreeMap<String, String>) -> String {
        let number = self.commits.len().to_string();
        let sha = hash(&[b"commit", number.as_bytes(), format!("{parents:?}{files:?}").as_bytes()]);
        self.commits.insert(sha.clone(), Commit { parents, files });
        sha
    }

    /// The commit and its ancestors, nearest first.
    fn ancestors(&self, commit: &str) -> Vec<String> {
        let mut found = vec![commit.to_owned()];
        let mut next = 0;
        while let Some(commit) = found.get(next) {
            let parents = self.commits[commit].parents.clone();
            found.extend(parents);
            next += 1;
        }
        found
    }
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize())
}
