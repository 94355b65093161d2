//! The wire form of a change that an evaluator is to judge.
//!
//! The client reads Git and sends a [`Preview`]. The evaluator has the recorded traffic and answers with a
//! [`crate::report::data::Report`].

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::revisions::{Change, NotJudged, Place, Sourced, SourcedWorkload, Undecided};
use foretell_objects::model::dialect::Dialect;
use foretell_objects::resource::object::fault::ObjectError;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;

/// A change, and the settings by which to judge it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// Name of the base in the report.
    pub base: String,
    /// Name of the head in the report.
    pub head: String,
    /// How far back traffic counts, in seconds. Absent: as far back as the evaluator keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u32>,
    /// How long the nodes of subjects must have been watched, in seconds. Absent: any time will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_window_seconds: Option<u32>,
    /// Whether exceptions count only once they are on the base.
    #[serde(default)]
    pub exceptions_on_base_only: bool,
    /// Names for ranges of addresses outside of the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranges: BTreeMap<String, IpNet>,
    /// The enforcer of the policies. Absent: the evaluator's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<Dialect>,
    /// The objects of the two revisions.
    pub change: WireChange,
}

/// The wire form of a [`Change`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WireChange {
    /// Objects at the base.
    pub before: Vec<WireObject>,
    /// Objects of the merged tree.
    pub after: Vec<WireObject>,
    /// Objects of other kinds that make pods, at the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_before: Vec<SourcedWorkload>,
    /// Objects of other kinds that make pods, in the merged tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_after: Vec<SourcedWorkload>,
    /// What could not be evaluated.
    #[serde(default)]
    pub undecided: Vec<Undecided>,
    /// Files that the report does not cover.
    #[serde(default)]
    pub not_judged: Vec<NotJudged>,
}

/// The wire form of a [`Sourced`] object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireObject {
    /// The manifest, as [`foretell_objects::resource::object::Object::to_manifest`] returns it.
    pub object: Value,
    /// The file and document that it comes from.
    pub place: Place,
}

/// An error in a change that was received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// An object is invalid.
    #[error("change.{side}[{index}]: {error}")]
    Object {
        /// `before` or `after`.
        side: &'static str,
        /// Its index in that list.
        index: usize,
        /// What is invalid.
        error: ObjectError,
    },
    /// This version does not know the kind of an object.
    #[error("change.{side}[{index}]: unknown kind; is the evaluator older than the client?")]
    Kind {
        /// `before` or `after`.
        side: &'static str,
        /// Its index in that list.
        index: usize,
    },
}

impl WireChange {
    /// The wire form of a change.
    ///
    /// # Errors
    /// If an object has no JSON form. This cannot happen to objects that [`read`] returned.
    pub fn of(change: &Change) -> Result<Self, serde_json::Error> {
        let objects = |side: &[Sourced]| -> Result<Vec<WireObject>, serde_json::Error> {
            let wire = |it: &Sourced| Ok(WireObject { object: it.object.to_manifest()?, place: it.place.clone() });
            side.iter().map(wire).collect()
        };
        Ok(Self {
            before: objects(&change.before)?,
            after: objects(&change.after)?,
            custom_before: change.custom_before.clone(),
            custom_after: change.custom_after.clone(),
            undecided: change.undecided.clone(),
            not_judged: change.not_judged.clone(),
        })
    }

    /// Reads and validates the objects.
    ///
    /// # Errors
    /// [`ChangeError`] if an object is invalid, or has a field that this version does not know.
    pub fn read(self) -> Result<Change, ChangeError> {
        Ok(Change {
            before: read_side("before", self.before)?,
            after: read_side("after", self.after)?,
            custom_before: self.custom_before,
            custom_after: self.custom_after,
            undecided: self.undecided,
            not_judged: self.not_judged,
        })
    }
}

fn read_side(side: &'static str, objects: Vec<WireObject>) -> Result<Vec<Sourced>, ChangeError> {
    // As strict as the client that sent it: a field that only a newer version knows must not be ignored.
    let origin = Origin::Manifest { default_namespace: "default".to_owned() };
    let objects = objects.into_iter().enumerate();
    let objects = objects.map(|(index, WireObject { object, place })| {
        let read = read(object, &origin).map_err(|error| ChangeError::Object { side, index, error })?;
        let object = read.ok_or(ChangeError::Kind { side, index })?;
        Ok(Sourced { object, place })
    });
    objects.collect()
}
