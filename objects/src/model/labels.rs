//! Labels, and compiled label selectors.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::model::list::write_list;

/// The labels of a pod or a namespace.
pub type Labels = BTreeMap<String, String>;

/// The label that the API server sets on every namespace. It is assumed on namespaces from Git too.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A compiled label selector. Labels match if they meet every requirement; a selector without requirements matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Operator {
    In(Vec<String>),
    /// Labels without the key meet it too (`metav1.LabelSelectorOpNotIn`).
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// The selector that matches everything.
    #[must_use]
    pub fn everything() -> Self {
        Self(Vec::new())
    }

    /// Compiles a selector. Validation refuses unknown operators; a requirement with one is never met.
    #[must_use]
    pub fn compile(selector: &LabelSelector) -> Self {
        let equalities = selector
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Requirement { key: key.clone(), operator: Operator::In(vec![value.clone()]) });
        let expressions = selector.match_expressions.iter().flatten().map(Requirement::compile);
        Self(equalities.chain(expressions).collect())
    }

    /// Whether labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.is_met_by(labels))
    }

    /// The requirements that labels do not meet.
    pub fn unmet<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = Unmet> + use<'a> {
        self.0.iter().filter(|requirement| !requirement.is_met_by(labels)).map(|requirement| Unmet {
            key: requirement.key.clone(),
            wanted: requirement.to_string(),
            found: labels.get(&requirement.key).cloned(),
        })
    }

    /// The keys of its requirements.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|requirement| requirement.key.as_str())
    }

    /// The number of requirements.
    #[must_use]
    pub fn requirements(&self) -> usize {
        self.0.len()
    }

    /// A key that all labels which it matches have, and the values of which they have one. By these an index finds it.
    #[must_use]
    pub fn anchor(&self) -> Option<(&str, &[String])> {
        self.0.iter().find_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some((requirement.key.as_str(), values.as_slice())),
            _ => None,
        })
    }

    /// Whether it has no requirements, so that it matches all labels.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }
}

/// A requirement of a selector that some labels do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The label's key.
    pub key: String,
    /// The requirement: `app=web`, `!canary`.
    pub wanted: String,
    /// The value that the labels have for this key. `None`: they do not have the key.
    pub found: Option<String>,
}

impl Requirement {
    fn compile(expression: &LabelSelectorRequirement) -> Self {
        let values = || expression.values.clone().unwrap_or_default();
        let operator = match expression.operator.as_str() {
            "NotIn" => Operator::NotIn(values()),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "In" => Operator::In(values()),
            _ => Operator::In(Vec::new()),
        };
        Self { key: expression.key.clone(), operator }
    }

    fn is_met_by(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// In the syntax of `kubectl get --selector`: `app=web,tier in (a,b),!canary`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0, ",")
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}
