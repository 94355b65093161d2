//! Secondary networks: interfaces that Multus or another plugin adds to a pod beside its default network.
//!
//! NetworkPolicies hold for the default network only. The addresses on the others are in an annotation, by the "Kubernetes Network
//! Custom Resource Definition De-facto Standard" of the Network Plumbing Working Group, version 1.3, section 5.

use std::net::IpAddr;

use serde::Deserialize;

/// The annotation: a list of the networks of a pod in JSON.
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// Its former name.
pub(super) const FORMER_NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/networks-status";

/// An address of a pod on a secondary network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecondaryAddress {
    /// The address.
    pub ip: IpAddr,
    /// The network's name: `shop/replication`.
    pub network: String,
}

/// An entry of the annotation.
#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    ips: Option<Vec<String>>,
    #[serde(default)]
    default: bool,
}

/// Reads the annotation. `own` are the addresses in the pod's status, which are never secondary.
///
/// # Errors
/// If the text is not a list of networks in JSON.
pub(super) fn addresses(text: &str, own: &[IpAddr]) -> Result<Vec<SecondaryAddress>, serde_json::Error> {
    let entries: Vec<Entry> = serde_json::from_str(text)?;
    let mut found = Vec::new();
    for Entry { name, ips, .. } in entries.into_iter().filter(|entry| !entry.default) {
        // Some plugins write the length of the prefix as well.
        let ips = ips.iter().flatten().filter_map(|ip| ip.split('/').next()?.parse::<IpAddr>().ok());
        for ip in ips.map(|ip| ip.to_canonical()).filter(|ip| !own.contains(ip)) {
            found.push(SecondaryAddress { ip, network: name.clone().unwrap_or_default() });
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn the_addresses_of_every_network_but_the_default_one_are_secondary() {
        let default = r#"{"name": "cluster", "interface": "eth0", "ips": ["10.1.1.5"], "default": true}"#;
        for (annotation, expected) in [
            ("[]".to_owned(), Some("")),
            (format!("[{default}]"), Some("")),
            (format!(r#"[{default}, {{"name": "shop/repl", "ips": ["172.31.0.5"]}}]"#), Some("shop/repl 172.31.0.5")),
            (
                format!(r#"[{default}, {{"name": "a", "ips": ["172.31.0.5/24", "fd00::5"]}}, {{"name": "b"}}]"#),
                Some("a 172.31.0.5, a fd00::5"),
            ),
            (r#"[{"ips": ["::ffff:172.31.0.5"], "default": false}]"#.to_owned(), Some(" 172.31.0.5")),
            // The pod's own address is on the default network, even if no entry says so.
            (r#"[{"name": "a", "ips": ["10.1.1.5", "172.31.0.5"]}]"#.to_owned(), Some("a 172.31.0.5")),
            (r#"[{"name": "a", "ips": ["host", ""]}]"#.to_owned(), Some("")),
            (r#"[{"name": "a", "ips": null}]"#.to_owned(), Some("")),
            (String::new(), None),
            ("{}".to_owned(), None),
            ("null".to_owned(), None),
            (r#"[{"ips": "172.31.0.5"}]"#.to_owned(), None),
            (r#"[{"ips": ["172.31.0.5"]"#.to_owned(), None),
        ] {
            let found = addresses(&annotation, &["10.1.1.5".parse().unwrap()]).ok();
            let found = found.map(|all| {
                let all: Vec<String> = all.iter().map(|it| format!("{} {}", it.network, it.ip)).collect();
                all.join(", ")
            });
            assert_eq!(found.as_deref(), expected, "{annotation}");
        }
    }
}
