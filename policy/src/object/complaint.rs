//! What an API server says of the faults that are found here, to the letter: who refuses an object in its place speaks as
//! it does. (`k8s.io/apimachinery`, `field.Error`.)

use std::fmt::{self, Write as _};

use super::FieldError;

/// One complaint of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The field as it names it: keys of labels are left out.
    pub field: String,
    /// The kind of complaint.
    pub cause: Cause,
    /// The value that is complained of, as it is printed. Empty: none is.
    value: String,
    /// What would be taken. May be empty.
    detail: String,
}

/// Kinds of complaint.
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

impl Complaint {
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

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

impl FieldError {
    /// What an API server says of this fault. Where it knows no such fault, what we say of it.
    #[must_use]
    pub fn complaints(&self) -> Vec<Complaint> {
        if !self.complaints.is_empty() {
            return self.complaints.clone();
        }
        let (field, detail) = (self.path.clone(), self.problem.clone());
        vec![Complaint { field, cause: Cause::Invalid, value: String::new(), detail }]
    }

    pub(crate) fn required(self, detail: &str) -> Self {
        self.complains(Cause::Required, String::new(), detail)
    }

    pub(crate) fn forbidden(self, detail: &str) -> Self {
        self.complains(Cause::Forbidden, String::new(), detail)
    }

    pub(crate) fn too_long(self, most_bytes: usize) -> Self {
        self.complains(Cause::TooLong, String::new(), &format!("may not be more than {most_bytes} bytes"))
    }

    /// A number, or anything that is printed as JSON prints it.
    pub(crate) fn invalid(self, value: impl fmt::Display, detail: &str) -> Self {
        self.complains(Cause::Invalid, value.to_string(), detail)
    }

    pub(crate) fn invalid_text(self, value: &str, detail: &str) -> Self {
        self.complains(Cause::Invalid, quoted(value), detail)
    }

    /// One text that breaks several rules of a grammar: a complaint of each.
    pub(crate) fn invalid_texts(self, value: &str, details: &[String]) -> Self {
        details.iter().fold(self, |fault, detail| fault.invalid_text(value, detail))
    }

    pub(crate) fn unsupported(self, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| quoted(value)).collect();
        self.complains(Cause::NotSupported, quoted(value), &format!("supported values: {}", supported.join(", ")))
    }

    /// An API server names another field for it: the map, and not the key in it.
    pub(crate) fn complained_of_at(mut self, field: &impl fmt::Display) -> Self {
        for complaint in &mut self.complaints {
            complaint.field = field.to_string();
        }
        self
    }

    fn complains(mut self, cause: Cause, value: String, detail: &str) -> Self {
        let field = self.path.clone();
        self.complaints.push(Complaint { field, cause, value, detail: detail.to_owned() });
        self
    }
}

/// As Go's `%q` prints it.
fn quoted(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_reads_as_an_api_server_writes_it() {
        let fault = FieldError::new("spec.a", "wrong").invalid(0, "must be more").unsupported("x\"\u{1}", &["y", "z"]);
        let said: Vec<String> = fault.complaints().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "spec.a: Invalid value: 0: must be more",
                r#"spec.a: Unsupported value: "x\"\x01": supported values: "y", "z""#,
            ]
        );
        let fault = FieldError::new("spec.cidr", "wrong").required("");
        assert_eq!(fault.complaints()[0].to_string(), "spec.cidr: Required value");
    }

    #[test]
    fn what_an_api_server_does_not_know_is_said_in_our_words() {
        let fault = FieldError::new("spec.reason", "say why");
        assert_eq!(fault.complaints()[0].to_string(), "spec.reason: Invalid value: say why");
    }
}
