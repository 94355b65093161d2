//! The wire form of a question: what would this change do to the traffic of the last days?
//!
//! Whoever reads Git asks, and whoever has the window answers, with a [`crate::report::data::Report`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::revisions::{Change, NotJudged, Place, Sourced, Undecided};
use crate::model::dialect::Dialect;
use crate::resource::object::fault::ObjectError;
use crate::resource::object::origin::Origin;
use crate::resource::read::read;

/// A change, and how it is to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// What the report calls the base.
    pub base: String,
    /// What the report calls the head.
    pub head: String,
    /// How far back traffic counts, in seconds. Absent: as far as the evaluator keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u32>,
    /// How long the subjects' nodes must have been watched, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_window_seconds: Option<u32>,
    /// Whether exceptions count only once they are on the base.
    #[serde(default)]
    pub exceptions_on_base_only: bool,
    /// What enforces the policies. Absent: as the evaluator was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<Dialect>,
    /// The objects of the two revisions.
    pub change: WireChange,
}

/// A [`Change`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WireChange {
    /// Objects at the base.
    pub before: Vec<WireObject>,
    /// Objects of the merged tree.
    pub after: Vec<WireObject>,
    /// What nobody can judge.
    #[serde(default)]
    pub undecided: Vec<Undecided>,
    /// What the answer does not speak of.
    #[serde(default)]
    pub not_judged: Vec<NotJudged>,
}

/// A [`Sourced`] object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireObject {
    /// As [`crate::resource::object::Object::to_manifest`] gives it.
    pub object: Value,
    /// Where it stands.
    pub place: Place,
}

/// Why a change that came over the wire cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// An object is not valid.
    #[error("change.{side}[{index}]: {error}")]
    Object {
        /// `before` or `after`.
        side: &'static str,
        /// Its index.
        index: usize,
        /// What is wrong with it.
        error: ObjectError,
    },
    /// An object is of a kind that this version does not read.
    #[error("change.{side}[{index}]: no kind that is judged here; is the evaluator older than whoever asks it?")]
    Kind {
        /// `before` or `after`.
        side: &'static str,
        /// Its index.
        index: usize,
    },
}

impl WireChange {
    /// The wire form of a change.
    ///
    /// # Errors
    /// Never for objects that [`read`] gave.
    pub fn of(change: &Change) -> Result<Self, serde_json::Error> {
        let objects = |side: &[Sourced]| -> Result<Vec<WireObject>, serde_json::Error> {
            let wire = |it: &Sourced| Ok(WireObject { object: it.object.to_manifest()?, place: it.place.clone() });
            side.iter().map(wire).collect()
        };
        Ok(Self {
            before: objects(&change.before)?,
            after: objects(&change.after)?,
            undecided: change.undecided.clone(),
            not_judged: change.not_judged.clone(),
        })
    }

    /// The change.
    ///
    /// # Errors
    /// [`ChangeError`] where an object is not valid, or holds a field that this version does not know.
    pub fn read(self) -> Result<Change, ChangeError> {
        Ok(Change {
            before: read_side("before", self.before)?,
            after: read_side("after", self.after)?,
            undecided: self.undecided,
            not_judged: self.not_judged,
        })
    }
}

fn read_side(side: &'static str, objects: Vec<WireObject>) -> Result<Vec<Sourced>, ChangeError> {
    // Read as strictly as by whoever sent it: a field that only a newer version knows must not be passed over.
    let origin = Origin::Manifest { default_namespace: "default".to_owned() };
    let objects = objects.into_iter().enumerate();
    let objects = objects.map(|(index, WireObject { object, place })| {
        let read = read(object, &origin).map_err(|error| ChangeError::Object { side, index, error })?;
        let object = read.ok_or(ChangeError::Kind { side, index })?;
        Ok(Sourced { object, place })
    });
    objects.collect()
}
