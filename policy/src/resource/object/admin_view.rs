//! The view of an object that is an admin policy.

use crate::resource::admin::view::AdminPolicyView;
use crate::resource::object::Object;

impl<'a> AdminPolicyView<'a> {
    /// The view of an object. `None`: it is not an admin policy.
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
