//! What a change does to the objects that the engine reads, out of the files of two revisions.
//!
//! It never guesses: what cannot be told is named, and either makes the answer "could not decide" ([`Undecided`]) or is said
//! to be outside the answer ([`NotJudged`]).

mod files;
mod identities;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::revisions::files::DocumentEntry;
use crate::resource::object::Object;
use crate::resource::object::origin::Origin;

/// The objects of two revisions, as far as their files hold them.
///
/// `before` and `after` hold at most one object an identity, in the order of their identities. An object that both hold with
/// an equal [`Object::relevant_fields`] is not changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Objects at the base.
    pub before: Vec<Sourced>,
    /// Objects of the merged tree.
    pub after: Vec<Sourced>,
    /// What the change touches and nobody can judge: any of these makes the answer "could not decide".
    pub undecided: Vec<Undecided>,
    /// What the answer does not speak of: it is named and blocks nothing.
    pub not_judged: Vec<NotJudged>,
}

/// An object and where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced {
    /// The object.
    pub object: Object,
    /// Where it stands; the first place in order of files where several hold it alike.
    pub place: Place,
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Path of the file from the root of the tree, with `/`.
    pub file: String,
    /// Number of the document in its file, from 1.
    pub document: usize,
    /// `items[3]` in a document that is a List; `""` otherwise.
    pub item: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)?;
        if self.item.is_empty() { Ok(()) } else { write!(f, ", {}", self.item) }
    }
}

/// A reason why the change could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undecided {
    /// Where, in order: `policies/web.yaml`, `policies/web.yaml, document 2`, `policies/web.yaml, document 2 (base)`.
    pub places: Vec<String>,
    /// What could not be judged and why, as a sentence without its end.
    pub what: String,
    /// How to fix it, likewise.
    pub fix: String,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.places.join(", "), self.what, self.fix)
    }
}

/// A file that the answer does not speak of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotJudged {
    /// Path of the file from the root of the tree.
    pub file: String,
    /// Why, as a sentence without its end.
    pub why: String,
}

impl fmt::Display for NotJudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

/// Larger files are not read into memory: [`Versions::TooLarge`] where the change touches one, and passed over where not.
pub const MOST_READ: u64 = 64 << 20;

/// Whether a file is to be read at all, by its name alone: YAML, JSON, and templates that make them.
#[must_use]
pub fn may_hold_manifests(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["yaml", "yml", "json", "tpl", "gotmpl", "tmpl"].contains(&extension) || name == "Kustomization"
}

impl Change {
    /// Whether it leaves every object as it is, and nothing of it is undecided: then no policy is changed by it, and nothing
    /// that policies look at.
    #[must_use]
    pub fn leaves_objects_alone(&self) -> bool {
        let same = |(before, after): (&Sourced, &Sourced)| {
            before.object.id() == after.object.id() && before.object.relevant_fields() == after.object.relevant_fields()
        };
        self.undecided.is_empty()
            && self.before.len() == self.after.len()
            && self.before.iter().zip(&self.after).all(same)
    }
}

/// A file at the two revisions.
#[derive(Clone, Copy, Debug)]
pub enum Versions<'a> {
    /// The change leaves it as it is.
    Same(&'a [u8]),
    /// The change adds, removes or modifies it.
    Changed {
        /// At the base.
        base: Option<&'a [u8]>,
        /// In the merged tree.
        merged: Option<&'a [u8]>,
    },
    /// The change touches it, and it was too large to be read.
    TooLarge,
}

/// Gathers the files of two revisions, one after another, and tells in the end what changes.
#[derive(Debug)]
pub struct ChangeBuilder {
    origin: Origin,
    entries: Vec<DocumentEntry>,
    charts: BTreeSet<String>,
    chart_files: Vec<ChartFile>,
    undecided: Vec<Undecided>,
    not_judged: Vec<NotJudged>,
}

/// A file that may belong to a Helm chart, which is known when all files have been seen.
#[derive(Debug)]
struct ChartFile {
    path: String,
    names_policy: bool,
}

impl ChangeBuilder {
    /// With no file yet; objects that name no namespace are in `default_namespace`.
    #[must_use]
    pub fn new(default_namespace: &str) -> Self {
        Self {
            origin: Origin::Manifest { default_namespace: default_namespace.to_owned() },
            entries: Vec::new(),
            charts: BTreeSet::new(),
            chart_files: Vec::new(),
            undecided: Vec::new(),
            not_judged: Vec::new(),
        }
    }

    /// What the change does to the objects of the files seen, in an order that does not depend on theirs.
    #[must_use]
    pub fn finish(mut self) -> Change {
        self.judge_chart_files();
        let mut change = identities::compare(&self.entries);
        change.undecided.append(&mut self.undecided);
        change.not_judged.append(&mut self.not_judged);
        change.undecided.sort();
        change.undecided.dedup();
        change.not_judged.sort();
        change.not_judged.dedup();
        change
    }

    /// Values decide what a chart renders, so a change of them is named; elsewhere a file of that name is nobody's business,
    /// unless it holds a policy: charts are also fed from afar.
    fn judge_chart_files(&mut self) {
        for ChartFile { path, names_policy } in std::mem::take(&mut self.chart_files) {
            let chart = self.charts.iter().rev().find(|chart| files::is_below(&path, chart));
            if names_policy {
                self.undecided.push(Undecided {
                    places: vec![path],
                    what: "the change touches values of a Helm chart that hold a policy".to_owned(),
                    fix: files::render_mend(&format!(
                        "helm template {}",
                        chart.map_or("CHART", |chart| files::shown(chart))
                    )),
                });
            } else if let Some(chart) = chart {
                let why = format!("a file of the Helm chart in {}; {RENDER_TO_JUDGE}", files::shown(chart));
                self.not_judged.push(NotJudged { file: path, why });
            }
        }
    }
}

const RENDER_TO_JUDGE: &str = "what it renders is judged with --render";
