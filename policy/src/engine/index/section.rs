//! The rules of all policies that restrict one pod in one direction, as a list of tests.
//!
//! A section is what several identities share: the cluster policies that restrict a pod in a direction, or those of its
//! namespace. It is cut into chunks of up to 64 rules. To ask a chunk is to gather three words, a bit a rule: whose
//! peers match, whose peers match by a block alone, whose ports match; what each policy says is then a few operations on
//! its bits. There is no allocation, and little for a branch predictor to guess.

use crate::engine::index::Index;
use crate::engine::index::answer::PackedVerdict;
use crate::engine::index::rules::NumberedRule;
use crate::model::policy_id::PolicyId;

/// Rules in a chunk.
const RULES: usize = 64;

/// A section.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// The first of its chunks, which nearly always is the only one.
    pub(super) first: Chunk,
    pub(super) further: Box<[Chunk]>,
    /// Whether a rule names a block.
    pub(super) names_blocks: bool,
}

impl Section {
    /// How many chunks it has.
    pub(super) fn chunks(&self) -> usize {
        1 + self.further.len()
    }

    /// One of them.
    pub(super) fn chunk(&self, number: usize) -> Option<&Chunk> {
        number.checked_sub(1).map_or(Some(&self.first), |further| self.further.get(further))
    }
}

/// Up to 64 rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// Rules that take every peer.
    everyone: u64,
    /// Rules that take every port.
    every_port: u64,
    /// Tests of pods, of pods of the subject's namespace, of blocks, of ports, in this order.
    tests: Box<[Test]>,
    ends: [u16; 3],
    /// The last policy goes on in the next chunk.
    pub(super) goes_on: bool,
    pub(super) policies: Box<[Segment]>,
}

/// A rule matches where a bit of a row is set.
#[derive(Clone, Copy, Debug)]
struct Test {
    word: u16,
    bit: u8,
    rule: u8,
}

/// The rules of a policy in a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) policy: PolicyId,
    /// Index, in the policy, of the first one here, less its place in the chunk.
    shift: u32,
    /// Their bits.
    rules: u64,
}

/// What is asked of a chunk: rows, of which the first two are empty where the peer is no pod, or none of the namespace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) pods: &'a [u64],
    pub(super) own: &'a [u64],
    pub(super) blocks: &'a [u64],
    pub(super) ports: &'a [u64],
    /// An allow by a block is one that enforcers differ on.
    pub(super) blocks_differ: bool,
}

/// The answers of a chunk, a bit a rule.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Masks {
    yes: u64,
    by_block: u64,
    port: u64,
}

#[inline]
fn gather(tests: &[Test], row: &[u64]) -> u64 {
    let mut mask = 0;
    for test in tests {
        let word = row.get(usize::from(test.word)).copied().unwrap_or(0);
        mask |= ((word >> (test.bit & 63)) & 1) << (test.rule & 63);
    }
    mask
}

impl Chunk {
    #[inline]
    pub(super) fn ask(&self, rows: &Rows<'_>) -> Masks {
        let [pods, own, blocks] = self.ends.map(usize::from);
        let mut yes = self.everyone;
        if !rows.pods.is_empty() {
            yes |= gather(&self.tests[..pods], rows.pods);
        }
        if !rows.own.is_empty() {
            yes |= gather(&self.tests[pods..own], rows.own);
        }
        let by_block = gather(&self.tests[own..blocks], rows.blocks);
        let port = self.every_port | gather(&self.tests[blocks..], rows.ports);
        if rows.blocks_differ {
            Masks { yes, by_block, port }
        } else {
            Masks { yes: yes | by_block, by_block: 0, port }
        }
    }
}

impl Segment {
    /// What the policy says, as far as its rules here go. Which of the kinds of answer it is cannot be foreseen, so that
    /// each is looked at and the strongest kept, without a jump.
    #[inline]
    pub(super) fn answer(&self, masks: &Masks) -> PackedVerdict {
        let takes = masks.yes | masks.by_block;
        let strongest = [
            (self.rules, PackedVerdict::MISSED_BOTH),
            (self.rules & masks.port, PackedVerdict::MISSED_PEER),
            (self.rules & takes, PackedVerdict::MISSED_PORT),
            (self.rules & masks.port & masks.by_block, PackedVerdict::ALLOW_BY_BLOCK),
            (self.rules & masks.port & masks.yes, PackedVerdict::ALLOW),
        ];
        let (mut mask, mut kind) = (0, PackedVerdict::WITHOUT_RULES);
        for (matching, of_kind) in strongest {
            (mask, kind) = if matching == 0 { (mask, kind) } else { (matching, of_kind) };
        }
        let rule = if mask == 0 { 0 } else { mask.trailing_zeros().wrapping_add(self.shift) };
        PackedVerdict::new(kind, rule)
    }
}

/// A number that is at most 64.
fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// Tests of a chunk that is being made, by kind.
#[derive(Default)]
struct Draft {
    everyone: u64,
    every_port: u64,
    tests: [Vec<Test>; 4],
    rules: usize,
    goes_on: bool,
    policies: Vec<Segment>,
}

impl Draft {
    fn add(&mut self, rule: &NumberedRule) {
        let number = self.rules;
        self.rules += 1;
        let bit = |set: u32| Test {
            word: u16::try_from(set / 64).unwrap_or(u16::MAX),
            bit: small(set as usize % 64),
            rule: small(number),
        };
        self.everyone |= u64::from(rule.everyone) << number;
        self.every_port |= u64::from(rule.ports.is_none()) << number;
        for (tests, set) in self.tests.iter_mut().zip([rule.pods, rule.own, rule.blocks, rule.ports]) {
            tests.extend(set.map(bit));
        }
    }

    fn finish(self) -> Chunk {
        let Self { everyone, every_port, tests, goes_on, policies, .. } = self;
        let mut end = 0;
        let ends = [0, 1, 2].map(|kind: usize| {
            end += tests[kind].len();
            u16::try_from(end).unwrap_or(u16::MAX)
        });
        Chunk { everyone, every_port, tests: tests.concat().into(), ends, goes_on, policies: policies.into() }
    }
}

impl Index {
    /// Makes the section of these policies for a direction's place.
    pub(super) fn section(&self, policies: &[PolicyId], direction: usize) -> Section {
        let mut chunks = Vec::new();
        let mut draft = Draft::default();
        let mut names_blocks = false;
        for id in policies {
            let Some(rules) = self.numbered(*id).and_then(|it| it.rules[direction].as_deref()) else { continue };
            names_blocks |= rules.iter().any(|rule| rule.blocks.is_some());
            if draft.rules + rules.len() > RULES && draft.rules > 0 {
                chunks.push(std::mem::take(&mut draft).finish());
            }
            let mut base = 0;
            loop {
                let here = &rules[base..rules.len().min(base + RULES)];
                let goes_on = base + here.len() < rules.len();
                let bits = u64::MAX.checked_shr(u32::from(small(RULES - here.len()))).unwrap_or(0);
                draft.policies.push(Segment {
                    policy: *id,
                    shift: u32::try_from(base).unwrap_or(u32::MAX).wrapping_sub(u32::from(small(draft.rules))),
                    rules: bits.checked_shl(u32::from(small(draft.rules))).unwrap_or(0),
                });
                draft.goes_on = goes_on;
                for rule in here {
                    draft.add(rule);
                }
                if !goes_on {
                    break;
                }
                base += here.len();
                chunks.push(std::mem::take(&mut draft).finish());
            }
        }
        if !draft.policies.is_empty() {
            chunks.push(draft.finish());
        }
        let mut chunks = chunks.into_iter();
        Section { first: chunks.next().unwrap_or_default(), further: chunks.collect(), names_blocks }
    }
}
