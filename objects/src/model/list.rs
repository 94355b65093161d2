//! Lists within sentences.

use std::fmt::{Display, Formatter, Result};

/// Writes the items one after another, separated by `between`.
///
/// # Errors
/// Those of the formatter.
pub fn write_list<T: Display>(f: &mut Formatter<'_>, items: impl IntoIterator<Item = T>, between: &str) -> Result {
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            f.write_str(between)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}
