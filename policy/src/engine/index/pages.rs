//! A table of numbers by 16-bit keys whose neighbours mostly have the same number: a page of 256 keys has one number, or a list.

/// The table. Every key has the number 0 at first.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    /// By the upper eight bits of the key: the number of all keys of the page, or `SPLIT` and the place of its list.
    pages: Vec<u32>,
    lists: Vec<u32>,
}

const SPLIT: u32 = 1 << 31;
const PAGE: usize = 256;

impl Pages {
    /// Sets the number of all keys from `first` to `last`, both included.
    pub(super) fn fill(&mut self, first: u16, last: u16, number: u32) {
        self.pages.resize(PAGE, 0);
        let (first, last) = (usize::from(first), usize::from(last));
        for page in first / PAGE..=last / PAGE {
            let (start, end) = (page * PAGE, page * PAGE + PAGE - 1);
            if first <= start && end <= last {
                self.pages[page] = number;
                continue;
            }
            if self.pages[page] & SPLIT == 0 {
                let place = self.lists.len() / PAGE;
                self.lists.extend([self.pages[page]; PAGE]);
                self.pages[page] = SPLIT | u32::try_from(place).unwrap_or(0);
            }
            let from = (self.pages[page] & !SPLIT) as usize * PAGE;
            self.lists[from + first.max(start) - start..=from + last.min(end) - start].fill(number);
        }
    }

    /// The number of a key.
    #[inline]
    pub(super) fn get(&self, of: u16) -> u32 {
        let number = self.pages.get(usize::from(of) / PAGE).copied().unwrap_or(0);
        if number & SPLIT == 0 {
            return number;
        }
        self.lists.get((number & !SPLIT) as usize * PAGE + usize::from(of) % PAGE).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn pages_equal_a_plain_table_of_all_keys() {
        let (mut pages, mut all) = (Pages::default(), vec![0_u32; 1 << 16]);
        let spans =
            [(0, 65535), (80, 80), (255, 256), (1024, 65535), (8000, 8100), (0, 255), (65535, 65535), (300, 299 + 512)];
        for ((first, last), number) in spans.into_iter().zip(1..) {
            pages.fill(first, last, number);
            all[usize::from(first)..=usize::from(last)].fill(number);
            assert!((0..=u16::MAX).all(|of| pages.get(of) == all[usize::from(of)]), "{first}-{last}");
        }
    }
}
