//! The keys of labels and the names of ports by which policies and Services select, whatever the pods.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::engine::overlay::Template;
use foretell_objects::model::labels::Labels;
use foretell_objects::model::port::NamedPort;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::reads::pod::PodFields;

/// The keys of labels and the names of ports by which policies and Services select.
#[derive(Debug, Default)]
pub(super) struct SelectedWords {
    keys: BTreeSet<String>,
    ports: BTreeSet<String>,
    /// Whether a rule selects nodes.
    pub(super) select_nodes: bool,
}

impl SelectedWords {
    pub(super) fn of<'a>(objects: impl Iterator<Item = &'a Object>) -> Self {
        let mut words = Self::default();
        for object in objects {
            match object {
                Object::Service(service) => {
                    let spec = service.spec.iter();
                    words.keys.extend(spec.flat_map(|spec| spec.selector.iter().flat_map(Labels::keys)).cloned());
                    words.collect(&object.relevant_fields());
                }
                Object::NetworkPolicy(_)
                | Object::AdminNetworkPolicy(_)
                | Object::BaselineAdminNetworkPolicy(_)
                | Object::ClusterNetworkPolicy(_) => words.collect(&object.relevant_fields()),
                _ => {}
            }
        }
        words
    }

    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("matchLabels", Value::Object(labels)) => self.keys.extend(labels.keys().cloned()),
                        ("key", Value::String(key)) => _ = self.keys.insert(key.clone()),
                        ("port" | "targetPort" | "namedPort" | "name", Value::String(name)) => {
                            self.ports.insert(name.clone());
                        }
                        ("nodes", Value::Object(_)) => self.select_nodes = true,
                        _ => {}
                    }
                    self.collect(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Whether a selector or a named port may distinguish the pods of two templates.
    pub(super) fn distinguish(&self, was: &PodFields, is: &PodFields) -> bool {
        was.host_network != is.host_network
            || self.distinguish_labels(&was.labels, &is.labels)
            || self.distinguish_ports(&was.ports, &is.ports)
    }

    pub(super) fn distinguish_templates(&self, was: &Template, is: &Template) -> bool {
        was.host_network != is.host_network
            || self.distinguish_labels(&was.labels, &is.labels)
            || self.distinguish_ports(&was.ports, &is.ports)
    }

    pub(super) fn distinguish_labels(&self, was: &Labels, is: &Labels) -> bool {
        self.keys.iter().any(|key| was.get(key) != is.get(key))
    }

    fn distinguish_ports(&self, was: &[NamedPort], is: &[NamedPort]) -> bool {
        let mut differing =
            was.iter().filter(|port| !is.contains(port)).chain(is.iter().filter(|port| !was.contains(port)));
        differing.any(|port| self.ports.contains(&port.name))
    }

    /// The same of fields whose form is their controller's: labels, lists of ports, or anything else, which always counts.
    pub(super) fn distinguish_values(&self, was: Option<&Value>, is: Option<&Value>) -> bool {
        let labels = |value: Option<&Value>| match value {
            None => Some(Labels::new()),
            Some(value) => serde_json::from_value::<Labels>(value.clone()).ok(),
        };
        match (labels(was), labels(is)) {
            (Some(was), Some(is)) => self.distinguish_labels(&was, &is),
            // `hostNetwork: false` is the default.
            _ => was.filter(|was| **was != Value::Bool(false)) != is.filter(|is| **is != Value::Bool(false)),
        }
    }
}
