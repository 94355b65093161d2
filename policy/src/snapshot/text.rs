//! A cluster's objects in a file: what is in it, who made it and when.
//!
//! The first document of the text tells that; the others are the objects, as [`crate::resource::read::read`] takes them. A reader
//! that knows nothing of the first one passes over it, as over any kind that it does not know.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::pod::GONE_AT;
use crate::manifest::documents::Document;
use crate::manifest::write_yaml;
use crate::snapshot::api_resource::RESOURCES;

/// What a person reads first.
const TITLE: &str = "\
# A cluster's objects, as far as `foretell check` and `foretell evaluate` read them. Made by `foretell snapshot`.
";

/// `apiVersion` of [`Header`].
const API_VERSION: &str = "foretell.dev/v1alpha1";

/// `kind` of [`Header`].
const KIND: &str = "Snapshot";

/// A cluster at a time, and what had gone by then.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When it was taken, by the clock of the API server: each object was there then or was made later.
    pub taken: Timestamp,
    /// UID of the Namespace `kube-system`, which no two clusters share.
    pub cluster: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// Kinds that the cluster does not serve.
    pub not_served: Vec<String>,
    /// The objects, with what [`crate::snapshot::kept::strip`] leaves of them.
    pub objects: Vec<Value>,
}

/// The first document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: String,
    kind: String,
    taken: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    server: String,
    /// How many objects follow, by kind: a text that was cut short holds fewer.
    objects: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_served: Vec<String>,
}

/// Why a text is no snapshot that can be added to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It was made by something else.
    #[error("does not begin with a document of kind Snapshot, so `foretell snapshot` did not make it")]
    NotOurs,
    /// Its first document is not as it should be.
    #[error("its first document cannot be read: {0}")]
    Header(String),
    /// A document is no YAML.
    #[error("document {number}: {problem}")]
    Document {
        /// Its number, from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
    /// Objects are missing, or were added.
    #[error("holds {found} of kind {kind} where its first document says {said}: it was cut short or changed")]
    Count {
        /// Which kind.
        kind: String,
        /// How many it holds.
        found: u64,
        /// How many it should hold.
        said: u64,
    },
}

impl Snapshot {
    /// Its text: the header, then the objects by kind, namespace, name and, of pods of one name, the time they went, those
    /// that are there last. The same objects give the same text.
    #[must_use]
    pub fn into_text(self) -> String {
        let Self { taken, cluster, server, mut not_served, mut objects } = self;
        not_served.sort();
        objects.sort_by(order);
        let header = Header {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            taken,
            cluster,
            server,
            objects: counts(&objects),
            not_served,
        };
        let mut text = TITLE.to_owned();
        // Texts, numbers and maps with texts for keys are always JSON.
        write_yaml::write(&mut text, &serde_json::to_value(header).unwrap_or_default());
        for object in &objects {
            write_yaml::write(&mut text, object);
        }
        text
    }

    /// How many of its pods had gone when it was taken.
    #[must_use]
    pub fn gone_pods(&self) -> u64 {
        self.objects.iter().filter(|object| kind(object) == "Pod" && gone_at(object).is_some()).count() as u64
    }

    /// Reads the documents of what [`Snapshot::into_text`] made.
    ///
    /// # Errors
    /// [`SnapshotError`] where something else made them, or something is missing.
    pub fn from_documents(documents: Vec<Document>) -> Result<Self, SnapshotError> {
        let mut documents = documents.into_iter();
        let first = documents.next().and_then(|first| first.value.ok()).filter(is_header);
        let header: Header = serde_json::from_value(first.ok_or(SnapshotError::NotOurs)?)
            .map_err(|e| SnapshotError::Header(e.to_string()))?;
        let mut objects = Vec::new();
        for document in documents {
            let number = document.number;
            let object = document.value;
            objects.push(object.map_err(|error| SnapshotError::Document { number, problem: error.to_string() })?);
        }
        let Header { taken, cluster, server, not_served, objects: said, .. } = header;
        compare(&said, &counts(&objects))?;
        Ok(Self { taken, cluster, server, not_served, objects })
    }
}

/// Checks that the objects of each snapshot in a text are all there: what was cut short would be taken for a cluster with
/// fewer pods. Texts without a header are as complete as whoever made them says.
///
/// # Errors
/// [`SnapshotError::Count`] or [`SnapshotError::Header`].
pub fn check_complete<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Result<(), SnapshotError> {
    let mut said: Option<BTreeMap<String, u64>> = None;
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for document in documents {
        if is_header(document) {
            said.as_ref().map_or(Ok(()), |said| compare(said, &found))?;
            let header = Header::deserialize(document).map_err(|error| SnapshotError::Header(error.to_string()))?;
            (said, found) = (Some(header.objects), BTreeMap::new());
        } else {
            *found.entry(kind(document).to_owned()).or_default() += 1;
        }
    }
    said.map_or(Ok(()), |said| compare(&said, &found))
}

fn compare(said: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Result<(), SnapshotError> {
    for kind in said.keys().chain(found.keys()) {
        let number = |counts: &BTreeMap<String, u64>| counts.get(kind).copied().unwrap_or_default();
        let (said, found) = (number(said), number(found));
        if said != found {
            return Err(SnapshotError::Count { kind: kind.clone(), found, said });
        }
    }
    Ok(())
}

/// How many objects there are of each kind.
#[must_use]
pub fn counts(objects: &[Value]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(kind(object).to_owned()).or_default() += 1;
    }
    counts
}

fn is_header(document: &Value) -> bool {
    document["apiVersion"] == API_VERSION && document["kind"] == KIND
}

fn order(a: &Value, b: &Value) -> Ordering {
    let place = |object: &Value| RESOURCES.iter().position(|resource| resource.kind == kind(object));
    let uid = |object: &'_ Value| object["metadata"]["uid"].as_str().map(str::to_owned);
    place(a)
        .cmp(&place(b))
        .then_with(|| (namespace(a), name(a)).cmp(&(namespace(b), name(b))))
        // Of two pods of one name the one that comes last counts where nothing else tells them apart.
        .then_with(|| (gone_at(a).is_none(), gone_at(a)).cmp(&(gone_at(b).is_none(), gone_at(b))))
        .then_with(|| uid(a).cmp(&uid(b)))
}

pub(super) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(super) fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

pub(super) fn gone_at(object: &Value) -> Option<Timestamp> {
    object["metadata"]["annotations"][GONE_AT].as_str()?.parse().ok()
}
