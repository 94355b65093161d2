//! The settings of a repository, in `.foretell.yaml` at its root.
//!
//! They are read from the base revision, so that a change cannot weaken its own gate.

use serde::Deserialize;

use foretell_objects::model::dialect::Dialect;

/// Name of the settings file, at the root of the repository.
pub const FILE: &str = ".foretell.yaml";

/// The settings of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The enforcer, in the syntax of `--cni`. The option takes precedence.
    pub cni: Option<Dialect>,
    /// Settings for exceptions.
    pub exceptions: ExceptionSettings,
}

/// Settings that decide which exceptions are effective.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExceptionSettings {
    /// Ignore exceptions that the change adds or modifies, so that a change cannot accept its own denials.
    pub require_on_base: bool,
}

/// The settings file is invalid. The text says what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

impl Settings {
    /// Reads the text of the settings file. An empty file means the defaults.
    ///
    /// # Errors
    /// [`SettingsError`] if the text is not UTF-8 or not YAML, or has an unknown field or an invalid value.
    pub fn read(text: &[u8]) -> Result<Self, SettingsError> {
        let text = str::from_utf8(text).map_err(|_| SettingsError("is not UTF-8".to_owned()))?;
        let settings: Option<Self> = serde_saphyr::from_str(text).map_err(|error| {
            SettingsError(error.without_snippet().to_string().lines().next().unwrap_or_default().to_owned())
        })?;
        Ok(settings.unwrap_or_default())
    }
}
