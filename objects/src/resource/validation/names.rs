//! The grammars of Kubernetes' names. An error quotes the text and says what is allowed.

use crate::resource::object::fault::FieldError;
use crate::resource::object::path::Path;
use crate::resource::validation::api_errors;
use crate::resource::validation::grammar::{LONGEST_LABEL, LONGEST_PORT_NAME, LONGEST_SUBDOMAIN, is_label, is_name};

/// Checks a DNS label of RFC 1123, such as the name of a namespace.
pub(super) fn label(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_LABEL {
        return Err(too_long(text, LONGEST_LABEL));
    }
    if is_label(text) {
        return Ok(());
    }
    Err(format!("{text:?}: write lower-case letters, digits and '-', with a letter or digit at both ends"))
}

/// Checks a DNS subdomain of RFC 1123, such as the names of most objects.
pub(super) fn subdomain(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_SUBDOMAIN {
        return Err(too_long(text, LONGEST_SUBDOMAIN));
    }
    if text.split('.').all(is_label) {
        return Ok(());
    }
    Err(format!(
        "{text:?}: write lower-case letters, digits, '-' and '.', with a letter or digit at both ends and around each '.'"
    ))
}

/// Checks the key of a label or annotation: a name, optionally after a DNS subdomain and a slash.
pub(super) fn qualified(key: &str) -> Result<(), String> {
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            return Err(format!("{key:?}: write one '/' at most, as in example.com/name"));
        }
        Some((prefix, name)) => {
            subdomain(prefix).map_err(|problem| format!("{key:?}: prefix {problem}"))?;
            name
        }
    };
    if name.len() > LONGEST_LABEL {
        return Err(format!("{key:?}: name {}", too_long(name, LONGEST_LABEL)));
    }
    if is_name(name) {
        return Ok(());
    }
    Err(format!(
        "{key:?}: write letters, digits, '-', '_' and '.', with a letter or digit at both ends, optionally after a prefix as in example.com/name"
    ))
}

/// Checks the value of a label: empty, or a name.
pub(super) fn label_value(value: &str) -> Result<(), String> {
    if value.len() > LONGEST_LABEL {
        return Err(too_long(value, LONGEST_LABEL));
    }
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(format!(
        "{value:?}: write an empty value, or letters, digits, '-', '_' and '.', with a letter or digit at both ends"
    ))
}

/// Checks the key and the value of a label.
pub(super) fn check_label(key: &str, value: &str, labels: &Path<'_>, faults: &mut Vec<FieldError>) {
    let path = Path::Field(labels, key);
    if let Err(problem) = qualified(key) {
        let fault = path.fault(problem).invalid_texts(key, &api_errors::qualified(key));
        faults.push(fault.reported_at(labels));
    }
    if let Err(problem) = label_value(value) {
        let fault = path.fault(problem).invalid_texts(value, &api_errors::label_value(value));
        faults.push(fault.reported_at(labels));
    }
}

/// Checks the name of a port: a service name of RFC 6335 in lower case.
pub(super) fn port(name: &str) -> Result<(), String> {
    let bytes = name.as_bytes();
    if !name.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
        return Err(format!("{name:?} is text, and a port name needs a letter: write the number without quotes"));
    }
    let is_valid = bytes.len() <= LONGEST_PORT_NAME
        && bytes.iter().all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && bytes.iter().any(u8::is_ascii_lowercase)
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-');
    if is_valid {
        return Ok(());
    }
    Err(format!(
        "{name:?} is not a port name: write at most {LONGEST_PORT_NAME} lower-case letters, digits and single '-', with at least one letter and no '-' at either end"
    ))
}

fn too_long(text: &str, longest: usize) -> String {
    format!("{text:?} has {} characters: write at most {longest}", text.len())
}
