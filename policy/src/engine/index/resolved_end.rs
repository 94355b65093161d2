//! An end of a flow, resolved.

use jiff::Timestamp;

use crate::cluster::node::NodeId;
use crate::cluster::pod::PodId;
use crate::engine::index::flow_query::PeerView;
use crate::policy::end_kind::EndKind;

/// An end of a flow that the directory resolved.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedEnd {
    pub(super) view: PeerView,
    pub(super) pod: Option<PodId>,
    pub(super) node: Option<NodeId>,
}

impl ResolvedEnd {
    pub(super) fn identity(&self) -> Option<u32> {
        match self.view.kind {
            EndKind::Pod(identity) => Some(identity),
            EndKind::Node | EndKind::Outside | EndKind::Unresolved => None,
        }
    }
}

/// A time in nanoseconds since 1970, as the directory compares it with the times of flows. Times outside the years 1677 to 2262
/// become the minimum or maximum.
pub(crate) fn nanoseconds(at: Timestamp) -> i64 {
    let within = at.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into());
    i64::try_from(within).unwrap_or(i64::MAX)
}
