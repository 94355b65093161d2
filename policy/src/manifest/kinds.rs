//! What can be told of a text without parsing it: whether it may hold objects, and whether it seems to hold a policy.

use std::cell::LazyCell;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::memmem;
use serde_json::Value;

/// The kinds that decide about traffic, by their names alone.
pub const POLICY_KINDS: [&str; 7] = [
    "NetworkPolicy",
    "AuditNetworkPolicy",
    "AuditClusterNetworkPolicy",
    "AuditException",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "ClusterNetworkPolicy",
];

/// Words of which a text must hold one to hold anything that is read, or named when it changes: each such kind holds one.
const WORDS: [&str; 17] = [
    "Policy",
    "AuditException",
    "Namespace",
    "Node",
    "Pod",
    "Service",
    "EndpointSlice",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "Kustomization",
    "Component",
    "HelmRelease",
    "HelmChart",
    "Application",
];

/// What can spell a word so that it is not seen in the text: escapes, and a line that a quoted scalar goes on from.
const DISGUISES: [&str; 5] = ["\\u", "\\U", "\\x", "\\\n", "\\\r"];

static INTERESTING: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(WORDS).ok());
static DISGUISED: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(DISGUISES).ok());

/// Whether a text is worth parsing: a quick look that passes over what holds no Kubernetes object. It errs towards yes.
#[must_use]
pub fn may_hold_objects(text: &[u8]) -> bool {
    let holds_one = |words: &Option<AhoCorasick>| words.as_ref().is_none_or(|words| words.is_match(text));
    (memmem::find(text, b"kind").is_some() && holds_one(&INTERESTING)) || holds_one(&DISGUISED)
}

/// Whether a text that cannot be read as it stands (a template, broken YAML, a patch) seems to hold a policy: a policy's kind
/// in the place of a kind, or a kind (or none) that a template fills in where the text has a policy's fields.
/// Comments do not count.
#[must_use]
pub fn seems_to_hold_policy(text: &str) -> bool {
    let text = &without_template_comments(text);
    let has_policy_fields = LazyCell::new(|| has_policy_fields(text));
    let mut has_kind = false;
    for at in memmem::find_iter(text.as_bytes(), b"kind").filter(|&at| is_key(text, at) && !is_comment(text, at)) {
        let Some(value) = value_after(&text[at + "kind".len()..]) else { continue };
        has_kind = true;
        let filled_in = beginning(value, &['\n', ',']);
        let found = if is_templated(filled_in) {
            words(filled_in).any(is_policy_kind) || *has_policy_fields
        } else {
            words(value).next().is_some_and(is_policy_kind)
        };
        if found {
            return true;
        }
    }
    is_templated(text) && (includes_policy(text) || (!has_kind && *has_policy_fields))
}

/// Whether a value names a policy anywhere: as a `kind`, or in a text that seems to hold one (an inline patch).
#[must_use]
pub fn names_policy(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("kind").and_then(Value::as_str).is_some_and(is_policy_kind) || fields.values().any(names_policy)
        }
        Value::Array(elements) => elements.iter().any(names_policy),
        Value::String(text) => seems_to_hold_policy(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_policy_kind(word: &str) -> bool {
    POLICY_KINDS.contains(&word)
}

/// Up to any of `ends`, and no more than a person writes: the text may be one long line.
fn beginning<'a>(text: &'a str, ends: &[char]) -> &'a str {
    let text = &text[..text.floor_char_boundary(200)];
    text.split(ends).next().unwrap_or_default()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Go templates, and what Flux, envsubst, Jinja and ERB put in.
fn is_templated(text: &str) -> bool {
    ["{{", "${", "{%", "<%"].iter().any(|mark| text.contains(mark))
}

/// `kind` at `at` begins a word that may be a key: quoted or not, first of its line or not, also in a text within JSON.
fn is_key(text: &str, at: usize) -> bool {
    let before = &text[..at];
    match before.chars().next_back() {
        None => true,
        Some('n') => before.ends_with("\\n"),
        Some(c) => c.is_whitespace() || "\"'{,?}".contains(c),
    }
}

/// What follows the colon, without comments, quotes, tags, anchors and block markers; `None`: no colon follows.
fn value_after(text: &str) -> Option<&str> {
    let quotes: &[char] = &['\\', '"', '\''];
    let mut value = text.trim_start_matches(quotes).trim_start().strip_prefix(':')?.trim_start();
    while value.starts_with(['!', '&', '|', '>', '#']) {
        let end = if value.starts_with('#') { value.find('\n') } else { value.find(char::is_whitespace) };
        value = value[end.unwrap_or(value.len())..].trim_start();
    }
    Some(value.trim_start_matches(quotes))
}

/// In a line that begins with `#`, or behind a `#` that no open quote precedes. In lines longer than a person writes nothing
/// is a comment: minified JSON is one line, and looking back over it for each kind would take for ever.
fn is_comment(text: &str, at: usize) -> bool {
    const LONGEST_LINE: usize = 4096;
    let start = text.floor_char_boundary(at.saturating_sub(LONGEST_LINE));
    let Some(line) = text[start..at].rsplit('\n').next().filter(|line| line.len() < at - start || start == 0) else {
        return false;
    };
    line.match_indices('#').any(|(hash, _)| {
        let before = &line[..hash];
        let closed = |quote: char| before.matches(quote).count().is_multiple_of(2);
        before.trim_start().is_empty() || (before.ends_with([' ', '\t']) && closed('"') && closed('\''))
    })
}

/// The fields that only a NetworkPolicy and its like have.
fn has_policy_fields(text: &str) -> bool {
    ["podSelector", "policyTypes"].iter().any(|field| text.match_indices(field).any(|(at, _)| !is_comment(text, at)))
}

/// `{{ include "common.networkpolicy" . }}`: a policy out of a library chart.
fn includes_policy(text: &str) -> bool {
    ["include ", "template "].iter().any(|call| {
        text.match_indices(call).any(|(at, _)| {
            let line = beginning(&text[at..], &['\n']).to_ascii_lowercase();
            let name = line.split('"').nth(1).unwrap_or_default().replace(['-', '_'], "");
            !is_comment(text, at) && (name.contains("networkpolic") || name.contains("netpol"))
        })
    })
}

/// Takes out `{{/* … */}}`.
fn without_template_comments(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(open) = rest.find("{{") {
        let inner = rest[open + 2..].trim_start_matches('-').trim_start();
        kept.push_str(&rest[..open]);
        let comment = inner.strip_prefix("/*").and_then(|comment| comment.split_once("*/"));
        if let Some((_, after)) = comment {
            rest = after.split_once("}}").map_or("", |(_, after)| after);
        } else {
            kept.push_str("{{");
            rest = &rest[open + 2..];
        }
    }
    kept.push_str(rest);
    kept
}
