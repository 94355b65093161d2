//! The text of a snapshot: a header, which states when and from which cluster it was taken, and the cluster's objects.
//!
//! The header is the first YAML document. The others are the objects, which [`foretell_objects::resource::read::read`] reads. Readers that do
//! not know the header's kind skip it, as they skip any unknown kind.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::pod::GONE_AT;
use crate::snapshot::api_resource::RESOURCES;
use foretell_objects::manifest::document::Document;
use foretell_objects::manifest::write_yaml;

/// A comment on the first line, for people.
const TITLE: &str = "\
# Objects of a Kubernetes cluster, reduced to the fields that Foretell reads. Written by `foretell snapshot`.
";

/// `apiVersion` of [`Header`].
const API_VERSION: &str = "foretell.dev/v1alpha1";

/// `kind` of [`Header`].
const KIND: &str = "Snapshot";

/// A cluster at one time, with pods that were gone by then.
///
/// ```
/// use foretell_objects::manifest::documents::documents;
/// use foretell_policy::snapshot::text::Snapshot;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let snapshot = Snapshot {
///     taken: "2026-01-01T12:00:00Z".parse()?,
///     cluster: None,
///     server: "https://192.0.2.1:6443".to_owned(),
///     not_served: vec!["AdminNetworkPolicy".to_owned()],
///     objects: vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})],
/// };
/// let text = snapshot.clone().into_text();
/// assert_eq!(Snapshot::from_documents(documents(&text))?, snapshot);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When it was taken, by the clock of the API server. Every object existed then or was created later.
    pub taken: Timestamp,
    /// UID of the Namespace `kube-system`, which is unique to a cluster.
    pub cluster: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// Kinds that the cluster does not serve.
    pub not_served: Vec<String>,
    /// The objects, reduced by [`foretell_objects::resource::kept::strip`].
    pub objects: Vec<Value>,
}

/// The header: the first document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: String,
    kind: String,
    taken: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    server: String,
    /// The number of objects that follow, by kind. A truncated text has fewer.
    objects: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_served: Vec<String>,
}

/// Why a text is not a complete snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The text does not begin with a header.
    #[error("the first document is not of kind Snapshot, so `foretell snapshot` did not write this file")]
    NotOurs,
    /// The header is invalid.
    #[error("the first document is not a valid header: {0}")]
    Header(String),
    /// A document is not valid YAML.
    #[error("document {number}: {problem}")]
    Document {
        /// The number of the document, from 1.
        number: usize,
        /// The error of the YAML parser.
        problem: String,
    },
    /// The number of objects differs from the header.
    #[error(
        "contains {found} objects of kind {kind}, and its first document states {stated}: the file was truncated or changed"
    )]
    Count {
        /// The kind.
        kind: String,
        /// The number of objects in the text.
        found: u64,
        /// The number in the header.
        stated: u64,
    },
}

impl Snapshot {
    /// The text: the header, then the objects ordered by kind, namespace and name. Pods of one name are ordered by the time at
    /// which they were gone, with existing ones last. The same objects give the same text.
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
        // Strings, numbers and maps with string keys always convert to JSON.
        write_yaml::write(&mut text, &serde_json::to_value(header).unwrap_or_default());
        for object in &objects {
            write_yaml::write(&mut text, object);
        }
        text
    }

    /// The number of pods that were gone when it was taken.
    #[must_use]
    pub fn gone_pods(&self) -> u64 {
        self.objects.iter().filter(|object| kind(object) == "Pod" && gone_at(object).is_some()).count() as u64
    }

    /// Reads the documents of a text that [`Snapshot::into_text`] wrote.
    ///
    /// # Errors
    /// [`SnapshotError`] if the text was written by something else, or is truncated.
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
        let Header { taken, cluster, server, not_served, objects: stated, .. } = header;
        compare(&stated, &counts(&objects))?;
        Ok(Self { taken, cluster, server, not_served, objects })
    }
}

/// Checks that each snapshot among these documents is complete: a truncated one would look like a cluster with fewer pods.
/// Documents without a header are not checked.
///
/// # Errors
/// [`SnapshotError::Count`] if objects are missing, [`SnapshotError::Header`] if a header is invalid.
pub fn check_complete<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Result<(), SnapshotError> {
    let mut stated: Option<BTreeMap<String, u64>> = None;
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for document in documents {
        if is_header(document) {
            stated.as_ref().map_or(Ok(()), |stated| compare(stated, &found))?;
            let header = Header::deserialize(document).map_err(|error| SnapshotError::Header(error.to_string()))?;
            (stated, found) = (Some(header.objects), BTreeMap::new());
        } else {
            *found.entry(kind(document).to_owned()).or_default() += 1;
        }
    }
    stated.map_or(Ok(()), |stated| compare(&stated, &found))
}

fn compare(stated: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Result<(), SnapshotError> {
    for kind in stated.keys().chain(found.keys()) {
        let number = |counts: &BTreeMap<String, u64>| counts.get(kind).copied().unwrap_or_default();
        let (stated, found) = (number(stated), number(found));
        if stated != found {
            return Err(SnapshotError::Count { kind: kind.clone(), found, stated });
        }
    }
    Ok(())
}

/// The number of objects of each kind.
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
    let position = |object: &Value| RESOURCES.iter().position(|resource| resource.kind == kind(object));
    let place = |object: &Value| position(object).unwrap_or(RESOURCES.len());
    let uid = |object: &'_ Value| object["metadata"]["uid"].as_str().map(str::to_owned);
    place(a)
        .cmp(&place(b))
        .then_with(|| kind(a).cmp(kind(b)))
        .then_with(|| (namespace(a), name(a)).cmp(&(namespace(b), name(b))))
        // Of two pods of one name the last one counts if nothing else distinguishes them.
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
