//! Command line.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Parser};

use crate::port::Port;

/// Listens, answers, and calls others: one program for every container of the demo's shop.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-demo", version)]
#[command(group = ArgGroup::new("part").required(true).multiple(true).args(["listen", "call"]))]
pub struct Args {
    /// Answers whatever is asked on this port: 8080, 53/UDP.
    #[arg(long, value_name = "PORT")]
    pub listen: Vec<Port>,

    /// Calls NAME:PORT every so often: `checkout.shop:80,every=2s`; `each`: every address of the name, not one of them;
    /// `held`: over one connection that is kept; `refused`: nobody should be there.
    #[arg(long, value_name = "NAME:PORT[,every=SPAN][,each][,held][,refused]")]
    pub call: Vec<Call>,

    /// Address to listen on and to call from [default: all of them, and the one that the route has].
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<IpAddr>,

    /// Stops calling once each call has gone this often as it should.
    #[arg(long, value_name = "N", requires = "call", value_parser = clap::value_parser!(u32).range(1..))]
    pub times: Option<u32>,

    /// How long it still runs after the last of --times calls.
    #[arg(long, value_name = "SPAN", requires = "times", default_value = "0s", value_parser = span)]
    pub linger: Duration,
}

/// Whom to call, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// A name that DNS knows, or an address.
    pub name: String,
    /// The port there.
    pub port: Port,
    /// How often.
    pub every: Duration,
    /// Which of the name's addresses.
    pub whom: Whom,
    /// Over which connection.
    pub connection: Connection,
    /// What should come of it.
    pub expected: Expected,
}

/// Which addresses of a name are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The first that answers.
    One,
    /// Each of them.
    Each,
}

/// Over which connection is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// A new one for each call.
    New,
    /// One that is kept for as long as it lasts.
    Held,
}

/// What should come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An answer.
    Answer,
    /// Nobody listens there.
    Refusal,
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(',');
        let target = words.next().unwrap_or_default();
        let (name, port) = target.rsplit_once(':').ok_or_else(|| format!("{target:?} is not NAME:PORT"))?;
        // An address of IPv6 stands in brackets, as in a URL.
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        if name.is_empty() {
            return Err(format!("{target:?} names nobody"));
        }
        let mut call = Self {
            name: name.to_owned(),
            port: port.parse()?,
            every: Duration::from_secs(1),
            whom: Whom::One,
            connection: Connection::New,
            expected: Expected::Answer,
        };
        for word in words {
            match word.split_once('=') {
                Some(("every", every)) => call.every = span(every)?,
                None if word == "each" => call.whom = Whom::Each,
                None if word == "held" => call.connection = Connection::Held,
                None if word == "refused" => call.expected = Expected::Refusal,
                _ => return Err(format!("{word:?} is none of every=SPAN, each, held, refused")),
            }
        }
        if call.whom == Whom::Each && call.connection == Connection::Held {
            return Err("one connection is held to one address: each and held exclude each other".to_owned());
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
    fn a_call_is_a_target_and_words() {
        let call: Call = "payments.payments:9102,every=1500ms,each".parse().unwrap();
        assert_eq!(call.name, "payments.payments");
        assert_eq!(call.port, Port { number: 9102, protocol: Protocol::Tcp });
        assert_eq!(call.every, Duration::from_millis(1500));
        assert_eq!((call.whom, call.connection, call.expected), (Whom::Each, Connection::New, Expected::Answer));
        let call: Call = "[fd00::1]:53/UDP,refused".parse().unwrap();
        assert_eq!(
            (call.name.as_str(), call.port.protocol, call.expected),
            ("fd00::1", Protocol::Udp, Expected::Refusal)
        );
        for bad in ["", "payments", ":80", "a:0", "a:1,often", "a:1,every=", "a:1,every=-1s", "a:1,each,held", "a:1,"] {
            assert!(bad.parse::<Call>().is_err(), "{bad}");
        }
    }

    #[test]
    fn somebody_who_neither_listens_nor_calls_is_refused() {
        for bad in [vec![], vec!["--from", "10.0.0.1"], vec!["--listen", "80", "--times", "1"]] {
            assert!(Args::try_parse_from([vec!["foretell-demo"], bad.clone()].concat()).is_err(), "{bad:?}");
        }
    }
}
