//! YAML of a JSON value, as people write it: blocks, and quotes only where something else could be meant.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// What YAML 1.1 or 1.2 takes for something other than text.
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Adds a document and the marker before it.
pub(crate) fn write(text: &mut String, document: &Value) {
    text.push_str("---\n");
    match document {
        Value::Object(entries) if !entries.is_empty() => block(text, entries, 0, false),
        other => {
            flow(text, other);
            text.push('\n');
        }
    }
}

/// A document by itself.
pub(crate) fn text(document: &Value) -> String {
    let mut text = String::new();
    write(&mut text, document);
    text.split_off("---\n".len())
}

/// A mapping, each entry on a line of its own; the first where the text stands, if that is begun already.
fn block(text: &mut String, entries: &Map<String, Value>, indent: usize, mut begun: bool) {
    for (key, value) in entries {
        if !std::mem::take(&mut begun) {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        string(text, key);
        text.push(':');
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                text.push('\n');
                block(text, entries, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                list(text, items, indent);
            }
            other => {
                text.push(' ');
                flow(text, other);
                text.push('\n');
            }
        }
    }
}

fn list(text: &mut String, items: &[Value], indent: usize) {
    for item in items {
        text.extend(std::iter::repeat_n(' ', indent));
        text.push_str("- ");
        match item {
            Value::Object(entries) if !entries.is_empty() => block(text, entries, indent + 2, true),
            other => {
                flow(text, other);
                text.push('\n');
            }
        }
    }
}

/// On the line where it stands.
fn flow(text: &mut String, value: &Value) {
    match value {
        Value::String(value) => string(text, value),
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                text.push_str(if n == 0 { "" } else { ", " });
                flow(text, item);
            }
            text.push(']');
        }
        Value::Object(entries) => {
            text.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                text.push_str(if n == 0 { "" } else { ", " });
                string(text, key);
                text.push_str(": ");
                flow(text, value);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

fn string(text: &mut String, value: &str) {
    if is_plain(value) {
        text.push_str(value);
        return;
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            // What YAML does not print, and what it takes for the end of a line.
            '\0'..=' ' | '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
                if c != ' ' =>
            {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Letters, digits and what stands between them in names, paths and keys of labels.
fn is_plain(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
}
