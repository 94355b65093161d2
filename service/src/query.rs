//! Queries of URLs.

/// The pairs of a query, decoded. A name may come several times, and a value may be empty, which is not the same as absent.
#[must_use]
pub fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
