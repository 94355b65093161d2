//! Finds what a change does to the objects that the engine reads, from the files of two revisions.
//!
//! It never guesses. What it cannot determine is reported: either the answer becomes "could not decide" ([`Undecided`]), or the
//! answer states what it does not cover ([`NotJudged`]).

mod files;
mod identities;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::change::revisions::files::DocumentEntry;
use foretell_objects::resource::custom_workload::CustomWorkload;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;

/// The objects in the files of two revisions.
///
/// `before` and `after` contain at most one object for each [`ObjectId`](foretell_objects::resource::object::id::ObjectId), sorted by it.
/// An object with equal [`Object::relevant_fields`] in both is unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Objects at the base revision.
    pub before: Vec<Sourced>,
    /// Objects of the merged tree.
    pub after: Vec<Sourced>,
    /// Objects of other kinds that make pods, at the base revision.
    pub custom_before: Vec<SourcedWorkload>,
    /// Objects of other kinds that make pods, in the merged tree.
    pub custom_after: Vec<SourcedWorkload>,
    /// Parts of the change that cannot be judged. Each of them makes the answer "could not decide".
    pub undecided: Vec<Undecided>,
    /// Files that the answer does not cover. They are reported and do not block.
    pub not_judged: Vec<NotJudged>,
}

/// An object and its place in the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced {
    /// The object.
    pub object: Object,
    /// Its place. If several files contain the same object, the first of them.
    pub place: Place,
}

/// An object of another kind that makes pods, and its place in the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcedWorkload {
    /// The object.
    pub workload: CustomWorkload,
    /// Its place. If several files contain the same object, the first of them.
    pub place: Place,
}

/// The place of an object in the files.
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
    /// The places, in order: `policies/web.yaml`, `policies/web.yaml, document 2`, `policies/web.yaml, document 2 (base)`.
    pub places: Vec<String>,
    /// What could not be judged and why, as a sentence without a full stop.
    pub what: String,
    /// How to fix it, as a sentence without a full stop.
    pub fix: String,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.places.join(", "), self.what, self.fix)
    }
}

/// A file that the answer does not cover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotJudged {
    /// Path of the file from the root of the tree.
    pub file: String,
    /// The reason, as a sentence without a full stop.
    pub why: String,
}

impl fmt::Display for NotJudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

/// Largest size in bytes of a file that callers read into memory. Pass [`Versions::TooLarge`] for a larger file that the change
/// touches, and skip other larger files.
pub const MOST_READ: u64 = 64 << 20;

/// Whether a file should be read, judged by its name: YAML, JSON, and templates of these.
#[must_use]
pub fn may_hold_manifests(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["yaml", "yml", "json", "tpl", "gotmpl", "tmpl"].contains(&extension) || name == "Kustomization"
}

impl Change {
    /// Whether the change modifies no object and has no undecided part. Then it changes no policy and no object that policies
    /// look at.
    #[must_use]
    pub fn leaves_objects_alone(&self) -> bool {
        let same = |(before, after): (&Sourced, &Sourced)| {
            before.object.id() == after.object.id() && before.object.relevant_fields() == after.object.relevant_fields()
        };
        self.undecided.is_empty()
            && self.before.len() == self.after.len()
            && self.before.iter().zip(&self.after).all(same)
            && self.custom_before.len() == self.custom_after.len()
            && self
                .custom_before
                .iter()
                .zip(&self.custom_after)
                .all(|(before, after)| before.workload == after.workload)
    }
}

/// A file at the two revisions.
#[derive(Clone, Copy, Debug)]
pub enum Versions<'a> {
    /// The change does not touch the file.
    Same(&'a [u8]),
    /// The change adds, removes or modifies the file.
    Changed {
        /// The content at the base; `None`: the file does not exist there.
        base: Option<&'a [u8]>,
        /// The content in the merged tree; `None`: the file does not exist there.
        merged: Option<&'a [u8]>,
    },
    /// The change touches the file, which is larger than [`MOST_READ`].
    TooLarge,
}

/// Collects the files of two revisions and computes the [`Change`] between them.
///
/// ```
/// use foretell_policy::change::revisions::{ChangeBuilder, Versions};
///
/// let base = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
/// let merged = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n";
///
/// let mut builder = ChangeBuilder::new("default");
/// builder.file("shop.yaml", Versions::Changed { base: Some(base), merged: Some(merged) });
/// let change = builder.finish();
///
/// assert!(!change.leaves_objects_alone());
/// assert_eq!(change.after[0].object.id().to_string(), "Namespace shop");
/// assert_eq!(change.after[0].place.to_string(), "shop.yaml, document 1");
/// assert!(change.undecided.is_empty());
/// ```
#[derive(Debug)]
pub struct ChangeBuilder {
    origin: Origin,
    entries: Vec<DocumentEntry>,
    charts: BTreeSet<String>,
    chart_files: Vec<ChartFile>,
    undecided: Vec<Undecided>,
    not_judged: Vec<NotJudged>,
}

/// A file that may belong to a Helm chart. Whether it does is known when all files have been added.
#[derive(Debug)]
struct ChartFile {
    path: String,
    names_policy: bool,
}

impl ChangeBuilder {
    /// A builder without files. Namespaced objects without `metadata.namespace` are in `default_namespace`.
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

    /// The change to the objects of all added files. The result does not depend on the order of the files.
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

    /// Reports changes of a chart's values, which decide what the chart renders. Outside of a chart such a file is reported
    /// only if it contains a policy, because it may be passed to a chart stored elsewhere.
    fn judge_chart_files(&mut self) {
        for ChartFile { path, names_policy } in std::mem::take(&mut self.chart_files) {
            let chart = self.charts.iter().rev().find(|chart| files::is_below(&path, chart));
            if names_policy {
                self.undecided.push(Undecided {
                    places: vec![path],
                    what: "the change touches values of a Helm chart that contain a policy".to_owned(),
                    fix: files::render_fix(&format!(
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

const RENDER_TO_JUDGE: &str = "use --render to judge what it renders";
