//! A verdict in four bytes.

use crate::engine::verdict::{Exemption, Reason, Verdict};
use crate::policy::network_policy::Failed;

/// The verdict of one policy on one flow in one direction: its kind in the lowest four bits, the index of the rule above them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackedVerdict(u32);

const KIND: u32 = 0xf;
const ALLOW: u32 = 0;
const ALLOW_BY_BLOCK: u32 = 1;
const PORT_MISMATCH: u32 = 2;
const PEER_MISMATCH: u32 = 3;
const BOTH_MISMATCH: u32 = 4;
const UNRESOLVED: u32 = 8;
const EXEMPT_NODE: u32 = 5;
const EXEMPT_ITSELF: u32 = 6;
const WITHOUT_RULES: u32 = 7;

impl PackedVerdict {
    pub(super) const ALLOW: u32 = ALLOW;
    pub(super) const ALLOW_BY_BLOCK: u32 = ALLOW_BY_BLOCK;
    pub(super) const PORT_MISMATCH: u32 = PORT_MISMATCH;
    pub(super) const PEER_MISMATCH: u32 = PEER_MISMATCH;
    pub(super) const BOTH_MISMATCH: u32 = BOTH_MISMATCH;
    pub(super) const WITHOUT_RULES: u32 = WITHOUT_RULES;

    pub(super) fn new(kind: u32, rule: u32) -> Self {
        Self((rule << 4) | kind)
    }

    pub(super) fn exempt(exemption: Exemption) -> Self {
        Self(match exemption {
            Exemption::Node => EXEMPT_NODE,
            Exemption::Itself => EXEMPT_ITSELF,
        })
    }

    /// The same denial for a peer that is an unknown pod.
    pub(super) fn of_unresolved(self) -> Self {
        if (PORT_MISMATCH..=BOTH_MISMATCH).contains(&(self.0 & KIND)) { Self(self.0 | UNRESOLVED) } else { self }
    }

    /// Combines the verdict of a policy's earlier rules with that of its later rules: the lower kind wins, the earlier one on ties.
    pub(super) fn or_later(self, later: Self) -> Self {
        if later.0 & KIND < self.0 & KIND { later } else { self }
    }

    /// The order of verdicts on the backends of one Service, of which the strictest counts: a denial, then an allow that depends
    /// on the enforcer, then an allow. Of two exemptions that of the node comes first, because it depends on the enforcer.
    pub(super) fn rank(self) -> impl Ord + use<> {
        match self.verdict() {
            Verdict::WouldDeny(reason) => (0, Some(reason), 0),
            Verdict::Allow { rule, by_block_alone: true } => (1, None, rule),
            Verdict::Allow { rule, by_block_alone: false } => (2, None, rule),
            Verdict::Exempt(Exemption::Node) => (3, None, 0),
            Verdict::Exempt(Exemption::Itself) => (4, None, 0),
        }
    }

    /// Whether the verdict is [`Verdict::WouldDeny`].
    #[must_use]
    pub fn denies(self) -> bool {
        let kind = self.0 & KIND;
        kind != ALLOW && kind != ALLOW_BY_BLOCK && kind != EXEMPT_NODE && kind != EXEMPT_ITSELF
    }

    /// Unpacks the verdict.
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
            PORT_MISMATCH => reason(Failed::Port),
            PEER_MISMATCH => reason(Failed::Peer),
            EXEMPT_NODE => Verdict::Exempt(Exemption::Node),
            EXEMPT_ITSELF => Verdict::Exempt(Exemption::Itself),
            _ => reason(Failed::PeerAndPort),
        }
    }
}
