//! JSON documents, one after another. A duplicate key is an error here, whereas `serde_json` keeps the last value.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::manifest::document::DocumentError;
use crate::manifest::yaml;

/// The values of a text, numbered from 1, up to the first error. A text that only looks like JSON (`{kind: Pod}`) is read as
/// YAML.
pub(super) fn documents(text: &str) -> Vec<(usize, Result<Value, DocumentError>)> {
    let mut documents = Vec::new();
    for (n, value) in serde_json::Deserializer::from_str(text).into_iter::<Strict>().enumerate() {
        match value {
            Ok(Strict(value)) => documents.push((n + 1, Ok(value))),
            Err(error) => {
                let as_yaml = yaml::documents(text);
                if as_yaml.iter().all(|(_, value)| value.is_ok()) {
                    return as_yaml;
                }
                documents.push((n + 1, Err(DocumentError { line: error.line(), problem: problem(&error) })));
            }
        }
    }
    documents
}

/// The message without its position, which is in [`DocumentError::line`].
fn problem(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Strict, E> {
        Number::from_f64(value).map(|n| Strict(n.into())).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Strict, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(value)) = elements.next_element()? {
            array.push(value);
        }
        Ok(Strict(array.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("key `{key}` is given twice")));
            }
            object.insert(key, value);
        }
        Ok(Strict(object.into()))
    }
}
