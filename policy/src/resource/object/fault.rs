//! Faults of an object: the field, what is wrong with it, and what an API server says of it.

use std::fmt;

use crate::model::list::write_list;
use crate::resource::object::api_error::{ApiError, Cause, quoted};

/// A fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    /// `spec.ingress[0].from[1].ipBlock.cidr`
    pub path: String,
    /// What is wrong and how to fix it.
    pub problem: String,
    /// What an API server says of it, where an API server detects the fault.
    api_errors: Vec<ApiError>,
}

/// An object that was refused, with every fault that was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    /// The object, as far as its name could be read: `NetworkPolicy prod/web`.
    pub object: String,
    /// At least one.
    pub faults: Vec<FieldError>,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        write_list(f, &self.faults, "; ")
    }
}

impl std::error::Error for ObjectError {}

impl FieldError {
    pub(crate) fn new(path: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { path: path.to_string(), problem: problem.into(), api_errors: Vec::new() }
    }

    /// What an API server says of this fault. Where it knows no such fault, what we say of it.
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

    /// A number, or anything that is printed as JSON prints it.
    pub(crate) fn invalid(self, value: impl fmt::Display, detail: &str) -> Self {
        self.with_api_error(Cause::Invalid, value.to_string(), detail)
    }

    pub(crate) fn invalid_text(self, value: &str, detail: &str) -> Self {
        self.with_api_error(Cause::Invalid, quoted(value), detail)
    }

    /// One text that breaks several rules of a grammar: a api_error of each.
    pub(crate) fn invalid_texts(self, value: &str, details: &[String]) -> Self {
        details.iter().fold(self, |fault, detail| fault.invalid_text(value, detail))
    }

    pub(crate) fn unsupported(self, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|value| quoted(value)).collect();
        self.with_api_error(Cause::NotSupported, quoted(value), &format!("supported values: {}", supported.join(", ")))
    }

    /// An API server names another field for it: the map, and not the key in it.
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
    fn a_complaint_reads_as_an_api_server_writes_it() {
        let fault = FieldError::new("spec.a", "wrong").invalid(0, "must be more").unsupported("x\"\u{1}", &["y", "z"]);
        let said: Vec<String> = fault.api_errors().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "spec.a: Invalid value: 0: must be more",
                r#"spec.a: Unsupported value: "x\"\x01": supported values: "y", "z""#,
            ]
        );
        let fault = FieldError::new("spec.cidr", "wrong").required("");
        assert_eq!(fault.api_errors()[0].to_string(), "spec.cidr: Required value");
    }

    #[test]
    fn what_an_api_server_does_not_know_is_said_in_our_words() {
        let fault = FieldError::new("spec.reason", "say why");
        assert_eq!(fault.api_errors()[0].to_string(), "spec.reason: Invalid value: say why");
    }
}
