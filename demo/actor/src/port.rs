//! A port and its protocol, as Kubernetes writes them: `8080`, `53/UDP`.

use std::fmt;
use std::str::FromStr;

/// The transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Its transport protocol.
    pub protocol: Protocol,
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((number, "TCP")) => (number, Protocol::Tcp),
            Some((number, "UDP")) => (number, Protocol::Udp),
            Some((_, other)) => return Err(format!("{other:?} is not a protocol: write TCP or UDP")),
        };
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self { number, protocol }),
            _ => Err(format!("{number:?} is not a port: write a number from 1 to 65535")),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_the_form_of_kubernetes() {
        for (text, number, protocol) in
            [("8080", 8080, Protocol::Tcp), ("443/TCP", 443, Protocol::Tcp), ("53/UDP", 53, Protocol::Udp)]
        {
            assert_eq!(text.parse(), Ok(Port { number, protocol }));
        }
        for bad in ["", "0", "65536", "http", "53/udp", "53/", "/UDP"] {
            assert!(bad.parse::<Port>().is_err(), "{bad}");
        }
    }
}
