//! From entries to the change: which identities it touches, and whether all places of such an identity agree.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::revisions::files::{DocumentEntry, DocumentKey, ReadDocument, Revisions};
use crate::change::revisions::{Change, NotJudged, RENDER_TO_JUDGE, Sourced, Undecided};
use crate::resource::object::fault::ObjectError;
use crate::resource::object::{Object, cidrs};

/// The places of one identity.
#[derive(Default)]
struct ObjectPlaces<'a> {
    base: Vec<ComparableEntry<'a>>,
    merged: Vec<ComparableEntry<'a>>,
}

/// An entry and, in a form that compares, what is read of it.
#[derive(Clone)]
struct ComparableEntry<'a> {
    entry: &'a DocumentEntry,
    relevant_fields: String,
}

/// Compares the two revisions, identity by identity.
pub(super) fn compare(entries: &[DocumentEntry]) -> Change {
    let mut by_key: BTreeMap<&DocumentKey, Vec<&DocumentEntry>> = BTreeMap::new();
    for entry in entries {
        by_key.entry(&entry.key).or_default().push(entry);
    }
    let mut change = Change::default();
    for (key, entries) in by_key {
        // Most objects of most repositories: nothing to compare.
        if let [DocumentEntry { side: Revisions::Both, place, reading: ReadDocument::Object(object), .. }] = entries[..]
        {
            let sourced = Sourced { object: object.clone(), place: place.clone() };
            change.before.push(sourced.clone());
            change.after.push(sourced);
            continue;
        }
        let identity = ObjectPlaces::of(&entries);
        if old_cidrs(key, &identity, &mut change) {
            continue;
        }
        if identity.is_touched() {
            touched(key, &identity, &mut change);
        } else {
            untouched(&identity, &mut change);
        }
    }
    change.before.sort_by_cached_key(|sourced| sourced.object.id());
    change.after.sort_by_cached_key(|sourced| sourced.object.id());
    change
}

impl<'a> ObjectPlaces<'a> {
    fn of(entries: &[&'a DocumentEntry]) -> Self {
        let mut identity = Self::default();
        for entry in entries {
            let held = ComparableEntry { entry, relevant_fields: relevant_fields(&entry.reading) };
            match entry.side {
                Revisions::Base => identity.base.push(held),
                Revisions::Merged => identity.merged.push(held),
                Revisions::Both => {
                    identity.base.push(held.clone());
                    identity.merged.push(held);
                }
            }
        }
        identity.base.sort_by(|a, b| a.entry.place.cmp(&b.entry.place));
        identity.merged.sort_by(|a, b| a.entry.place.cmp(&b.entry.place));
        identity
    }

    /// Whether the change touches what is read of it in any place. A move touches nothing: the files that lose it hold it no
    /// more, those that gain it did not hold it before, and what they lose is what they gain.
    fn is_touched(&self) -> bool {
        let (lost, gained) = (rest(&self.base, &self.merged), rest(&self.merged, &self.base));
        let (base_files, merged_files) = (files(&self.base), files(&self.merged));
        let substances = |held: &[&ComparableEntry<'_>]| {
            let mut substances: Vec<_> = held.iter().map(|held| held.relevant_fields.clone()).collect();
            substances.sort();
            substances
        };
        let is_move = lost.iter().all(|held| !merged_files.contains(held.file()))
            && gained.iter().all(|held| !base_files.contains(held.file()))
            && substances(&lost) == substances(&gained);
        !is_move
    }
}

impl<'a> ComparableEntry<'a> {
    fn file(&self) -> &'a str {
        &self.entry.place.file
    }

    fn object(&self) -> Option<&'a Object> {
        match &self.entry.reading {
            ReadDocument::Object(object) => Some(object),
            _ => None,
        }
    }

    fn sourced(&self) -> Option<Sourced> {
        Some(Sourced { object: self.object()?.clone(), place: self.entry.place.clone() })
    }
}

/// What is read of a document. That of another kind of reading is never equal.
fn relevant_fields(reading: &ReadDocument) -> String {
    let (kind, value) = match reading {
        ReadDocument::Object(object) => ("object", &object.relevant_fields()),
        ReadDocument::Refused { raw, .. } => ("refused", raw),
        ReadDocument::OtherPolicy(raw) | ReadDocument::Generator { raw, .. } => ("other", raw),
    };
    format!("{kind} {value}")
}

fn files<'a>(held: &[ComparableEntry<'a>]) -> BTreeSet<&'a str> {
    held.iter().map(ComparableEntry::file).collect()
}

/// Those of `from` that `other` does not hold in the same file with the same relevant_fields, each as often as it is lacking.
fn rest<'a, 'b>(from: &'b [ComparableEntry<'a>], other: &[ComparableEntry<'_>]) -> Vec<&'b ComparableEntry<'a>> {
    let mut held: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for there in other {
        *held.entry((there.file(), &there.relevant_fields)).or_default() += 1;
    }
    from.iter()
        .filter(|here| match held.get_mut(&(here.file(), here.relevant_fields.as_str())) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

fn agree(held: &[ComparableEntry<'_>]) -> bool {
    held.windows(2).all(|pair| pair[0].relevant_fields == pair[1].relevant_fields)
}

fn untouched(identity: &ObjectPlaces<'_>, change: &mut Change) {
    for held in &identity.merged {
        if let ReadDocument::Refused { error, .. } = &held.entry.reading {
            let why = format!("document {}, {error}; the change does not touch it", held.entry.place.document);
            change.not_judged.push(NotJudged { file: held.file().to_owned(), why });
        }
    }
    let (Some(before), Some(after)) = (identity.base.first(), identity.merged.first()) else { return };
    if agree(&identity.base) && agree(&identity.merged) {
        change.before.extend(before.sourced());
        change.after.extend(after.sourced());
    }
}

fn touched(key: &DocumentKey, identity: &ObjectPlaces<'_>, change: &mut Change) {
    let gained = rest(&identity.merged, &identity.base);
    let lost = rest(&identity.base, &identity.merged);
    let Some(first) = gained.first().or(lost.first()) else { return };
    match &first.entry.reading {
        ReadDocument::Generator { .. } => generator(key, &gained, &lost, change),
        ReadDocument::OtherPolicy(_) => change.not_judged.push(NotJudged {
            file: first.file().to_owned(),
            why: format!("{} of {} is not a policy that is judged", named(key), key.group),
        }),
        ReadDocument::Object(_) | ReadDocument::Refused { .. } => judged(key, identity, &gained, change),
    }
}

/// Touched, and of a kind that is read.
fn judged(key: &DocumentKey, identity: &ObjectPlaces<'_>, gained: &[&ComparableEntry<'_>], change: &mut Change) {
    let mut is_refused = false;
    for held in gained {
        if let ReadDocument::Refused { error, .. } = &held.entry.reading {
            is_refused = true;
            change.undecided.push(Undecided {
                places: vec![held.entry.place.to_string()],
                what: format!("the change touches an object that is not valid: {error}"),
                fix: "fix these fields".to_owned(),
            });
        }
    }
    if is_refused {
        return;
    }
    if !agree(&identity.base) || !agree(&identity.merged) {
        change.undecided.push(Undecided {
            places: places(identity),
            what: format!(
                "the change touches {}, which stands in several places that do not agree in what is read of it",
                named(key)
            ),
            fix: "render what is deployed, as with --render 'kustomize build FOLDER', or narrow the files with --path"
                .to_owned(),
        });
        return;
    }
    let before = identity.base.first();
    let after = identity.merged.first();
    if let Some(ReadDocument::Refused { error, .. }) = before.map(|held| &held.entry.reading) {
        removed_or_mended(key, identity, error, change);
    }
    change.before.extend(before.and_then(ComparableEntry::sourced));
    change.after.extend(after.and_then(ComparableEntry::sourced));
}

/// A CIDR in a form that Kubernetes takes only where it stood already is refused even where it means what stood there.
fn old_cidrs(key: &DocumentKey, identity: &ObjectPlaces<'_>, change: &mut Change) -> bool {
    let stored = identity.base.iter().filter_map(ComparableEntry::object).flat_map(cidrs::texts).collect();
    let mut found = false;
    for held in identity.merged.iter().filter(|held| held.entry.side == Revisions::Merged) {
        let faults = held.object().map(|object| cidrs::new_faults(object, &stored)).unwrap_or_default();
        if faults.is_empty() {
            continue;
        }
        found = true;
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        change.undecided.push(Undecided {
            places: vec![held.entry.place.to_string()],
            what: format!("{} has CIDRs that Kubernetes refuses where they are new: {}", named(key), faults.join("; ")),
            fix: "write them as given there".to_owned(),
        });
    }
    found
}

/// The base's object was not valid, so nobody knows what of it, if anything, is in force. Where a valid one takes its place,
/// that one is judged as if it were new.
fn removed_or_mended(key: &DocumentKey, identity: &ObjectPlaces<'_>, error: &ObjectError, change: &mut Change) {
    if let Some(after) = identity.merged.first() {
        let why = format!("{} was not valid at the base ({error}); it is judged as if it were new", named(key));
        change.not_judged.push(NotJudged { file: after.file().to_owned(), why });
    } else {
        change.undecided.push(Undecided {
            places: places(identity),
            what: format!("the change removes an object that was not valid: {error}"),
            fix: "fix it first, or merge the removal after a review by hand".to_owned(),
        });
    }
}

fn generator(key: &DocumentKey, gained: &[&ComparableEntry<'_>], lost: &[&ComparableEntry<'_>], change: &mut Change) {
    let Some(first) = gained.first().or(lost.first()) else { return };
    let kind = if key.kind.is_empty() { "Kustomization" } else { &key.kind };
    let names_policy =
        |held: &ComparableEntry<'_>| matches!(held.entry.reading, ReadDocument::Generator { names_policy: true, .. });
    if gained.iter().chain(lost).any(|held| names_policy(held)) {
        change.undecided.push(Undecided {
            places: vec![first.entry.place.to_string()],
            what: format!("the change touches a {kind} that holds or changes a policy"),
            fix: "render what it makes, as with --render 'kustomize build FOLDER' or --render 'helm template CHART'"
                .to_owned(),
        });
    } else {
        change
            .not_judged
            .push(NotJudged { file: first.file().to_owned(), why: format!("a {kind}; {RENDER_TO_JUDGE}") });
    }
}

/// All places, those of the merged tree first.
fn places(identity: &ObjectPlaces<'_>) -> Vec<String> {
    let mut places: Vec<_> = identity.merged.iter().map(|held| held.entry.place.to_string()).collect();
    let gone = rest(&identity.base, &identity.merged)
        .into_iter()
        .filter(|held| !files(&identity.merged).contains(held.file()));
    places.extend(gone.map(|held| format!("{} (base)", held.entry.place)));
    places
}

/// `NetworkPolicy prod/web`
fn named(key: &DocumentKey) -> String {
    let DocumentKey { kind, namespace, name, .. } = key;
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}
