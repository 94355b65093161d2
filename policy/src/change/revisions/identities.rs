//! Compares the entries of two revisions: which identities the change touches, and whether all places of an identity agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::change::revisions::files::{DocumentEntry, DocumentKey, ReadDocument, Revisions};
use crate::change::revisions::{Change, NotJudged, RENDER_TO_JUDGE, Sourced, SourcedWorkload, Undecided};
use foretell_objects::model::cidr::OldForm;
use foretell_objects::resource::cidrs;
use foretell_objects::resource::custom_workload::CustomWorkload;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::fault::ObjectError;

mod unread;

/// All places of one identity, at the two revisions.
#[derive(Default)]
struct ObjectPlaces<'a> {
    base: Vec<ComparableEntry<'a>>,
    merged: Vec<ComparableEntry<'a>>,
}

/// An entry, with its relevant fields as text that can be compared.
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
        // The most frequent case, an unchanged object in a single place: there is nothing to compare.
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
            let comparable = ComparableEntry { entry, relevant_fields: relevant_fields(&entry.reading) };
            match entry.side {
                Revisions::Base => identity.base.push(comparable),
                Revisions::Merged => identity.merged.push(comparable),
                Revisions::Both => {
                    identity.base.push(comparable.clone());
                    identity.merged.push(comparable);
                }
            }
        }
        identity.base.sort_by(|a, b| a.entry.place.cmp(&b.entry.place));
        identity.merged.sort_by(|a, b| a.entry.place.cmp(&b.entry.place));
        identity
    }

    /// Whether the change touches its relevant fields in any place. Moving an object to another file does not touch it: the
    /// files that lose it do not contain it afterwards, those that gain it did not contain it before, and the relevant fields
    /// are the same.
    fn is_touched(&self) -> bool {
        let (lost, gained) = (rest(&self.base, &self.merged), rest(&self.merged, &self.base));
        let (base_files, merged_files) = (files(&self.base), files(&self.merged));
        let sorted_fields = |entries: &[&ComparableEntry<'_>]| {
            let mut fields: Vec<_> = entries.iter().map(|entry| entry.relevant_fields.clone()).collect();
            fields.sort();
            fields
        };
        let is_move = lost.iter().all(|comparable| !merged_files.contains(comparable.file()))
            && gained.iter().all(|comparable| !base_files.contains(comparable.file()))
            && sorted_fields(&lost) == sorted_fields(&gained);
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

    fn workload(&self) -> Option<SourcedWorkload> {
        match &self.entry.reading {
            ReadDocument::Workload(workload) | ReadDocument::Holder { workload: Some(workload), .. } => {
                Some(SourcedWorkload { workload: workload.clone(), place: self.entry.place.clone() })
            }
            _ => None,
        }
    }

    fn sourced(&self) -> Option<Sourced> {
        Some(Sourced { object: self.object()?.clone(), place: self.entry.place.clone() })
    }
}

/// The relevant fields of a document. Those of different variants are never equal.
fn relevant_fields(reading: &ReadDocument) -> String {
    let (kind, value) = match reading {
        ReadDocument::Object(object) => ("object", &object.relevant_fields()),
        ReadDocument::Workload(workload) => ("workload", &workload.relevant_fields()),
        ReadDocument::Refused { raw, .. } => ("refused", raw),
        ReadDocument::OtherPolicy(policy) => ("other", &policy.content),
        ReadDocument::Holder { policies, workload } => {
            let policies: Value = policies.iter().map(|it| json!([it.title, it.content])).collect();
            ("holder", &json!([policies, workload.as_ref().map(CustomWorkload::relevant_fields)]))
        }
        ReadDocument::Generator { raw, .. } => ("generator", raw),
    };
    format!("{kind} {value}")
}

fn files<'a>(entries: &[ComparableEntry<'a>]) -> BTreeSet<&'a str> {
    entries.iter().map(ComparableEntry::file).collect()
}

/// The entries of `from` that are missing from `other`: it has fewer entries with the same file and the same relevant fields.
fn rest<'a, 'b>(from: &'b [ComparableEntry<'a>], other: &[ComparableEntry<'_>]) -> Vec<&'b ComparableEntry<'a>> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for there in other {
        *counts.entry((there.file(), &there.relevant_fields)).or_default() += 1;
    }
    from.iter()
        .filter(|here| match counts.get_mut(&(here.file(), here.relevant_fields.as_str())) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

/// Whether all places of each revision agree.
fn is_clear(identity: &ObjectPlaces<'_>) -> bool {
    agree(&identity.base) && agree(&identity.merged)
}

fn agree(entries: &[ComparableEntry<'_>]) -> bool {
    entries.windows(2).all(|pair| pair[0].relevant_fields == pair[1].relevant_fields)
}

/// An object that is the same in both revisions. If it is invalid, it is in neither world, which makes no difference between them:
/// repositories have invalid objects as fixtures of tests, and no report is to name them all.
fn untouched(identity: &ObjectPlaces<'_>, change: &mut Change) {
    let (Some(before), Some(after)) = (identity.base.first(), identity.merged.first()) else { return };
    if agree(&identity.base) && agree(&identity.merged) {
        add(Some(before), Some(after), change);
    }
}

fn add(before: Option<&ComparableEntry<'_>>, after: Option<&ComparableEntry<'_>>, change: &mut Change) {
    change.before.extend(before.and_then(ComparableEntry::sourced));
    change.after.extend(after.and_then(ComparableEntry::sourced));
    change.custom_before.extend(before.and_then(ComparableEntry::workload));
    change.custom_after.extend(after.and_then(ComparableEntry::workload));
}

fn touched(key: &DocumentKey, identity: &ObjectPlaces<'_>, change: &mut Change) {
    let gained = rest(&identity.merged, &identity.base);
    let lost = rest(&identity.base, &identity.merged);
    let Some(first) = gained.first().or(lost.first()) else { return };
    match &first.entry.reading {
        ReadDocument::Generator { .. } => generator(key, &gained, &lost, change),
        ReadDocument::OtherPolicy(policy) => unread::other_policy(policy, &gained, &lost, change),
        ReadDocument::Holder { workload, .. } => {
            unread::holder(key, &gained, &lost, change);
            let makes_pods = workload.as_ref().is_some_and(|workload| !workload.templates.is_empty());
            if makes_pods || is_clear(identity) {
                judged(key, identity, &gained, change);
            }
        }
        // Patches and other objects that make no pods may look as if they did.
        ReadDocument::Workload(workload) if workload.templates.is_empty() && !is_clear(identity) => {}
        ReadDocument::Object(_) | ReadDocument::Workload(_) | ReadDocument::Refused { .. } => {
            judged(key, identity, &gained, change);
        }
    }
}

/// The change touches an object of a kind that is read.
fn judged(key: &DocumentKey, identity: &ObjectPlaces<'_>, gained: &[&ComparableEntry<'_>], change: &mut Change) {
    let mut is_refused = false;
    for comparable in gained {
        if let ReadDocument::Refused { error, .. } = &comparable.entry.reading {
            is_refused = true;
            change.undecided.push(Undecided {
                places: vec![comparable.entry.place.to_string()],
                what: format!("the change touches an invalid object: {error}"),
                fix: "fix these fields".to_owned(),
            });
        }
    }
    if is_refused {
        return;
    }
    if !is_clear(identity) {
        change.undecided.push(Undecided {
            places: places(identity),
            what: format!(
                "the change touches {}, which several places define differently",
                named(key)
            ),
            fix: "render what is deployed, for example with --render 'kustomize build FOLDER', or select fewer files with --path"
                .to_owned(),
        });
        return;
    }
    let before = identity.base.first();
    let after = identity.merged.first();
    if let Some(ReadDocument::Refused { error, .. }) = before.map(|comparable| &comparable.entry.reading) {
        invalid_at_base(key, identity, error, change);
    }
    add(before, after, change);
}

/// Reports CIDRs that parsers read differently and that Kubernetes accepts only in objects that contain the same text already, even
/// if they mean the same network as before. Host bits are reported when the cluster's version is known.
fn old_cidrs(key: &DocumentKey, identity: &ObjectPlaces<'_>, change: &mut Change) -> bool {
    const FORMS: &[OldForm] = &[OldForm::LeadingZeros, OldForm::MappedIpv4];
    let stored = identity.base.iter().filter_map(ComparableEntry::object).flat_map(cidrs::texts).collect();
    let mut found = false;
    for comparable in identity.merged.iter().filter(|comparable| comparable.entry.side == Revisions::Merged) {
        let faults = comparable.object().map(|object| cidrs::faults_of_forms(object, &stored, FORMS));
        let faults = faults.unwrap_or_default();
        if faults.is_empty() {
            continue;
        }
        found = true;
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        change.undecided.push(Undecided {
            places: vec![comparable.entry.place.to_string()],
            what: format!(
                "{} has CIDRs that Kubernetes refuses in new or changed objects: {}",
                named(key),
                faults.join("; ")
            ),
            fix: "write them as suggested".to_owned(),
        });
    }
    found
}

/// The object was invalid at the base, so it is unknown whether it is in the cluster, and in which form. A valid one that
/// replaces it is judged as new.
fn invalid_at_base(key: &DocumentKey, identity: &ObjectPlaces<'_>, error: &ObjectError, change: &mut Change) {
    if let Some(after) = identity.merged.first() {
        let why = format!("{} was invalid at the base ({error}); it is judged as new", named(key));
        change.not_judged.push(NotJudged { file: after.file().to_owned(), why });
    } else {
        change.undecided.push(Undecided {
            places: places(identity),
            what: format!("the change removes an object that was invalid: {error}"),
            fix: "fix the object first, or review the removal and merge it manually".to_owned(),
        });
    }
}

fn generator(key: &DocumentKey, gained: &[&ComparableEntry<'_>], lost: &[&ComparableEntry<'_>], change: &mut Change) {
    let Some(first) = gained.first().or(lost.first()) else { return };
    let kind = if key.kind.is_empty() { "Kustomization" } else { &key.kind };
    let names_policy = |comparable: &ComparableEntry<'_>| {
        matches!(comparable.entry.reading, ReadDocument::Generator { names_policy: true, .. })
    };
    if gained.iter().chain(lost).any(|comparable| names_policy(comparable)) {
        change.undecided.push(Undecided {
            places: vec![first.entry.place.to_string()],
            what: format!("the change touches a {kind} that contains or changes a policy"),
            fix: "render it, for example with --render 'kustomize build FOLDER' or --render 'helm template CHART'"
                .to_owned(),
        });
    } else {
        change
            .not_judged
            .push(NotJudged { file: first.file().to_owned(), why: format!("a {kind}; {RENDER_TO_JUDGE}") });
    }
}

/// All places: those of the merged tree first, then those that exist only at the base.
fn places(identity: &ObjectPlaces<'_>) -> Vec<String> {
    let mut places: Vec<_> = identity.merged.iter().map(|comparable| comparable.entry.place.to_string()).collect();
    let only_at_base = rest(&identity.base, &identity.merged)
        .into_iter()
        .filter(|comparable| !files(&identity.merged).contains(comparable.file()));
    places.extend(only_at_base.map(|comparable| format!("{} (base)", comparable.entry.place)));
    places
}

/// Kind, namespace and name: `NetworkPolicy prod/web`.
fn named(key: &DocumentKey) -> String {
    let DocumentKey { kind, namespace, name, .. } = key;
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}
