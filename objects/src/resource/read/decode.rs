//! Decodes JSON as a type and reports every fault with its path.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::resource::object::Kind;
use crate::resource::object::fault::{Expected, FieldError, Scalar};
use crate::resource::object::origin::Origin;
use crate::resource::object::path::{OwnedPath, Step};
use crate::resource::read::known_fields::unknown_field;
use crate::resource::read::scope::Scope;

/// The decoder stops after this many attempts, each of which finds one fault or repairs one value.
const MOST_ROUNDS: usize = 500;

/// The problem of a number or boolean in the place of a text, if its text in the file is not known. The value is not quoted: YAML's
/// `1.10` is 1.1 by now, and quotes around that would make another text.
const NOT_TEXT: &str = "a number or boolean is not text: put quotes around what the manifest has here";

/// At most this many unknown fields are reported.
const MOST_UNKNOWN: usize = 50;

/// Decodes `value` as a `T`. Unknown fields are faults if the kind and origin require it.
pub(crate) fn decode_strictly<T: DeserializeOwned>(
    value: Value,
    kind: Kind,
    origin: &Origin,
) -> Result<T, Vec<FieldError>> {
    let attempt_strictly = |value: &Value, unknown: &mut BTreeSet<OwnedPath>| {
        attempt(value, |deserializer| {
            serde_ignored::deserialize(deserializer, |path| {
                unknown.insert(OwnedPath::from(&path));
            })
        })
    };
    if Scope::of(kind, origin).is_strict() {
        decode_by(value, kind, origin, attempt_strictly)
    } else {
        decode(value, kind, origin)
    }
}

/// Decodes `value` as a `T` and ignores unknown fields. Large kinds use only this function, because the instance that collects
/// unknown fields would double their compile time.
pub(crate) fn decode<T: DeserializeOwned>(value: Value, kind: Kind, origin: &Origin) -> Result<T, Vec<FieldError>> {
    decode_by(value, kind, origin, |value, _| attempt(value, |deserializer| T::deserialize(deserializer)))
}

/// Decodes repeatedly, each time without the field that was wrong, so that all faults are found. Faults in fields that are not
/// read for the kind are removed and not reported.
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
        if error.is_zero_value(kind) && error.set_zero_value(&mut value) {
            continue;
        }
        if let Some(part) = scope.outside(&error.path) {
            if part.remove(&mut value) {
                continue;
            }
        } else if removed.contains(&error.path) {
            // The field is missing only because it was removed for its fault. No further faults can be found.
            break;
        }
        let is_removed = error.path.remove(&mut value);
        removed.push(error.path.field());
        faults.push(FieldError::new(error.path, error.problem).about(error.scalar));
        if !is_removed {
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
    scalar: Option<Scalar>,
}

impl DecodeError {
    fn new(mut path: OwnedPath, error: &serde_json::Error, value: &Value) -> Self {
        let message = error.to_string();
        let found = path.find(value);
        let at_null = found == Some(&Value::Null);
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        let mut scalar = None;
        let mut wrong_scalar = |expected| scalar = Some(Scalar { pointer: path.pointer(), expected });
        let problem = match (missing, found) {
            (Some(field), _) => {
                path.0.push(Step::Key(field.to_owned()));
                "required but missing".to_owned()
            }
            (None, Some(Value::Number(_) | Value::Bool(_))) if message.ends_with("expected a string") => {
                wrong_scalar(Expected::Text);
                NOT_TEXT.to_owned()
            }
            (None, Some(Value::Bool(_))) if message.ends_with("expected IntOrString") => {
                wrong_scalar(Expected::Text);
                NOT_TEXT.to_owned()
            }
            (None, Some(Value::Number(_))) if message.ends_with("expected IntOrString") => {
                wrong_scalar(Expected::PortNumber);
                message
            }
            (None, Some(_)) if path.0.last() == Some(&Step::Key("expiresAt".to_owned())) => {
                "not a time: write it in RFC 3339 form, \"2026-12-31T00:00:00Z\"".to_owned()
            }
            (None, _) => message,
        };
        Self { path, problem, at_null, scalar }
    }

    /// Whether the fault is a null that an API server reads as the zero value: Go does so for values of maps and items of lists
    /// in built-in kinds and in all metadata. The schema of a custom resource refuses it.
    fn is_zero_value(&self, kind: Kind) -> bool {
        self.at_null && self.path.0.len() > 1 && (!kind.is_custom() || self.path.key(0) == Some("metadata"))
    }

    fn set_zero_value(&self, value: &mut Value) -> bool {
        let zero = if self.problem.ends_with("expected a string") {
            Value::String(String::new())
        } else {
            Value::Object(serde_json::Map::new())
        };
        self.path.find_mut(value).map(|null| *null = zero).is_some()
    }
}
