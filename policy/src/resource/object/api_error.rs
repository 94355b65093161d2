//! What an API server says of the faults that are found here, to the letter: who refuses an object in its place speaks as
//! it does. (`k8s.io/apimachinery`, `field.Error`.)

use std::fmt;
use std::fmt::Write as _;

/// One api_error of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The field as it names it: keys of labels are left out.
    pub field: String,
    /// The kind of api_error.
    pub cause: Cause,
    /// The value that is complained of, as it is printed. Empty: none is.
    pub(super) value: String,
    /// What would be taken. May be empty.
    pub(super) detail: String,
}

/// Kinds of api_error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the API server's of this name")]
pub enum Cause {
    Required,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
}

impl Cause {
    /// As `status.details.causes[].reason` has it.
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
    /// Of a value that is printed as it is: a number, or what JSON makes of it.
    pub fn invalid(field: impl fmt::Display, value: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self { field: field.to_string(), cause: Cause::Invalid, value: value.to_string(), detail: detail.into() }
    }

    /// As `status.details.causes[].message` has it.
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

/// As Go's `%q` prints it.
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
