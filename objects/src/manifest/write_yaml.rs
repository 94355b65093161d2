//! Writes a JSON value as YAML in the style that people use: blocks, and quotes only where they are needed.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Words that YAML 1.1 or 1.2 reads as booleans or null.
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Appends a document, preceded by the marker `---`.
pub fn write(text: &mut String, document: &Value) {
    text.push_str("---\n");
    match document {
        Value::Object(entries) if !entries.is_empty() => block(text, entries, 0, false),
        other => {
            flow(text, other);
            text.push('\n');
        }
    }
}

/// One document, without a marker.
#[must_use]
pub fn text(document: &Value) -> String {
    let mut text = String::new();
    write(&mut text, document);
    text.split_off("---\n".len())
}

/// Writes a mapping, one entry per line. `line_begun`: the first entry continues the current line, after the `- ` of a list.
fn block(text: &mut String, entries: &Map<String, Value>, indent: usize, mut line_begun: bool) {
    for (key, value) in entries {
        if !std::mem::take(&mut line_begun) {
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

/// Writes a value within the current line.
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
            // Characters that YAML does not allow in text, or reads as line breaks.
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

/// Whether the text needs no quotes: it begins with a letter, and continues with letters, digits and the punctuation of names,
/// paths and label keys.
fn is_plain(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(value))
}
