//! Values of options that several commands have.

use jiff::Timestamp;

/// Reads a time as RFC 3339 writes it.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}; write for example 2026-11-21T02:00:00Z"))
}
