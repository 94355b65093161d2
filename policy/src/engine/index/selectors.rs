//! Distinct selectors and what each of them matches, kept while selectors and labelled things come and go.

use std::collections::HashMap;

use crate::engine::index::interned::Interned;
use crate::engine::index::sizes::take_out;
use crate::model::labels::{Labels, Selector};

/// Selectors over one kind of things that have labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Selectors {
    known: Interned<Selector>,
    /// By a label that a selector wants, by key and value.
    anchored: HashMap<String, HashMap<String, Vec<u32>>>,
    /// Those that want no label in particular.
    unanchored: Vec<u32>,
    /// By selector: the things that it matches.
    members: Vec<Vec<u32>>,
    /// By thing: the selectors that match it, in order.
    matching: Vec<Vec<u32>>,
}

impl Selectors {
    /// The number of a selector, with one user more. `things` is asked where it is new.
    pub(super) fn acquire<'a>(&mut self, selector: &Selector, things: impl Iterator<Item = (u32, &'a Labels)>) -> u32 {
        let (number, is_new) = self.known.acquire(selector);
        if !is_new {
            return number;
        }
        self.place(selector, number);
        let mut members = Vec::new();
        for (thing, _) in things.filter(|(_, labels)| selector.matches(labels)) {
            members.push(thing);
            let matching = &mut self.matching[thing as usize];
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

    /// One user less.
    pub(super) fn release(&mut self, number: u32) {
        let Some(selector) = self.known.release(number) else { return };
        match selector.anchor() {
            None => self.unanchored.retain(|other| *other != number),
            Some((key, values)) => {
                if let Some(by_value) = self.anchored.get_mut(key) {
                    for value in values {
                        take_out(by_value, value, |other| *other == number);
                    }
                    if by_value.is_empty() {
                        self.anchored.remove(key);
                    }
                }
            }
        }
        for thing in std::mem::take(&mut self.members[number as usize]) {
            self.matching[thing as usize].retain(|other| *other != number);
        }
    }

    /// Puts a selector where it is found.
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

    /// Adds a thing.
    pub(super) fn insert(&mut self, thing: u32, labels: &Labels) {
        let anchored = labels.iter().filter_map(|(key, value)| self.anchored.get(key)?.get(value)).flatten();
        let candidates = anchored.chain(&self.unanchored).copied();
        let matches = |number: &u32| self.known.get(*number).is_some_and(|selector| selector.matches(labels));
        let mut matching: Vec<u32> = candidates.filter(matches).collect();
        matching.sort_unstable();
        for number in &matching {
            self.members[*number as usize].push(thing);
        }
        if thing as usize >= self.matching.len() {
            self.matching.resize(thing as usize + 1, Vec::new());
        }
        self.matching[thing as usize] = matching;
    }

    /// Takes a thing away.
    pub(super) fn remove(&mut self, thing: u32) {
        for number in std::mem::take(&mut self.matching[thing as usize]) {
            let members = &mut self.members[number as usize];
            if let Some(place) = members.iter().position(|member| *member == thing) {
                members.swap_remove(place);
            }
        }
    }

    /// How many selectors there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// By how many labels, and without one, they are found.
    pub(super) fn anchors(&self) -> usize {
        self.unanchored.len() + self.anchored.len() + self.anchored.values().map(HashMap::len).sum::<usize>()
    }

    /// Whether a selector matches a thing.
    pub(super) fn matches(&self, number: u32, thing: u32) -> bool {
        self.matching[thing as usize].binary_search(&number).is_ok()
    }

    /// The things that a selector matches.
    pub(super) fn members(&self, number: u32) -> &[u32] {
        &self.members[number as usize]
    }

    /// The selectors that match a thing.
    pub(super) fn matching(&self, thing: u32) -> &[u32] {
        &self.matching[thing as usize]
    }
}
