//! The settings of a repository, in `.foretell.yaml` at its root.
//!
//! They are read from the base revision, so that a change cannot weaken its own gate.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use foretell_objects::model::cidr::{ParsedCidr, parse_cidr};
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
    /// Names for ranges of addresses outside of the cluster, by which a report names many of them: `vpn: 198.51.100.0/24`.
    #[serde(deserialize_with = "ranges")]
    pub ranges: BTreeMap<String, IpNet>,
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

/// The longest name of a range.
const LONGEST_NAME: usize = 40;

fn ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, IpNet>, D::Error> {
    let written = BTreeMap::<String, String>::deserialize(deserializer)?;
    let read = |(name, range): (String, String)| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_word) {
            let allowed = "letters, digits, spaces and -_. are allowed";
            return Err(D::Error::custom(format!("ranges: {name:?} is not a name: {allowed}, at most {LONGEST_NAME}")));
        }
        match parse_cidr(&range) {
            Ok(ParsedCidr { net, .. }) if net.prefix_len() > 0 => Ok((name, net)),
            Ok(_) => Err(D::Error::custom(format!("ranges.{name}: {range:?} has every address"))),
            Err(error) => Err(D::Error::custom(format!("ranges.{name}: {error}"))),
        }
    };
    written.into_iter().map(read).collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_names() {
        let read = Settings::read(b"ranges: {office: 198.51.100.7/24, vpn v6: 2001:db8::/32}").unwrap();
        let ranges: Vec<String> = read.ranges.iter().map(|(name, range)| format!("{name} {range}")).collect();
        assert_eq!(ranges, ["office 198.51.100.0/24", "vpn v6 2001:db8::/32"]);
    }

    #[test]
    fn a_range_that_is_not_valid_is_refused_by_name() {
        for (text, expected) in [
            ("ranges: {office: 198.51.100.0}", "ranges.office: \"198.51.100.0\""),
            ("ranges: {office: 198.51.100.0/33}", "ranges.office: \"198.51.100.0/33\": prefix length over 32"),
            ("ranges: {all: 0.0.0.0/0}", "ranges.all: \"0.0.0.0/0\" has every address"),
            ("ranges: {\"a|b\": 198.51.100.0/24}", "ranges: \"a|b\" is not a name"),
            ("ranges: {\"\": 198.51.100.0/24}", "ranges: \"\" is not a name"),
            ("ranges: [198.51.100.0/24]", "expected mapping"),
        ] {
            let error = Settings::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
