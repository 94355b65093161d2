//! `.foretell.yaml` at the root of the base revision.

use serde::Deserialize;

use super::SourceError;

/// Name of the file.
pub(super) const FILE: &str = ".foretell.yaml";

/// How a repository wants its changes judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// On exceptions.
    pub exceptions: ExceptionSettings,
}

/// Which exceptions count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExceptionSettings {
    /// Only those that stand at the base already: a change cannot accept its own denials.
    pub require_on_base: bool,
}

impl Settings {
    /// Reads the text of the file; an empty one holds the defaults.
    pub(super) fn read(text: &[u8]) -> Result<Self, SourceError> {
        let invalid = |why: String| SourceError::Settings { file: FILE, why };
        let text = str::from_utf8(text).map_err(|_| invalid("is not UTF-8".to_owned()))?;
        let settings: Option<Self> = serde_saphyr::from_str(text).map_err(|error| {
            invalid(error.without_snippet().to_string().lines().next().unwrap_or_default().to_owned())
        })?;
        Ok(settings.unwrap_or_default())
    }
}
