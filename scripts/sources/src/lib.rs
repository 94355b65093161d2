//! Checks of the sources that no compiler does. Scripts and tests use it; it is not part of a release.

pub mod dependencies;
pub mod documents;
pub mod files;
pub mod imports;
pub mod modules;
pub mod order;
pub mod rust;
pub mod words;
