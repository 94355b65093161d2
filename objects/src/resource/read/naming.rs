//! The name of an object before it is validated.

use std::fmt;

use serde_json::Value;

use crate::resource::object::Kind;
use crate::resource::object::origin::Origin;

/// Kind and name of an object before it is validated, for error messages.
pub(crate) struct Naming {
    kind: Kind,
    /// The namespace, or the default one. Unused for cluster-scoped kinds.
    pub(crate) namespace: String,
    name: Option<String>,
    prefix: Option<String>,
}

impl Naming {
    pub(crate) fn of(value: &Value, kind: Kind, origin: &Origin) -> Self {
        let text = |field: &str| {
            let text = value.get("metadata")?.get(field)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let default = match origin {
            Origin::Manifest { default_namespace } => default_namespace,
            Origin::Cluster => "default",
        };
        Self {
            kind,
            namespace: text("namespace").unwrap_or_else(|| default.to_owned()),
            name: text("name"),
            prefix: text("generateName"),
        }
    }

    /// Whether the API server generates its name.
    pub(crate) fn is_generated(&self) -> bool {
        self.name.is_none() && self.prefix.is_some()
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if self.kind.is_namespaced() {
            write!(f, "{}/", self.namespace)?;
        }
        match (&self.name, &self.prefix) {
            (Some(name), _) => f.write_str(name),
            (None, Some(prefix)) => write!(f, "{prefix}*"),
            (None, None) => f.write_str("without a name"),
        }
    }
}
