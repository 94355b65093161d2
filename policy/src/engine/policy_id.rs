//! The index of a policy in a world.

/// Index of a policy in its world. It means nothing in another world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub(crate) u32);
