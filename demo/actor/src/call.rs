//! Calls other programs.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::args::{Addresses, Call, Connection, Expected};
use crate::port::Protocol;
use crate::serve::ANSWER;

/// How long a connection or an answer may take. A busy machine can be slow.
const TIMEOUT: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"a demo's request\n";

/// Options of all calls.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    /// The source address; `None` for the address of the route.
    pub from: Option<IpAddr>,
    /// Stop after this many calls with the expected result; `None` to never stop.
    pub times: Option<u32>,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// The expected result.
    Expected,
    /// Another result, with its description.
    Unexpected(String),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// Calls repeatedly. Logs a result if it differs from the previous one.
pub fn keep_calling(call: &Call, options: CallOptions, log: impl Fn(&str)) {
    let mut kept = None;
    let mut logged = None;
    let mut successes = 0;
    loop {
        let began = Instant::now();
        let outcome = judge(call.expected, call_once(call, options.from, &mut kept));
        if outcome == Outcome::Expected {
            successes += 1;
        }
        if logged.as_ref() != Some(&outcome) {
            match (&outcome, call.expected) {
                (Outcome::Expected, Expected::Answer) => log(&format!("{call} answers")),
                (Outcome::Expected, Expected::Refusal) => log(&format!("{call} refuses, as expected")),
                (Outcome::Unexpected(problem), _) => log(&format!("{call}: {problem}")),
            }
            logged = Some(outcome);
        }
        if options.times.is_some_and(|times| successes >= times) {
            return;
        }
        // If a call takes longer than the interval, the missed calls are not caught up.
        thread::sleep(call.every.saturating_sub(began.elapsed()));
    }
}

fn judge(expected: Expected, result: io::Result<()>) -> Outcome {
    match (expected, result) {
        (Expected::Answer, Ok(())) => Outcome::Expected,
        (Expected::Refusal, Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Expected,
        (_, Err(error)) => Outcome::Unexpected(error.to_string()),
        (Expected::Refusal, Ok(())) => Outcome::Unexpected("answers, but should refuse".to_owned()),
    }
}

/// Calls once: the first address that answers, or each address even if another one failed.
fn call_once(call: &Call, from: Option<IpAddr>, kept: &mut Option<TcpStream>) -> io::Result<()> {
    // The name is not resolved while the connection is open.
    if let Some(mut connection) = kept.take() {
        request(&mut connection)?;
        *kept = Some(connection);
        return Ok(());
    }
    let addresses = (call.name.as_str(), call.port.number)
        .to_socket_addrs()?
        .filter(|address| from.is_none_or(|from| from.is_ipv4() == address.is_ipv4()));
    let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address of the IP family of --from"));
    for address in addresses {
        let this = match call.port.protocol {
            Protocol::Tcp => connect(from, address).and_then(|mut connection| {
                request(&mut connection)?;
                if call.connection == Connection::KeepAlive {
                    *kept = Some(connection);
                }
                Ok(())
            }),
            Protocol::Udp => request_by_datagram(from, address),
        };
        match call.addresses {
            Addresses::First if this.is_ok() => return this,
            // The result is the first failure, or the success of all.
            Addresses::Each if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) => {}
            Addresses::First | Addresses::Each => result = this,
        }
    }
    result
}

fn connect(from: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = local_socket(from, to, Type::STREAM)?;
    socket.connect_timeout(&SockAddr::from(to), TIMEOUT)?;
    let connection: TcpStream = socket.into();
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    Ok(connection)
}

fn request(connection: &mut TcpStream) -> io::Result<()> {
    connection.write_all(REQUEST)?;
    connection.read_exact(&mut [0; ANSWER.len()])
}

fn request_by_datagram(from: Option<IpAddr>, to: SocketAddr) -> io::Result<()> {
    let socket: UdpSocket = local_socket(from, to, Type::DGRAM)?.into();
    socket.connect(to)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.send(REQUEST)?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}

/// A socket with a free port of the source address.
fn local_socket(from: Option<IpAddr>, to: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), kind, None)?;
    if let Some(from) = from {
        socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    }
    Ok(socket)
}
