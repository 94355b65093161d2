//! What is kept by address, in one flat list: a look-up is a multiplication and, mostly, one load.

/// An address as a number.
pub(crate) trait Key: Copy + Default + Eq {
    /// Well mixed in its upper bits.
    fn mixed(self) -> u64;
}

/// 2^64 divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Key for u32 {
    fn mixed(self) -> u64 {
        u64::from(self).wrapping_mul(FACTOR)
    }
}

impl Key for u128 {
    fn mixed(self) -> u64 {
        // Networks differ in the upper half, hosts in the lower one.
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
        (half(self >> 64).wrapping_mul(FACTOR) ^ half(self)).wrapping_mul(FACTOR)
    }
}

/// What a key has.
pub(crate) trait Slot: Copy {
    /// What marks a place that holds nothing.
    const NOTHING: Self;

    /// Whether it is that mark.
    fn is_nothing(&self) -> bool;
}

impl Slot for u32 {
    const NOTHING: Self = u32::MAX;

    fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }
}

/// The table: open addressing, linear probing, at most three quarters full.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    places: Vec<(K, V)>,
    held: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { places: Vec::new(), held: 0 }
    }
}

impl<K: Key, V: Slot> Table<K, V> {
    fn home(&self, key: K) -> usize {
        // The number of places is a power of two.
        let shift = 64 - self.places.len().trailing_zeros();
        usize::try_from(key.mixed() >> shift).unwrap_or(0)
    }

    /// What a key has.
    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<V> {
        if self.places.is_empty() {
            return None;
        }
        let mask = self.places.len() - 1;
        let mut place = self.home(key);
        loop {
            let (known, held) = self.places[place & mask];
            if held.is_nothing() {
                return None;
            }
            if known == key {
                return Some(held);
            }
            place += 1;
        }
    }

    /// Gives a key something.
    pub(crate) fn set(&mut self, key: K, held: V) {
        if (self.held + 1) * 4 > self.places.len() * 3 {
            let larger = vec![(K::default(), V::NOTHING); (self.places.len() * 2).max(16)];
            self.held = 0;
            for (key, held) in std::mem::replace(&mut self.places, larger) {
                if !held.is_nothing() {
                    self.set(key, held);
                }
            }
        }
        let mask = self.places.len() - 1;
        let mut place = self.home(key) & mask;
        while !self.places[place].1.is_nothing() && self.places[place].0 != key {
            place = (place + 1) & mask;
        }
        self.held += usize::from(self.places[place].1.is_nothing());
        self.places[place] = (key, held);
    }

    /// Forgets a key. Those behind it that had to give way to it move up.
    pub(crate) fn remove(&mut self, key: K) {
        if self.get(key).is_none() {
            return;
        }
        let mask = self.places.len() - 1;
        let mut hole = self.home(key) & mask;
        while self.places[hole].0 != key || self.places[hole].1.is_nothing() {
            hole = (hole + 1) & mask;
        }
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let (other, held) = self.places[place];
            if held.is_nothing() {
                break;
            }
            let wanted = self.home(other) & mask;
            if (place.wrapping_sub(wanted) & mask) >= (place.wrapping_sub(hole) & mask) {
                self.places[hole] = (other, held);
                hole = place;
            }
        }
        self.places[hole] = (K::default(), V::NOTHING);
        self.held -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::Table;

    #[test]
    fn a_table_holds_what_a_map_holds() {
        let (mut table, mut map) = (Table::default(), HashMap::new());
        let mut random = 1_u64;
        for step in 0..200_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = u32::try_from((random >> 33) % 700).unwrap() << 8;
            if random >> 63 == 0 {
                table.set(key, step);
                map.insert(key, step);
            } else {
                table.remove(key);
                map.remove(&key);
            }
            assert_eq!(table.get(key), map.get(&key).copied());
        }
        for key in (0..700).map(|key| key << 8) {
            assert_eq!(table.get(key), map.get(&key).copied());
        }
    }
}
