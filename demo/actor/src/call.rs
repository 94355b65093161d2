//! The calling half.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::args::{Call, Connection, Expected, Whom};
use crate::port::Protocol;
use crate::serve::ANSWER;

/// How long a connection or an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"may I have some?\n";

/// How a caller does its work.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The address it calls from; `None`: the one that the route has.
    pub from: Option<IpAddr>,
    /// After so many calls that went as they should it is done; `None`: never.
    pub times: Option<u32>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// What should.
    AsExpected,
    /// Something else, in words.
    Otherwise(String),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// Calls again and again until it is done. What comes of it is told where it differs from the time before.
pub fn keep_calling(call: &Call, manner: Manner, tell: impl Fn(&str)) {
    let mut held = None;
    let mut told = None;
    let mut done = 0;
    loop {
        let began = Instant::now();
        let outcome = judge(call.expected, once(call, manner.from, &mut held));
        if outcome == Outcome::AsExpected {
            done += 1;
        }
        if told.as_ref() != Some(&outcome) {
            match (&outcome, call.expected) {
                (Outcome::AsExpected, Expected::Answer) => tell(&format!("{call} answers")),
                (Outcome::AsExpected, Expected::Refusal) => tell(&format!("{call} refuses, as it should")),
                (Outcome::Otherwise(problem), _) => tell(&format!("{call}: {problem}")),
            }
            told = Some(outcome);
        }
        if manner.times.is_some_and(|times| done >= times) {
            return;
        }
        // A pace, not a debt: what a slow machine has missed is not made up for.
        thread::sleep(call.every.saturating_sub(began.elapsed()));
    }
}

fn judge(expected: Expected, result: io::Result<()>) -> Outcome {
    match (expected, result) {
        (Expected::Answer, Ok(())) => Outcome::AsExpected,
        (Expected::Refusal, Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::AsExpected,
        (_, Err(error)) => Outcome::Otherwise(error.to_string()),
        (Expected::Refusal, Ok(())) => Outcome::Otherwise("answers, and should refuse".to_owned()),
    }
}

/// Calls once; each address where each is to be called, and then all of them, whatever came of the one before.
fn once(call: &Call, from: Option<IpAddr>, held: &mut Option<TcpStream>) -> io::Result<()> {
    // What is held needs no name until it breaks.
    if let Some(mut connection) = held.take() {
        ask(&mut connection)?;
        *held = Some(connection);
        return Ok(());
    }
    let addresses = (call.name.as_str(), call.port.number)
        .to_socket_addrs()?
        .filter(|address| from.is_none_or(|from| from.is_ipv4() == address.is_ipv4()));
    let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address of the right family"));
    for address in addresses {
        let this = match call.port.protocol {
            Protocol::Tcp => connect(from, address).and_then(|mut connection| {
                ask(&mut connection)?;
                if call.connection == Connection::Held {
                    *held = Some(connection);
                }
                Ok(())
            }),
            Protocol::Udp => ask_by_datagram(from, address),
        };
        match call.whom {
            Whom::One if this.is_ok() => return this,
            // The first that failed is what is told, unless all went well.
            Whom::Each if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) => {}
            Whom::One | Whom::Each => result = this,
        }
    }
    result
}

fn connect(from: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = own_end(from, to, Type::STREAM)?;
    socket.connect_timeout(&SockAddr::from(to), PATIENCE)?;
    let connection: TcpStream = socket.into();
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

fn ask(connection: &mut TcpStream) -> io::Result<()> {
    connection.write_all(REQUEST)?;
    connection.read_exact(&mut [0; ANSWER.len()])
}

fn ask_by_datagram(from: Option<IpAddr>, to: SocketAddr) -> io::Result<()> {
    let socket: UdpSocket = own_end(from, to, Type::DGRAM)?.into();
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(REQUEST)?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}

/// A socket of any free port of the caller's address.
fn own_end(from: Option<IpAddr>, to: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), kind, None)?;
    if let Some(from) = from {
        socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    }
    Ok(socket)
}
