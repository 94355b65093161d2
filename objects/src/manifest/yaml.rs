//! YAML documents. The text is split before it is parsed, so that an error affects only its own document.

use serde::de::DeserializeSeed;
use serde_json::Value;
use serde_saphyr::{Options, alias_limits, budget, options};

use crate::manifest::descent::Descent;
use crate::manifest::document::DocumentError;

/// The deepest objects of Kubernetes, CRD schemas, have about forty levels. In an unoptimised build each level uses 20 KiB of
/// the stack, which may be only 2 MiB.
const MAX_DEPTH: usize = 64;

/// Limit of parser events that aliases may add to a text. The usual alias bomb of nine lines would add a billion.
const MAX_REPLAYED: usize = 100_000;

/// The documents of a text, numbered from 1; empty ones are `null`.
pub(super) fn documents(text: &str) -> Vec<(usize, Result<Value, DocumentError>)> {
    let parts = split(text);
    parts.into_iter().enumerate().map(|(n, part)| (n + 1, read(&part))).collect()
}

/// The text of a document, by its number from 1.
pub(super) fn document(text: &str, number: usize) -> Option<&str> {
    Some(split(text).get(number.checked_sub(1)?)?.text)
}

/// Reads one scalar of a document.
pub(super) fn descend(text: &str, descent: Descent<'_>) -> Option<String> {
    let read = |deserializer: serde_saphyr::Deserializer<'_, '_>| descent.deserialize(deserializer);
    serde_saphyr::with_deserializer_from_str_with_options(text, settings(text.len()), read).ok().flatten()
}

struct Part<'a> {
    text: &'a str,
    lines_before: usize,
}

/// Splits a text at its markers. A line that begins with `---` is always a marker, even inside a scalar, so this needs no
/// parser. The text before the first marker is a document only if it is not empty.
fn split(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut start, mut lines_before) = (Vec::new(), 0, 0);
    let (mut offset, mut lines) = (0, 0);
    for line in text.split_inclusive('\n') {
        let is_marker =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        let is_prologue = || parts.is_empty() && is_bare(&text[start..offset]);
        if is_marker && !is_prologue() {
            parts.push(Part { text: &text[start..offset], lines_before });
            (start, lines_before) = (offset, lines);
        }
        offset += line.len();
        lines += 1;
    }
    parts.push(Part { text: &text[start..], lines_before });
    parts
}

/// Whether the text has only blank lines, comments and directives.
fn is_bare(text: &str) -> bool {
    text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%'))
}

fn read(part: &Part<'_>) -> Result<Value, DocumentError> {
    serde_saphyr::from_str_with_options(part.text, settings(part.text.len())).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |place| usize::try_from(place.line()).unwrap_or(1));
        DocumentError { line: part.lines_before + line.max(1), problem: problem(&error.to_string()) }
    })
}

/// The first line of the message without its position, which is in [`DocumentError::line`].
fn problem(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let end = first.rfind(" at line ").unwrap_or(first.len());
    let problem = first[..end].trim_end_matches([',', ':', ' ']);
    // The message ends with a hint about the parser's options.
    let duplicate = problem.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.rsplit_once(", set "));
    duplicate.map_or_else(|| problem.to_owned(), |(key, _)| format!("key `{key}` is given twice"))
}

/// Budgets grow with the size of the text, which is in memory already. Only what aliases add is limited.
fn settings(size: usize) -> Options {
    let size = size.saturating_add(1_000);
    options! {
        budget: budget! {
            max_events: size.saturating_mul(2).saturating_add(MAX_REPLAYED),
            max_nodes: size.saturating_add(MAX_REPLAYED),
            max_total_scalar_bytes: size.saturating_mul(4).saturating_add(1 << 24),
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        emit_comments: false,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}
