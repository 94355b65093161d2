//! Which proxy leads to an API server, by the environment variables that kubectl and other Go programs read.
//!
//! kube's client reads them too, but compares `NO_PROXY` with the URL of the proxy in place of the server's.

use std::env;
use std::net::IpAddr;

use http::Uri;
use http::uri::InvalidUri;
use ipnet::IpNet;

/// The proxy for a server, if the kubeconfig names none.
pub(super) fn of(server: &Uri) -> Result<Option<Uri>, InvalidUri> {
    let variable = |name: &str| {
        let value = env::var(name).or_else(|_| env::var(name.to_ascii_lowercase())).unwrap_or_default();
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let proxy = if server.scheme_str() == Some("http") { variable("HTTP_PROXY") } else { variable("HTTPS_PROXY") };
    let Some(proxy) = proxy else { return Ok(None) };
    let host = server.host().unwrap_or_default();
    if is_direct(host, &variable("NO_PROXY").unwrap_or_default()) {
        return Ok(None);
    }
    let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
    proxy.parse().map(Some)
}

/// Whether a host is reached without a proxy: it is this machine, or `NO_PROXY` names it.
fn is_direct(host: &str, exceptions: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let ip: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    exceptions.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        let (name, _) = entry.rsplit_once(':').filter(|_| !entry.contains("::")).unwrap_or((&entry, ""));
        match (ip, entry.parse::<IpNet>(), name.parse::<IpAddr>()) {
            _ if entry == "*" => true,
            (Some(ip), Ok(range), _) => range.contains(&ip),
            (Some(ip), _, Ok(same)) => ip == same,
            (Some(_), ..) => false,
            (None, ..) => {
                let domain = name.trim_start_matches("*.").trim_start_matches('.');
                let is_below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
                is_below || (host == domain && !name.starts_with('.'))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::is_direct;

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (host, exceptions, direct) in [
            ("api.example.com", "", false),
            ("localhost", "", true),
            ("127.0.0.1", "", true),
            ("[::1]", "", true),
            ("api.example.com", "*", true),
            ("api.example.com", "example.com", true),
            ("api.example.com", ".example.com", true),
            ("api.example.com", "*.example.com", true),
            ("example.com", ".example.com", false),
            ("example.com", "example.com", true),
            ("badexample.com", "example.com", false),
            ("API.example.com.", "other, api.EXAMPLE.com:443", true),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("10.1.2.3", "192.168.0.0/16,,10.1.2.3:6443", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("[fd00::7]", "fd00::/8", true),
            ("[fd00::7]", "fd00::7", true),
        ] {
            assert_eq!(is_direct(host, exceptions), direct, "{host} with NO_PROXY={exceptions}");
        }
    }
}
