//! Faults of an object: the field, the problem, and the API server's message for it.

use std::fmt;

use crate::model::list::write_list;
use crate::resource::object::api_error::{ApiError, Cause, quoted};

/// A fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    /// Path of the field: `spec.ingress[0].from[1].ipBlock.cidr`.
    pub path: String,
    /// What is wrong and how to fix it.
    pub problem: String,
    /// The API server's errors for this fault; empty if it does not detect the fault.
    api_errors: Vec<ApiError>,
    /// Of a scalar of the wrong type: where it is, to quote it as the file has it.
    scalar: Option<Scalar>,
}

/// A number or boolean where a text belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    pub(crate) expected: Expected,
}

/// What belongs in the place of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Text,
    /// A port: its number or its name.
    PortNumber,
}

/// An invalid object, with every fault that was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    /// Kind and name of the object, as far as they could be read: `NetworkPolicy prod/web`.
    pub object: String,
    /// The faults, at least one.
    pub faults: Vec<FieldError>,
}

impl ObjectError {
    /// Names scalars of the wrong type as the file has them, so that people put quotes around what they wrote. The value that YAML
    /// makes of it is another one: `1.10` is 1.1. `written` gives the text at a JSON pointer.
    #[must_use]
    pub fn quoting(mut self, written: impl Fn(&str) -> Option<String>) -> Self {
        for fault in &mut self.faults {
            fault.quote(&written);
        }
        self
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        write_list(f, &self.faults, "; ")
    }
}

impl std::error::Error for ObjectError {}

impl FieldError {
    /// A fault at this path: what is wrong, and how to fix it.
    #[must_use]
    pub fn new(path: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { path: path.to_string(), problem: problem.into(), api_errors: Vec::new(), scalar: None }
    }

    pub(crate) fn about(self, scalar: Option<Scalar>) -> Self {
        Self { scalar, ..self }
    }

    /// Names a scalar of the wrong type as the file has it. `written` gives the text at a JSON pointer.
    fn quote(&mut self, written: &impl Fn(&str) -> Option<String>) {
        let Some(Scalar { pointer, expected }) = &self.scalar else { return };
        let Some(text) = written(pointer) else { return };
        self.problem = match expected {
            Expected::Text => format!("{text} is not text: write it in quotes, \"{text}\""),
            Expected::PortNumber => {
                format!("{text} is not a whole number: write the port's digits, or its name in quotes")
            }
        };
    }

    /// The API server's errors for this fault. If the API server does not detect it, an error with our own text.
    #[must_use]
    pub fn api_errors(&self) -> Vec<ApiError> {
        if !self.api_errors.is_empty() {
            return self.api_errors.clone();
        }
        let (field, detail) = (self.path.clone(), self.problem.clone());
        vec![ApiError { field, cause: Cause::Invalid, value: String::new(), detail }]
    }

    pub(crate) fn required(self, detail: &str) -> Self {
        self.with_api_error(Cause::Required, String::new(), detail)
    }

    pub(crate) fn forbidden(self, detail: &str) -> Self {
        self.with_api_error(Cause::Forbidden, String::new(), detail)
    }

    pub(crate) fn too_long(self, most_bytes: usize) -> Self {
        self.with_api_error(Cause::TooLong, String::new(), &format!("may not be more than {most_bytes} bytes"))
    }

    /// Adds an error about a value that is printed as it is: a number, or JSON.
    pub(crate) fn invalid(self, value: impl fmt::Display, detail: &str) -> Self {
        self.with_api_error(Cause::Invalid, value.to_string(), detail)
    }

    pub(crate) fn invalid_text(self, value: &str, detail: &str) -> Self {
        self.with_api_error(Cause::Invalid, quoted(value), detail)
    }

    /// Adds one error for each rule that a text breaks.
    pub(crate) fn invalid_texts(self, value: &str, details: &[String]) -> Self {
        details.iter().fold(self, |fault, detail| fault.invalid_text(value, detail))
    }

    pub(crate) fn unsupported(self, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| quoted(value)).collect();
        self.with_api_error(Cause::NotSupported, quoted(value), &format!("supported values: {}", supported.join(", ")))
    }

    /// Sets the field that the API server reports: the map of labels, not the key in it.
    pub(crate) fn reported_at(mut self, field: &impl fmt::Display) -> Self {
        for api_error in &mut self.api_errors {
            api_error.field = field.to_string();
        }
        self
    }

    fn with_api_error(mut self, cause: Cause, value: String, detail: &str) -> Self {
        let field = self.path.clone();
        self.api_errors.push(ApiError { field, cause, value, detail: detail.to_owned() });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_error_has_the_text_of_the_api_server() {
        let fault = FieldError::new("spec.a", "wrong").invalid(0, "must be more").unsupported("x\"\u{1}", &["y", "z"]);
        let messages: Vec<String> = fault.api_errors().iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "spec.a: Invalid value: 0: must be more",
                r#"spec.a: Unsupported value: "x\"\x01": supported values: "y", "z""#,
            ]
        );
        let fault = FieldError::new("spec.cidr", "wrong").required("");
        assert_eq!(fault.api_errors()[0].to_string(), "spec.cidr: Required value");
    }

    #[test]
    fn a_fault_that_the_api_server_does_not_detect_has_our_own_text() {
        let fault = FieldError::new("spec.reason", "say why");
        assert_eq!(fault.api_errors()[0].to_string(), "spec.reason: Invalid value: say why");
    }
}
