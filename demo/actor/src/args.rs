//! Command line.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Parser};

use crate::port::Port;

/// Listens, answers and calls: the program in every container of the demo's shop.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-demo", version)]
#[command(group = ArgGroup::new("task").required(true).multiple(true).args(["listen", "call"]))]
pub struct Args {
    /// Answers every request on this port: 8080, 53/UDP.
    #[arg(long, value_name = "PORT")]
    pub listen: Vec<Port>,

    /// Calls NAME:PORT repeatedly: `checkout.shop:80,every=2s`. `each`: call every address of the name, not just one;
    /// `keep-alive`: use one connection for all calls; `refused`: expect that the connection is refused.
    #[arg(long, value_name = "NAME:PORT[,every=SPAN][,each][,keep-alive][,refused]")]
    pub call: Vec<Call>,

    /// Address to listen on and to call from [default: listen on all addresses, call from the address of the route]
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<IpAddr>,

    /// Stop calling after each call has had its expected result this many times.
    #[arg(long, value_name = "N", requires = "call", value_parser = clap::value_parser!(u32).range(1..))]
    pub times: Option<u32>,

    /// How long the program continues to run after the last of --times calls.
    #[arg(long, value_name = "SPAN", requires = "times", default_value = "0s", value_parser = span)]
    pub linger: Duration,
}

/// What to call, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// A DNS name or an address.
    pub name: String,
    /// The port.
    pub port: Port,
    /// Time between the starts of two calls.
    pub every: Duration,
    /// Which addresses of the name to call.
    pub addresses: Addresses,
    /// Whether to use one connection for all calls.
    pub connection: Connection,
    /// The expected result.
    pub expected: Expected,
}

/// Which addresses of a name are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// The first one that answers.
    First,
    /// All of them.
    Each,
}

/// The connections of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// A new one for each call.
    New,
    /// One connection for all calls, until it breaks.
    KeepAlive,
}

/// The expected result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An answer.
    Answer,
    /// The connection is refused.
    Refusal,
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(',');
        let target = words.next().unwrap_or_default();
        let (name, port) = target.rsplit_once(':').ok_or_else(|| format!("{target:?} is not NAME:PORT"))?;
        // An IPv6 address is written in brackets, as in a URL.
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if name.is_empty() {
            return Err(format!("{target:?} has no name before the port"));
        }
        let mut call = Self {
            name: name.to_owned(),
            port: port.parse()?,
            every: Duration::from_secs(1),
            addresses: Addresses::First,
            connection: Connection::New,
            expected: Expected::Answer,
        };
        for word in words {
            match word.split_once('=') {
                Some(("every", every)) => call.every = span(every)?,
                None if word == "each" => call.addresses = Addresses::Each,
                None if word == "keep-alive" => call.connection = Connection::KeepAlive,
                None if word == "refused" => call.expected = Expected::Refusal,
                _ => return Err(format!("{word:?} is not an option: use every=SPAN, each, keep-alive or refused")),
            }
        }
        if call.addresses == Addresses::Each && call.connection == Connection::KeepAlive {
            return Err("each and keep-alive cannot be combined: one connection has one address".to_owned());
        }
        Ok(call)
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}; write it like 10s or 500ms"))?;
    Duration::try_from(span).map_err(|_| format!("{text} is before now"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::port::Protocol;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_call_is_a_target_with_options() {
        let call: Call = "payments.payments:9102,every=1500ms,each".parse().unwrap();
        assert_eq!(call.name, "payments.payments");
        assert_eq!(call.port, Port { number: 9102, protocol: Protocol::Tcp });
        assert_eq!(call.every, Duration::from_millis(1500));
        assert_eq!(
            (call.addresses, call.connection, call.expected),
            (Addresses::Each, Connection::New, Expected::Answer)
        );
        let call: Call = "[fd00::1]:53/UDP,refused".parse().unwrap();
        assert_eq!(
            (call.name.as_str(), call.port.protocol, call.expected),
            ("fd00::1", Protocol::Udp, Expected::Refusal)
        );
        for bad in
            ["", "payments", ":80", "a:0", "a:1,often", "a:1,every=", "a:1,every=-1s", "a:1,each,keep-alive", "a:1,"]
        {
            assert!(bad.parse::<Call>().is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_without_listen_and_call_are_rejected() {
        for bad in [vec![], vec!["--from", "10.0.0.1"], vec!["--listen", "80", "--times", "1"]] {
            assert!(Args::try_parse_from([vec!["foretell-demo"], bad.clone()].concat()).is_err(), "{bad:?}");
        }
    }
}
