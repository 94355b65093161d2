//! The rules of all policies that restrict one pod in one direction, as a list of tests.
//!
//! A section holds the rules of the cluster policies that restrict a pod in a direction, or those of its namespace's policies.
//! Several identities may share it. It is split into chunks of up to 64 rules. Evaluating a chunk computes three words with one
//! bit for each rule: whether its peers match, whether they match by a block alone, and whether its ports match. The verdict of
//! each policy then follows from a few operations on its bits, without allocation and almost without branches.

use crate::engine::index::Index;
use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::index::rules::NumberedRule;
use crate::engine::policy_id::PolicyId;

/// Rules in a chunk.
const RULES: usize = 64;

/// The rules of several policies.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// The first chunk, which nearly always is the only one.
    pub(super) first: Chunk,
    pub(super) rest: Box<[Chunk]>,
    /// Whether a rule names a block.
    pub(super) names_blocks: bool,
}

impl Section {
    /// The number of chunks.
    pub(super) fn chunks(&self) -> usize {
        1 + self.rest.len()
    }

    /// A chunk by its number.
    pub(super) fn chunk(&self, number: usize) -> Option<&Chunk> {
        number.checked_sub(1).map_or(Some(&self.first), |place| self.rest.get(place))
    }
}

/// Up to 64 rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// Rules that match every peer.
    everyone: u64,
    /// Rules that match every port.
    every_port: u64,
    /// Tests of pods, of pods of the subject's namespace, of blocks and of ports, in this order. `ends` holds the ends of the first
    /// three kinds.
    tests: Box<[Test]>,
    ends: [u16; 3],
    /// Whether the last policy continues in the next chunk.
    pub(super) is_continued: bool,
    pub(super) policies: Box<[Segment]>,
}

/// A test of one bit of a row: if it is set, the rule matches.
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
    /// The index in the policy of its first rule here, minus the place of that rule in the chunk (wrapping).
    shift: u32,
    /// The bits of its rules.
    rules: u64,
}

/// The rows against which a chunk is tested. `pods` is empty if the peer is not a pod, `own` if it is not in the subject's
/// namespace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) pods: &'a [u64],
    pub(super) own: &'a [u64],
    pub(super) blocks: &'a [u64],
    pub(super) ports: &'a [u64],
    /// Whether enforcers differ on an allow by a block.
    pub(super) blocks_differ: bool,
}

/// The result of testing a chunk, with one bit for each rule.
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
    pub(super) fn masks(&self, rows: &Rows<'_>) -> Masks {
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
    /// The verdict of the policy by its rules in this chunk. The kind of verdict is unpredictable, so all kinds are computed and
    /// the strongest is kept, without a branch.
    #[inline]
    pub(super) fn verdict(&self, masks: &Masks) -> PackedVerdict {
        let matches = masks.yes | masks.by_block;
        let strongest = [
            (self.rules, PackedVerdict::BOTH_MISMATCH),
            (self.rules & masks.port, PackedVerdict::PEER_MISMATCH),
            (self.rules & matches, PackedVerdict::PORT_MISMATCH),
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

/// Converts a number that is at most 64.
fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// A chunk under construction, with its tests by kind.
#[derive(Default)]
struct Draft {
    everyone: u64,
    every_port: u64,
    tests: [Vec<Test>; 4],
    rules: usize,
    is_continued: bool,
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
        let Self { everyone, every_port, tests, is_continued, policies, .. } = self;
        let mut end = 0;
        let ends = [0, 1, 2].map(|kind: usize| {
            end += tests[kind].len();
            u16::try_from(end).unwrap_or(u16::MAX)
        });
        Chunk { everyone, every_port, tests: tests.concat().into(), ends, is_continued, policies: policies.into() }
    }
}

impl Index {
    /// Builds the section of these policies. `direction` is the place of the direction in tables.
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
                let is_continued = base + here.len() < rules.len();
                let bits = u64::MAX.checked_shr(u32::from(small(RULES - here.len()))).unwrap_or(0);
                draft.policies.push(Segment {
                    policy: *id,
                    shift: u32::try_from(base).unwrap_or(u32::MAX).wrapping_sub(u32::from(small(draft.rules))),
                    rules: bits.checked_shl(u32::from(small(draft.rules))).unwrap_or(0),
                });
                draft.is_continued = is_continued;
                for rule in here {
                    draft.add(rule);
                }
                if !is_continued {
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
        Section { first: chunks.next().unwrap_or_default(), rest: chunks.collect(), names_blocks }
    }
}
