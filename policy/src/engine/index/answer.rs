//! A verdict in four bytes.

use crate::engine::verdict::{Exemption, Reason, Verdict};
use crate::policy::network_policy::Failed;

/// What one policy says of one flow in one direction: what kind of answer in the lowest bits, the rule above them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackedVerdict(u32);

const KIND: u32 = 0xf;
const ALLOW: u32 = 0;
const ALLOW_BY_BLOCK: u32 = 1;
const MISSED_PORT: u32 = 2;
const MISSED_PEER: u32 = 3;
const MISSED_BOTH: u32 = 4;
const UNRESOLVED: u32 = 8;
const OF_NODE: u32 = 5;
const OF_ITSELF: u32 = 6;
const WITHOUT_RULES: u32 = 7;

impl PackedVerdict {
    pub(super) const ALLOW: u32 = ALLOW;
    pub(super) const ALLOW_BY_BLOCK: u32 = ALLOW_BY_BLOCK;
    pub(super) const MISSED_PORT: u32 = MISSED_PORT;
    pub(super) const MISSED_PEER: u32 = MISSED_PEER;
    pub(super) const MISSED_BOTH: u32 = MISSED_BOTH;
    pub(super) const WITHOUT_RULES: u32 = WITHOUT_RULES;

    pub(super) fn new(kind: u32, rule: u32) -> Self {
        Self((rule << 4) | kind)
    }

    pub(super) fn exempt(exemption: Exemption) -> Self {
        Self(match exemption {
            Exemption::Node => OF_NODE,
            Exemption::Itself => OF_ITSELF,
        })
    }

    /// The same of a peer that is a pod of which nothing is known.
    pub(super) fn of_unresolved(self) -> Self {
        if (MISSED_PORT..=MISSED_BOTH).contains(&(self.0 & KIND)) { Self(self.0 | UNRESOLVED) } else { self }
    }

    /// Of the answers of a policy's earlier rules and of those that follow: the one that the policy gives.
    pub(super) fn or_later(self, later: Self) -> Self {
        if later.0 & KIND < self.0 & KIND { later } else { self }
    }

    /// Of the answers on the backends of one Service the worst stands: a denial first, then an allow that not every enforcer
    /// gives; of two exemptions that of the node, which not every enforcer gives either.
    pub(super) fn rank(self) -> impl Ord + use<> {
        match self.verdict() {
            Verdict::WouldDeny(reason) => (0, Some(reason), 0),
            Verdict::Allow { rule, by_block_alone: true } => (1, None, rule),
            Verdict::Allow { rule, by_block_alone: false } => (2, None, rule),
            Verdict::Exempt(Exemption::Node) => (3, None, 0),
            Verdict::Exempt(Exemption::Itself) => (4, None, 0),
        }
    }

    /// Whether the policy would deny the flow.
    #[must_use]
    pub fn denies(self) -> bool {
        let kind = self.0 & KIND;
        kind != ALLOW && kind != ALLOW_BY_BLOCK && kind != OF_NODE && kind != OF_ITSELF
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        let rule = (self.0 >> 4) as usize;
        let reason = |failed| {
            Verdict::WouldDeny(if self.0 & UNRESOLVED == 0 {
                Reason::NoRuleMatched { nearest: rule, failed }
            } else {
                Reason::UnresolvedPeer { nearest: rule, failed }
            })
        };
        if self.0 & KIND == WITHOUT_RULES {
            return Verdict::WouldDeny(Reason::NoRules);
        }
        match self.0 & (KIND & !UNRESOLVED) {
            ALLOW => Verdict::Allow { rule, by_block_alone: false },
            ALLOW_BY_BLOCK => Verdict::Allow { rule, by_block_alone: true },
            MISSED_PORT => reason(Failed::Port),
            MISSED_PEER => reason(Failed::Peer),
            OF_NODE => Verdict::Exempt(Exemption::Node),
            OF_ITSELF => Verdict::Exempt(Exemption::Itself),
            _ => reason(Failed::PeerAndPort),
        }
    }
}
