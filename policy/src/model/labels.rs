//! Labels, and label selectors in the form in which they are asked.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::model::list::write_list;

/// The labels of a pod or a namespace.
pub type Labels = BTreeMap<String, String>;

/// The label that the API server puts on every namespace; a namespace from Git carries it all the same.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A label selector: the labels must meet every requirement. Without any it matches everything.
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
    /// Met by labels without the key too, as `metav1.LabelSelectorOpNotIn` says.
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

    /// Compiles a selector of a valid object. An operator that Kubernetes does not know cannot pass validation; should one
    /// come here nevertheless, it matches nothing.
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

    /// How many requirements it has.
    #[must_use]
    pub fn requirements(&self) -> usize {
        self.0.len()
    }

    /// A key that all labels which it matches have, and the values of which they have one. By these an index finds it.
    pub(crate) fn anchor(&self) -> Option<(&str, &[String])> {
        self.0.iter().find_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some((requirement.key.as_str(), values.as_slice())),
            _ => None,
        })
    }

    /// Whether it matches everything whatever the labels.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }
}

/// A requirement that labels do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The label that it asks for.
    pub key: String,
    /// The requirement: `app=web`, `!canary`.
    pub wanted: String,
    /// The label's value there; `None`: there is no such label.
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

/// As `kubectl get --selector` takes it: `app=web,tier in (a,b),!canary`.
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
