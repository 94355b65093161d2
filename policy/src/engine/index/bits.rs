//! Rows of bits.

/// The number of 64-bit words for this many bits.
pub(super) fn words(bits: usize) -> usize {
    bits.div_ceil(64)
}

/// Sets or clears a bit of a row.
///
/// # Panics
/// If the row is too short.
pub(super) fn put(row: &mut [u64], bit: u32, value: bool) {
    let word = &mut row[(bit / 64) as usize];
    let mask = 1 << (bit % 64);
    if value { *word |= mask } else { *word &= !mask }
}

/// Distinct rows of one length, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    width: usize,
    words: Vec<u64>,
    known: std::collections::HashMap<Box<[u64]>, u32>,
}

impl Rows {
    /// Rows of this many bits. Row 0 has no bit set.
    pub(super) fn new(bits: usize) -> Self {
        let width = words(bits);
        let mut rows = Self { width, ..Self::default() };
        rows.add(&vec![0; width]);
        rows
    }

    /// The number of a row, which is added if it is new.
    pub(super) fn add(&mut self, row: &[u64]) -> u32 {
        if let Some(number) = self.known.get(row) {
            return *number;
        }
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.insert(row.into(), number);
        self.words.extend_from_slice(row);
        number
    }

    /// The row of a number.
    #[inline]
    pub(super) fn get(&self, number: u32) -> &[u64] {
        let start = number as usize * self.width;
        &self.words[start..start + self.width]
    }
}
