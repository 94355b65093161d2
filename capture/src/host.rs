//! The host's name and addresses.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// The host's name, which is the default name of the node.
#[must_use]
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The addresses of the host's network interfaces. Gateway, bridge and tunnel addresses are included, loopback is not.
///
/// They are read in the agent's network namespace, so the agent must run in that of the host.
///
/// # Errors
/// If the kernel does not list the interfaces.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let addresses: BTreeSet<IpAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .map(|interface| interface.ip().to_canonical())
        .filter(|address| !address.is_loopback())
        .collect();
    Ok(addresses.into_iter().collect())
}
