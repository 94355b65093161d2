//! A document of a text.

use serde_json::Value;

/// One object of a text, or the reason why its document cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Number of the document in its text, from 1. Empty documents count; comments before the first `---` do not.
    pub number: usize,
    /// `items[3]` where the document is a List, `items[3].items[0]` where a List holds a List; `""` otherwise.
    pub item: String,
    /// The object, or the error of its document.
    pub value: Result<Value, DocumentError>,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DocumentError {
    /// Line in the whole text, from 1.
    pub line: usize,
    /// What is wrong, without the line.
    pub problem: String,
}
