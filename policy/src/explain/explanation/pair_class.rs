//! Pairs that policies cannot distinguish.

use crate::engine::pair::Pair;

/// A client and a server that represent all pairs that policies cannot distinguish from them. `count` is the number of pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairClass {
    pub(super) pair: Pair,
    pub(super) count: u64,
}
