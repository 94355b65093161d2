//! Checks of a text without parsing it: whether it may contain objects, and whether it seems to contain a policy.

use std::cell::LazyCell;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::memmem;
use serde_json::Value;

use crate::model::other_policies::{OTHER_POLICY_KINDS, OtherPolicyKind};

/// The names of the kinds that decide about traffic, whatever their API group.
pub const POLICY_KINDS: [&str; 7] = [
    "NetworkPolicy",
    "AuditNetworkPolicy",
    "AuditClusterNetworkPolicy",
    "AuditException",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "ClusterNetworkPolicy",
];

/// A text without any of these words, and without the group of a kind of [`OTHER_POLICY_KINDS`], contains no object that is read, and
/// none whose changes are reported: the name of each such kind contains one of them.
const WORDS: [&str; 25] = [
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
    "Endpoints",
    "ReplicationController",
    // Objects of other kinds that make pods: see `CustomWorkload`.
    "containers",
    "emplate",
    "Metadata",
    "hostNetwork",
    "pod",
    "workloadRef",
];

/// Character sequences that can hide a word from a text search: escapes, and line continuations in quoted scalars.
const DISGUISES: [&str; 5] = ["\\u", "\\U", "\\x", "\\\n", "\\\r"];

static INTERESTING: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let groups = OTHER_POLICY_KINDS.iter().flat_map(|kind| kind.groups).copied();
    AhoCorasick::new(WORDS.into_iter().chain(groups)).ok()
});
static DISGUISED: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(DISGUISES).ok());

/// Whether a text is worth parsing. A quick check that skips texts without Kubernetes objects. It may return `true` for such a
/// text, but never `false` for a text with an object.
#[must_use]
pub fn may_hold_objects(text: &[u8]) -> bool {
    let contains_one = |words: &Option<AhoCorasick>| words.as_ref().is_none_or(|words| words.is_match(text));
    (memmem::find(text, b"kind").is_some() && contains_one(&INTERESTING)) || contains_one(&DISGUISED)
}

/// Whether a text that cannot be parsed before it is rendered or repaired (a template, broken YAML, a patch) seems to contain a
/// policy: it has a policy's kind as the value of `kind`, or a template fills in the kind and the text has fields of a policy.
/// Comments are ignored.
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
            words(filled_in).any(|word| is_policy_kind(word, text)) || *has_policy_fields
        } else {
            words(value).next().is_some_and(|word| is_policy_kind(word, text))
        };
        if found {
            return true;
        }
    }
    is_templated(text) && (includes_policy(text) || (!has_kind && *has_policy_fields))
}

/// Whether a value contains a policy at any depth: as a `kind`, or in a string that seems to contain one (an inline patch).
#[must_use]
pub fn names_policy(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
            // The target of a patch has a group, an object has an apiVersion.
            let group = if text("group").is_empty() { text("apiVersion") } else { text("group") };
            is_policy_kind(text("kind"), group) || fields.values().any(names_policy)
        }
        Value::Array(elements) => elements.iter().any(names_policy),
        Value::String(text) => seems_to_hold_policy(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a value of `kind` in `text` names a policy: one that is evaluated, or one of a CNI or mesh.
fn is_policy_kind(word: &str, text: &str) -> bool {
    POLICY_KINDS.contains(&word) || OtherPolicyKind::is_named(word, text)
}

/// The text up to the first of `ends`, but at most 200 bytes: the text may be one long line.
fn beginning<'a>(text: &'a str, ends: &[char]) -> &'a str {
    let text = &text[..text.floor_char_boundary(200)];
    text.split(ends).next().unwrap_or_default()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether the text contains placeholders of Go templates, Flux, envsubst, Jinja or ERB.
fn is_templated(text: &str) -> bool {
    ["{{", "${", "{%", "<%"].iter().any(|mark| text.contains(mark))
}

/// Whether the `kind` at `at` may be a key: quoted or not, at the start of a line or not, or in a string within JSON.
fn is_key(text: &str, at: usize) -> bool {
    let before = &text[..at];
    match before.chars().next_back() {
        None => true,
        Some('n') => before.ends_with("\\n"),
        Some(c) => c.is_whitespace() || "\"'{,?}".contains(c),
    }
}

/// The value after the colon, without comments, quotes, tags, anchors and block markers. `None`: there is no colon.
fn value_after(text: &str) -> Option<&str> {
    let quotes: &[char] = &['\\', '"', '\''];
    let mut value = text.trim_start_matches(quotes).trim_start().strip_prefix(':')?.trim_start();
    while value.starts_with(['!', '&', '|', '>', '#']) {
        let end = if value.starts_with('#') { value.find('\n') } else { value.find(char::is_whitespace) };
        value = value[end.unwrap_or(value.len())..].trim_start();
    }
    Some(value.trim_start_matches(quotes))
}

/// Whether the position is in a line that begins with `#`, or after a `#` outside of quotes. Very long lines count as having no
/// comments: minified JSON is a single line, and scanning it for each `kind` would take quadratic time.
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

/// Whether the text has fields that only NetworkPolicy and similar kinds have.
fn has_policy_fields(text: &str) -> bool {
    ["podSelector", "policyTypes"].iter().any(|field| text.match_indices(field).any(|(at, _)| !is_comment(text, at)))
}

/// Whether the text includes a policy from a library chart: `{{ include "common.networkpolicy" . }}`.
fn includes_policy(text: &str) -> bool {
    ["include ", "template "].iter().any(|call| {
        text.match_indices(call).any(|(at, _)| {
            let line = beginning(&text[at..], &['\n']).to_ascii_lowercase();
            let name = line.split('"').nth(1).unwrap_or_default().replace(['-', '_'], "");
            !is_comment(text, at) && (name.contains("networkpolic") || name.contains("netpol"))
        })
    })
}

/// Removes comments `{{/* … */}}`.
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
