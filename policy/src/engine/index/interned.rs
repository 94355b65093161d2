//! Distinct values by number, with a count of their users.

use std::collections::HashMap;
use std::hash::Hash;

/// A number is reused after the last user of its value released it.
#[derive(Clone, Debug)]
pub(super) struct Interned<K> {
    numbers: HashMap<K, u32>,
    slots: Vec<Option<(K, u32)>>,
    free: Vec<u32>,
}

impl<K> Default for Interned<K> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<K: Clone + Eq + Hash> Interned<K> {
    /// Adds a user of a value. Returns the number of the value, and whether it is new.
    pub(super) fn acquire(&mut self, value: &K) -> (u32, bool) {
        if let Some(number) = self.numbers.get(value) {
            let number = *number;
            if let Some((_, users)) = &mut self.slots[number as usize] {
                *users += 1;
            }
            return (number, false);
        }
        let slot = Some((value.clone(), 1));
        let number = if let Some(number) = self.free.pop() {
            self.slots[number as usize] = slot;
            number
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.numbers.insert(value.clone(), number);
        (number, true)
    }

    /// Adds a user of a number that has users already.
    pub(super) fn acquire_again(&mut self, number: u32) {
        if let Some((_, users)) = &mut self.slots[number as usize] {
            *users += 1;
        }
    }

    /// Removes a user. Returns the value if that was the last one.
    pub(super) fn release(&mut self, number: u32) -> Option<K> {
        let slot = self.slots.get_mut(number as usize)?;
        let (_, users) = slot.as_mut()?;
        *users -= 1;
        if *users > 0 {
            return None;
        }
        let (value, _) = slot.take()?;
        self.numbers.remove(&value);
        self.free.push(number);
        Some(value)
    }

    /// The value of a number.
    pub(super) fn get(&self, number: u32) -> Option<&K> {
        self.slots.get(number as usize)?.as_ref().map(|(value, _)| value)
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// All numbers are below this one.
    pub(super) fn end(&self) -> usize {
        self.slots.len()
    }

    /// All values with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &K)> {
        let slots = (0_u32..).zip(&self.slots);
        slots.filter_map(|(number, slot)| slot.as_ref().map(|(value, _)| (number, value)))
    }
}
