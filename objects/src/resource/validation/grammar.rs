//! The grammars of names.

pub(super) const LONGEST_LABEL: usize = 63;

pub(super) const LONGEST_SUBDOMAIN: usize = 253;

pub(super) const LONGEST_PORT_NAME: usize = 15;

pub(super) fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bounded(text, alphanumeric, |byte| alphanumeric(byte) || byte == b'-')
}

pub(super) fn is_name(text: &str) -> bool {
    bounded(
        text,
        |byte| byte.is_ascii_alphanumeric(),
        |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
    )
}

/// Whether a text is not empty, its first and last bytes satisfy `end`, and all satisfy `middle`.
pub(super) fn bounded(text: &str, end: impl Fn(u8) -> bool, middle: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => end(first) && end(last) && bytes.iter().all(|&byte| middle(byte)),
        _ => false,
    }
}
