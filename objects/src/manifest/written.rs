//! The text of a scalar as a file has it. Reading YAML resolves scalars: `yes` becomes `true`, `1.10` becomes `1.1`.

use serde::de::IgnoredAny;

use crate::manifest::descent::Descent;
use crate::manifest::documents::looks_like_json;
use crate::manifest::yaml;

/// The scalar at a JSON pointer (RFC 6901) of an object, as it is written in `text`. `number` and `item` are those of its
/// [`Document`](crate::manifest::document::Document). `None`: there is no scalar, or it is null.
///
/// ```
/// use foretell_objects::manifest::written::written;
///
/// let text = "kind: List\nitems:\n- metadata: {labels: {access: yes, release: 1.10}}\n";
/// assert_eq!(written(text, 1, "items[0]", "/metadata/labels/access").as_deref(), Some("yes"));
/// assert_eq!(written(text, 1, "items[0]", "/metadata/labels/release").as_deref(), Some("1.10"));
/// assert_eq!(written(text, 1, "items[0]", "/metadata/labels"), None);
/// ```
#[must_use]
pub fn written(text: &str, number: usize, item: &str, pointer: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // `items[3].items[0]`
    let items = item.split('.').filter_map(|item| item.strip_prefix("items[")?.strip_suffix(']'));
    let mut steps: Vec<String> = items.flat_map(|index| ["items".to_owned(), index.to_owned()]).collect();
    steps.extend(pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")));
    let seed = Descent { steps: &steps };
    let json = if looks_like_json(text) { json_document(text, number) } else { None };
    match json {
        // JSON is YAML, and the parser of YAML gives the text of a number.
        Some(document) => yaml::descend(document, seed),
        None => yaml::descend(yaml::document(text, number)?, seed),
    }
}

/// The text of a JSON document, by its number from 1.
fn json_document(text: &str, number: usize) -> Option<&str> {
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut start = 0;
    for _ in 1..number {
        documents.next()?.ok()?;
        start = documents.byte_offset();
    }
    documents.next()?.ok()?;
    text.get(start..documents.byte_offset())
}
