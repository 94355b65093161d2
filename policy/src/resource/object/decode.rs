//! From JSON to a type, with every fault named by its path.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::resource::object::Kind;
use crate::resource::object::fault::FieldError;
use crate::resource::object::known_fields::unknown_field;
use crate::resource::object::origin::Origin;
use crate::resource::object::path::{OwnedPath, Step};
use crate::resource::object::scope::Scope;

/// After so many faults and fixed places a reader has seen enough.
const MOST_ROUNDS: usize = 500;

/// Of unknown fields no more are listed than this.
const MOST_UNKNOWN: usize = 50;

/// Reads `value` as a `T` of a kind of which unknown fields may be faults.
pub(crate) fn decode_strictly<T: DeserializeOwned>(
    value: Value,
    kind: Kind,
    origin: &Origin,
) -> Result<T, Vec<FieldError>> {
    let noting = |value: &Value, unknown: &mut BTreeSet<OwnedPath>| {
        attempt(value, |deserializer| {
            serde_ignored::deserialize(deserializer, |path| {
                unknown.insert(OwnedPath::from(&path));
            })
        })
    };
    if Scope::of(kind, origin).is_strict() {
        decode_by(value, kind, origin, noting)
    } else {
        decode(value, kind, origin)
    }
}

/// Reads `value` as a `T`. The large kinds are read by this one alone: what notes unknown fields takes as long to compile again.
pub(crate) fn decode<T: DeserializeOwned>(value: Value, kind: Kind, origin: &Origin) -> Result<T, Vec<FieldError>> {
    decode_by(value, kind, origin, |value, _| attempt(value, |deserializer| T::deserialize(deserializer)))
}

/// It is read again after each fault, less what was faulty, so that all faults are found; and again
/// after each fault outside what is read of its kind, which is forgotten.
fn decode_by<T>(
    mut value: Value,
    kind: Kind,
    origin: &Origin,
    attempt: impl Fn(&Value, &mut BTreeSet<OwnedPath>) -> Result<T, DecodeError>,
) -> Result<T, Vec<FieldError>> {
    let scope = Scope::of(kind, origin);
    let mut removed: Vec<OwnedPath> = Vec::new();
    let mut unknown = BTreeSet::new();
    let mut faults = Vec::new();
    let mut object = None;
    for _ in 0..MOST_ROUNDS {
        let error = match attempt(&value, &mut unknown) {
            Ok(read) => {
                object = Some(read);
                break;
            }
            Err(error) => error,
        };
        if error.is_zero_value(kind) && error.fill(&mut value) {
            continue;
        }
        if let Some(part) = scope.outside(&error.path) {
            if part.remove(&mut value) {
                continue;
            }
        } else if removed.contains(&error.path) {
            // Missing only because it was faulty and was taken out: nothing more can be told.
            break;
        }
        let gone = error.path.remove(&mut value);
        removed.push(error.path.field());
        faults.push(FieldError::new(error.path, error.problem));
        if !gone {
            break;
        }
    }
    let unknown = unknown.iter().filter(|path| scope.outside(path).is_none());
    faults.extend(unknown.take(MOST_UNKNOWN).map(|path| unknown_field(kind, path)));
    match object {
        Some(object) if faults.is_empty() => Ok(object),
        _ => Err(faults),
    }
}

fn attempt<'v, T>(
    value: &'v Value,
    read: impl FnOnce(serde_path_to_error::Deserializer<'_, '_, &'v Value>) -> Result<T, serde_json::Error>,
) -> Result<T, DecodeError> {
    let mut track = serde_path_to_error::Track::new();
    let result = read(serde_path_to_error::Deserializer::new(value, &mut track));
    result.map_err(|error| DecodeError::new(OwnedPath::from(&track.path()), &error, value))
}

struct DecodeError {
    path: OwnedPath,
    problem: String,
    at_null: bool,
}

impl DecodeError {
    fn new(mut path: OwnedPath, error: &serde_json::Error, value: &Value) -> Self {
        let said = error.to_string();
        let found = path.find(value);
        let at_null = found == Some(&Value::Null);
        let missing = said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        let problem = match (missing, found) {
            (Some(field), _) => {
                path.0.push(Step::Key(field.to_owned()));
                "required, and missing".to_owned()
            }
            (None, Some(Value::Number(_) | Value::Bool(_))) if said.ends_with("expected a string") => {
                let plain = found.map(Value::to_string).unwrap_or_default();
                format!("{plain} is not text: write it in quotes, \"{plain}\"")
            }
            (None, Some(_)) if path.0.last() == Some(&Step::Key("expiresAt".to_owned())) => {
                "not a time: write it as RFC 3339 does, \"2026-12-31T00:00:00Z\"".to_owned()
            }
            (None, _) => said,
        };
        Self { path, problem, at_null }
    }

    /// A null among the values of a map or the items of a list, where an API server takes it for the zero value: Go does in
    /// the built-in kinds and in all metadata; the schema of a custom resource refuses it.
    fn is_zero_value(&self, kind: Kind) -> bool {
        self.at_null && self.path.0.len() > 1 && (!kind.is_custom() || self.path.key(0) == Some("metadata"))
    }

    fn fill(&self, value: &mut Value) -> bool {
        let zero = if self.problem.ends_with("expected a string") {
            Value::String(String::new())
        } else {
            Value::Object(serde_json::Map::new())
        };
        self.path.find_mut(value).map(|null| *null = zero).is_some()
    }
}
