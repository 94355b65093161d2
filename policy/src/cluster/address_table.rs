//! A hash table from addresses to small values, in one flat list. A lookup costs one multiplication and usually one load.

/// An address as a number.
pub(crate) trait Key: Copy + Default + Eq {
    /// A hash whose upper bits are well mixed.
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

/// A value of the table. One value of the type marks an empty place.
pub(crate) trait Slot: Copy {
    /// Marks an empty place.
    const NOTHING: Self;

    /// Whether this is [`Slot::NOTHING`].
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
    len: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { places: Vec::new(), len: 0 }
    }
}

impl<K: Key, V: Slot> Table<K, V> {
    fn home(&self, key: K) -> usize {
        // The number of places is a power of two.
        let shift = 64 - self.places.len().trailing_zeros();
        usize::try_from(key.mixed() >> shift).unwrap_or(0)
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<V> {
        if self.places.is_empty() {
            return None;
        }
        let mask = self.places.len() - 1;
        let mut place = self.home(key);
        loop {
            let (known, value) = self.places[place & mask];
            if value.is_nothing() {
                return None;
            }
            if known == key {
                return Some(value);
            }
            place += 1;
        }
    }

    /// Sets the value of a key.
    pub(crate) fn set(&mut self, key: K, value: V) {
        if (self.len + 1) * 4 > self.places.len() * 3 {
            let larger = vec![(K::default(), V::NOTHING); (self.places.len() * 2).max(16)];
            self.len = 0;
            for (key, value) in std::mem::replace(&mut self.places, larger) {
                if !value.is_nothing() {
                    self.set(key, value);
                }
            }
        }
        let mask = self.places.len() - 1;
        let mut place = self.home(key) & mask;
        while !self.places[place].1.is_nothing() && self.places[place].0 != key {
            place = (place + 1) & mask;
        }
        self.len += usize::from(self.places[place].1.is_nothing());
        self.places[place] = (key, value);
    }

    /// Removes a key. Later entries that a collision had displaced move back into the gap.
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
            let (other, value) = self.places[place];
            if value.is_nothing() {
                break;
            }
            let wanted = self.home(other) & mask;
            if (place.wrapping_sub(wanted) & mask) >= (place.wrapping_sub(hole) & mask) {
                self.places[hole] = (other, value);
                hole = place;
            }
        }
        self.places[hole] = (K::default(), V::NOTHING);
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::Table;

    #[test]
    fn a_table_gives_the_same_answers_as_a_hash_map() {
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
