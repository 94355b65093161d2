//! `.foretell.yaml` at the root of a repository: how it wants its changes judged.
//!
//! It is read from the base, so that a change cannot weaken its own gate.

use serde::Deserialize;

use crate::model::dialect::Dialect;

/// Name of the file.
pub const FILE: &str = ".foretell.yaml";

/// How a repository wants its changes judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// What enforces the policies, as `--cni` takes it, which goes before.
    pub cni: Option<Dialect>,
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

/// The settings cannot be read: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

impl Settings {
    /// Reads the text of the file; an empty one holds the defaults.
    ///
    /// # Errors
    /// [`SettingsError`] where it is not what is described here.
    pub fn read(text: &[u8]) -> Result<Self, SettingsError> {
        let text = str::from_utf8(text).map_err(|_| SettingsError("is not UTF-8".to_owned()))?;
        let settings: Option<Self> = serde_saphyr::from_str(text).map_err(|error| {
            SettingsError(error.without_snippet().to_string().lines().next().unwrap_or_default().to_owned())
        })?;
        Ok(settings.unwrap_or_default())
    }
}
