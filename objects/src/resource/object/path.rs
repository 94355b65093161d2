//! Paths of fields in an object, in Kubernetes' notation: `spec.ingress[0].from[1].ipBlock.cidr`.

use std::fmt;

use serde_json::Value;

use crate::resource::object::fault::FieldError;

/// A path that refers to its parent on the stack, so that nothing is allocated unless there is a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    /// A field of the object itself.
    Root(&'a str),
    /// A field of a structure, or a key of a map.
    Field(&'a Path<'a>, &'a str),
    /// An item of a list, counted from 0.
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub(crate) fn fault(&self, problem: impl Into<String>) -> FieldError {
        FieldError::new(self, problem)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => f.write_str(name),
            Self::Field(parent, name) => {
                parent.fmt(f)?;
                write_key(f, name, false)
            }
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A step of an [`OwnedPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// An owned path, as a deserializer reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OwnedPath(pub(crate) Vec<Step>);

impl OwnedPath {
    /// The value at this path.
    pub(crate) fn find<'v>(&self, root: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(root, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Index(index) => node.get(index),
        })
    }

    /// The value at this path, mutable.
    pub(crate) fn find_mut<'v>(&self, root: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(root, |node, step| match step {
            Step::Key(key) => node.get_mut(key),
            Step::Index(index) => node.get_mut(index),
        })
    }

    /// The path as a JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        let step = |step: &Step| match step {
            Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => format!("/{index}"),
        };
        self.0.iter().map(step).collect()
    }

    /// The path without trailing indices: the field itself, or the list that contains the item.
    pub(crate) fn field(&self) -> Self {
        let mut steps = self.0.clone();
        while matches!(steps.last(), Some(Step::Index(_))) {
            steps.pop();
        }
        Self(steps)
    }

    /// Removes the field, and returns whether it was there. For an item the whole list is removed, so that the indices of other
    /// items stay correct.
    pub(crate) fn remove(&self, root: &mut Value) -> bool {
        let mut parent = self.field();
        let Some(Step::Key(key)) = parent.0.pop() else { return false };
        parent.find_mut(root).and_then(Value::as_object_mut).is_some_and(|map| map.remove(&key).is_some())
    }

    pub(crate) fn key(&self, index: usize) -> Option<&str> {
        match self.0.get(index) {
            Some(Step::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// Whether this path and `pattern` agree up to the end of the shorter one. `*` in a pattern matches any index.
    pub(crate) fn meets(&self, pattern: &[&str]) -> bool {
        self.0.iter().zip(pattern).all(|(step, name)| match step {
            Step::Key(key) => key == name,
            Step::Index(_) => *name == "*",
        })
    }
}

impl From<&serde_path_to_error::Path> for OwnedPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        let steps = path.iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }
}

impl From<&serde_ignored::Path<'_>> for OwnedPath {
    fn from(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path;
        let mut steps = Vec::new();
        let mut at = path;
        loop {
            at = match at {
                Path::Root => break,
                Path::Seq { parent, index } => {
                    steps.push(Step::Index(*index));
                    parent
                }
                Path::Map { parent, key } => {
                    steps.push(Step::Key(key.clone()));
                    parent
                }
                Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => parent,
            };
        }
        steps.reverse();
        Self(steps)
    }
}

impl fmt::Display for OwnedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => write_key(f, key, n == 0)?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Writes keys that could be mistaken for a path in brackets: `metadata.labels[app.kubernetes.io/name]`.
fn write_key(f: &mut fmt::Formatter<'_>, key: &str, first: bool) -> fmt::Result {
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    match (plain, first) {
        (true, true) => f.write_str(key),
        (true, false) => write!(f, ".{key}"),
        (false, _) => write!(f, "[{key}]"),
    }
}
