//! Reads `.foretell.yaml` at the root of the base revision.

use foretell_policy::change::settings::{FILE, Settings};

use super::error::SourceError;

/// The settings in the text of the file.
pub(super) fn read(text: &[u8]) -> Result<Settings, SourceError> {
    Settings::read(text).map_err(|error| SourceError::Settings { file: FILE, why: error.to_string() })
}
