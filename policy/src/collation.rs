//! What a change does to the objects that the engine reads, out of the files of two revisions.
//!
//! It never guesses: what cannot be told is named, and either makes the answer "could not decide" ([`Undecided`]) or is said
//! to be outside the answer ([`NotJudged`]).

use std::fmt;

use crate::object::Object;

/// The objects of two revisions, as far as their files hold them.
///
/// `before` and `after` hold at most one object an identity, in the order of their identities. An object that both hold with
/// an equal [`Object::substance`] is not changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Objects at the base.
    pub before: Vec<Sourced>,
    /// Objects of the merged tree.
    pub after: Vec<Sourced>,
    /// What the change touches and nobody can judge: any of these makes the answer "could not decide".
    pub undecided: Vec<Undecided>,
    /// What the answer does not speak of: it is named and blocks nothing.
    pub not_judged: Vec<NotJudged>,
}

/// An object and where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced {
    /// The object.
    pub object: Object,
    /// Where it stands; the first place in order of files where several hold it alike.
    pub place: Place,
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Path of the file from the root of the tree, with `/`.
    pub file: String,
    /// Number of the document in its file, from 1.
    pub document: usize,
    /// `items[3]` in a document that is a List; `""` otherwise.
    pub item: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)?;
        if self.item.is_empty() { Ok(()) } else { write!(f, ", {}", self.item) }
    }
}

/// A reason why the change could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Undecided {
    /// Where, in order: `policies/web.yaml`, `policies/web.yaml, document 2`, `policies/web.yaml, document 2 (base)`.
    pub places: Vec<String>,
    /// What could not be judged and why, as a sentence without its end.
    pub what: String,
    /// How to mend it, likewise.
    pub mend: String,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.places.join(", "), self.what, self.mend)
    }
}

/// A file that the answer does not speak of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotJudged {
    /// Path of the file from the root of the tree.
    pub file: String,
    /// Why, as a sentence without its end.
    pub why: String,
}

impl fmt::Display for NotJudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}
