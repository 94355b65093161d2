//! Random changes of valid inputs.

/// A source of random changes. The same seed gives the same inputs.
pub(crate) struct Mutation(u64);

impl Mutation {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        let often = b"{}[]:,-\"'#&*!|>% \t\n\r0123456789\\\0~<\xff\xc3\xed";
        if self.below(2) == 0 { often[self.below(often.len())] } else { u8::try_from(self.below(256)).unwrap() }
    }

    /// One of the inputs, changed in one to six places.
    pub(crate) fn of(&mut self, inputs: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let mut input = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut input, inputs, words);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>], words: &[&str]) {
        let place = self.below(input.len() + 1);
        let end = input.len().min(place + self.below(40));
        match self.below(8) {
            0 => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                let byte = self.byte();
                input.insert(place, byte);
            }
            2 => drop(input.drain(place..end)),
            3 => {
                let piece = input[place..end].to_vec();
                let target = self.below(input.len() + 1);
                input.splice(target..target, piece);
            }
            4 => {
                let word = words[self.below(words.len())].bytes();
                input.splice(place..end, word);
            }
            5 => {
                let word = words[self.below(words.len())].bytes();
                input.splice(place..place, word);
            }
            6 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len());
                let piece = &other[from..other.len().min(from + self.below(200))];
                input.splice(place..place, piece.iter().copied());
            }
            _ => {
                // Indentation is significant in YAML.
                let line =
                    input.iter().skip(place).position(|byte| *byte == b'\n').map_or(place, |line| place + line + 1);
                let spaces = self.below(5);
                input.splice(line..line, std::iter::repeat_n(b' ', spaces));
            }
        }
    }
}
