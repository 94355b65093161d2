//! Distinct selectors and the labelled objects that each of them matches, updated as selectors and objects are added and removed.

use std::collections::HashMap;

use crate::engine::index::interned::Interned;
use crate::engine::index::lists::remove_from_list;
use foretell_objects::model::labels::{Labels, Selector};

/// Selectors of one kind of objects: pods (by identity) or namespaces.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors {
    known: Interned<Selector>,
    /// Selectors that require a label, by its key and value.
    anchored: HashMap<String, HashMap<String, Vec<u32>>>,
    /// Selectors that require no particular label.
    unanchored: Vec<u32>,
    /// By selector: the objects that it matches.
    members: Vec<Vec<u32>>,
    /// By object: the selectors that match it, in order.
    matching: Vec<Vec<u32>>,
}

impl Selectors {
    /// Adds a user of a selector and returns its number. `objects` is only read if the selector is new.
    pub(super) fn acquire<'a>(&mut self, selector: &Selector, objects: impl Iterator<Item = (u32, &'a Labels)>) -> u32 {
        let (number, is_new) = self.known.acquire(selector);
        if !is_new {
            return number;
        }
        self.place(selector, number);
        let mut members = Vec::new();
        for (object, _) in objects.filter(|(_, labels)| selector.matches(labels)) {
            members.push(object);
            let matching = &mut self.matching[object as usize];
            let place = matching.partition_point(|other| *other < number);
            matching.insert(place, number);
        }
        if number as usize == self.members.len() {
            self.members.push(members);
        } else {
            self.members[number as usize] = members;
        }
        number
    }

    /// Removes a user of a selector.
    pub(super) fn release(&mut self, number: u32) {
        let Some(selector) = self.known.release(number) else { return };
        match selector.anchor() {
            None => self.unanchored.retain(|other| *other != number),
            Some((key, values)) => {
                if let Some(by_value) = self.anchored.get_mut(key) {
                    for value in values {
                        remove_from_list(by_value, value, |other| *other == number);
                    }
                    if by_value.is_empty() {
                        self.anchored.remove(key);
                    }
                }
            }
        }
        for object in std::mem::take(&mut self.members[number as usize]) {
            self.matching[object as usize].retain(|other| *other != number);
        }
    }

    /// Indexes a selector by a label that it requires.
    fn place(&mut self, selector: &Selector, number: u32) {
        match selector.anchor() {
            None => self.unanchored.push(number),
            Some((key, values)) => {
                let by_value = self.anchored.entry(key.to_owned()).or_default();
                let mut values: Vec<&String> = values.iter().collect();
                values.sort();
                values.dedup();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(number);
                }
            }
        }
    }

    /// Adds an object.
    pub(super) fn insert(&mut self, object: u32, labels: &Labels) {
        let anchored = labels.iter().filter_map(|(key, value)| self.anchored.get(key)?.get(value)).flatten();
        let candidates = anchored.chain(&self.unanchored).copied();
        let matches = |number: &u32| self.known.get(*number).is_some_and(|selector| selector.matches(labels));
        let mut matching: Vec<u32> = candidates.filter(matches).collect();
        matching.sort_unstable();
        for number in &matching {
            self.members[*number as usize].push(object);
        }
        if object as usize >= self.matching.len() {
            self.matching.resize(object as usize + 1, Vec::new());
        }
        self.matching[object as usize] = matching;
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, object: u32) {
        for number in std::mem::take(&mut self.matching[object as usize]) {
            let members = &mut self.members[number as usize];
            if let Some(place) = members.iter().position(|member| *member == object) {
                members.swap_remove(place);
            }
        }
    }

    /// The number of selectors.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The number of entries in `anchored` and `unanchored`.
    pub(super) fn anchors(&self) -> usize {
        self.unanchored.len() + self.anchored.len() + self.anchored.values().map(HashMap::len).sum::<usize>()
    }

    /// Whether a selector matches an object.
    pub(super) fn matches(&self, number: u32, object: u32) -> bool {
        self.matching[object as usize].binary_search(&number).is_ok()
    }

    /// The objects that a selector matches.
    pub(super) fn members(&self, number: u32) -> &[u32] {
        &self.members[number as usize]
    }

    /// The selectors that match an object.
    pub(super) fn matching(&self, object: u32) -> &[u32] {
        &self.matching[object as usize]
    }
}
