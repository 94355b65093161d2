//! The API server's error messages for the faults that are found here, word for word (`field.Error` of `k8s.io/apimachinery`),
//! so that the webhook refuses an object with the same message as the API server.

use std::fmt;
use std::fmt::Write as _;

/// An error of one field, as an API server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Path of the field. Unlike in our own messages it does not include the key of a label or annotation.
    pub field: String,
    /// The kind of error.
    pub cause: Cause,
    /// The invalid value as it is printed. Empty: the message contains no value.
    pub(super) value: String,
    /// The explanation. It may be empty.
    pub(super) detail: String,
}

/// Kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the ErrorType of upstream with its name")]
pub enum Cause {
    Required,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
}

impl Cause {
    /// The value of `status.details.causes[].reason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
        }
    }
}

impl ApiError {
    /// An error of kind `Invalid`. The value is printed as it is: a number, or JSON.
    pub fn invalid(field: impl fmt::Display, value: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self { field: field.to_string(), cause: Cause::Invalid, value: value.to_string(), detail: detail.into() }
    }

    /// The value of `status.details.causes[].message`.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = self.cause.title().to_owned();
        for part in [&self.value, &self.detail].into_iter().filter(|part| !part.is_empty()) {
            let _ = write!(text, ": {part}");
        }
        text
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

/// The text as Go's `%q` prints it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(character));
            }
            '\u{80}'..='\u{9f}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}
