//! Reads one scalar of a document as text, without resolving it.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Follows a path through a document and reads only the scalar at its end.
#[derive(Clone, Copy)]
pub(super) struct Descent<'p> {
    pub(super) steps: &'p [String],
}

impl<'de> DeserializeSeed<'de> for Descent<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.steps.first() {
            None => String::deserialize(deserializer).map(Some),
            Some(step) if step.parse::<usize>().is_ok() => deserializer.deserialize_any(self),
            Some(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Descent<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Some((wanted, steps)) = self.steps.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(key) = entries.next_key::<String>()? {
            if key == *wanted {
                found = entries.next_value_seed(Descent { steps })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let Some((wanted, steps)) = self.steps.split_first() else { return Ok(None) };
        let wanted = wanted.parse().unwrap_or(usize::MAX);
        let (mut found, mut index) = (None, 0_usize);
        loop {
            if index == wanted {
                match elements.next_element_seed(Descent { steps })? {
                    Some(element) => found = element,
                    None => break,
                }
            } else if elements.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
            index += 1;
        }
        Ok(found)
    }
}
