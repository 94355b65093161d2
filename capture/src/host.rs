//! What the agent says of the host itself: its name and its own addresses.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// The host's name, as a node without a better one is called.
#[must_use]
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Every address of the host's own links: gateway, bridge and tunnel addresses included, loopback not.
///
/// Read in the agent's own network namespace, so the agent must run in the host's.
///
/// # Errors
/// Where the kernel does not list the links.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let addresses: BTreeSet<IpAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .map(|link| link.ip().to_canonical())
        .filter(|address| !address.is_loopback())
        .collect();
    Ok(addresses.into_iter().collect())
}
