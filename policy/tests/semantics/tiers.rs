//! Admin policies: the order of tiers, what rules match, and what is unknown.

mod order;
mod peers;
mod ports;
mod unknown;

/// An `AdminNetworkPolicy` for all pods of the shop.
fn admin(name: &str, priority: u16, rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{priority: {priority}, subject: {{namespaces: {{matchLabels: {{team: shop}}}}}}, {rules}}}\n"
    )
}

/// The `BaselineAdminNetworkPolicy`, for all pods of the shop.
fn baseline(rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {{name: default}}\nspec: {{subject: {{namespaces: {{matchLabels: {{team: shop}}}}}}, {rules}}}\n"
    )
}

/// A `ClusterNetworkPolicy` for all pods of the shop.
fn cluster(name: &str, tier: &str, priority: u16, rules: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{tier: {tier}, priority: {priority}, subject: {{namespaces: {{matchLabels: {{team: shop}}}}}}, {rules}}}\n"
    )
}

/// A NetworkPolicy `np` in the shop.
fn network_policy(spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: np, namespace: shop}}\nspec: {spec}\n"
    )
}

/// One ingress rule for every peer in the cluster.
fn from_all(action: &str) -> String {
    format!("ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]")
}
