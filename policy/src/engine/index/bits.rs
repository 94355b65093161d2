//! Rows of bits.

/// Words for so many bits.
pub(super) fn words(bits: usize) -> usize {
    bits.div_ceil(64)
}

/// Sets or clears a bit; the row is long enough.
pub(super) fn put(row: &mut [u64], bit: u32, value: bool) {
    let word = &mut row[(bit / 64) as usize];
    let mask = 1 << (bit % 64);
    if value { *word |= mask } else { *word &= !mask }
}

/// Rows of one length, numbered, each of them once.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    width: usize,
    words: Vec<u64>,
    known: std::collections::HashMap<Box<[u64]>, u32>,
}

impl Rows {
    /// Rows of so many bits. The first one is empty.
    pub(super) fn new(bits: usize) -> Self {
        let width = words(bits);
        let mut rows = Self { width, ..Self::default() };
        rows.add(&vec![0; width]);
        rows
    }

    /// The number of a row.
    pub(super) fn add(&mut self, row: &[u64]) -> u32 {
        if let Some(number) = self.known.get(row) {
            return *number;
        }
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.insert(row.into(), number);
        self.words.extend_from_slice(row);
        number
    }

    /// A row.
    #[inline]
    pub(super) fn get(&self, number: u32) -> &[u64] {
        let start = number as usize * self.width;
        &self.words[start..start + self.width]
    }
}
