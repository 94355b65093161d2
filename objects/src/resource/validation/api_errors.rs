//! The API server's messages for texts that [`names`](crate::resource::validation::names) refuses: one for each broken rule,
//! word for word. There is at least one for each text that is refused there.

use crate::resource::validation::grammar::{LONGEST_LABEL, LONGEST_PORT_NAME, LONGEST_SUBDOMAIN, is_label, is_name};

/// The grammar of label values and of the part of a label key after its prefix.
const NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// Messages for a DNS subdomain.
pub(super) fn subdomain(text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if text.len() > LONGEST_SUBDOMAIN {
        messages.push(too_long("bytes", LONGEST_SUBDOMAIN));
    }
    if !text.split('.').all(is_label) {
        messages.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
        ));
    }
    messages
}

/// Messages for a label key.
pub(super) fn qualified(key: &str) -> Vec<String> {
    let grammar = format!(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{NAME}')"
    );
    let mut messages = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {grammar} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            messages.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            messages.extend(subdomain(prefix).into_iter().map(|problem| format!("prefix part {problem}")));
            name
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else if name.len() > LONGEST_LABEL {
        messages.push(format!("name part {}", too_long("bytes", LONGEST_LABEL)));
    }
    if !is_name(name) {
        messages.push(format!("name part {grammar}"));
    }
    messages
}

/// Messages for a label value.
pub(super) fn label_value(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > LONGEST_LABEL {
        messages.push(too_long("bytes", LONGEST_LABEL));
    }
    if !value.is_empty() && !is_name(value) {
        messages.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({NAME})?')"
        ));
    }
    messages
}

/// Messages for a port name.
pub(super) fn port(name: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if name.len() > LONGEST_PORT_NAME {
        messages.push(too_long("characters", LONGEST_PORT_NAME));
    }
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') || name.is_empty() {
        messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        messages.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        messages.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        messages.push("must not begin or end with a hyphen".to_owned());
    }
    messages
}

fn too_long(unit: &str, longest: usize) -> String {
    format!("must be no more than {longest} {unit}")
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;

    #[test]
    fn there_is_a_message_exactly_for_the_texts_that_are_refused() {
        let long = "a".repeat(64);
        for text in ["", "a", "A", "a.b", ".a", "a-", "a--b", "0", "a/b", "/a", "a/", "a/b/c", "é", "a b", &long, "A/b"]
        {
            assert_eq!(qualified(text).is_empty(), names::qualified(text).is_ok(), "key {text:?}");
            assert_eq!(label_value(text).is_empty(), names::label_value(text).is_ok(), "value {text:?}");
            assert_eq!(subdomain(text).is_empty(), names::subdomain(text).is_ok(), "subdomain {text:?}");
            assert_eq!(port(text).is_empty(), names::port(text).is_ok(), "port {text:?}");
        }
    }
}
