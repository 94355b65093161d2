//! Checks of the sources that no compiler makes. Programs for `scripts/imports` and `scripts/retired-words`; nothing ships them.

pub mod dependencies;
pub mod documents;
pub mod files;
pub mod imports;
pub mod modules;
pub mod order;
pub mod rust;
pub mod words;
