//! An object of the network-policy-api project, as the one view of its three kinds.

use crate::resource::admin::view::AdminPolicyView;
use crate::resource::object::Object;

impl<'a> AdminPolicyView<'a> {
    /// `None`: an object of another kind.
    #[must_use]
    pub fn of(object: &'a Object) -> Option<Self> {
        Some(match object {
            Object::AdminNetworkPolicy(policy) => Self::admin(policy),
            Object::BaselineAdminNetworkPolicy(policy) => Self::baseline(policy),
            Object::ClusterNetworkPolicy(policy) => Self::cluster(policy),
            _ => return None,
        })
    }
}
