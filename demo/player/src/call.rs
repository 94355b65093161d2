//! The calling half of a part.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use foretell_policy::flow::Protocol;
use socket2::{SockAddr, Type};

use crate::curtain::Curtain;
use crate::part::{Dial, Listener, Round};
use crate::scenario::{Answer, Connection};
use crate::serve::{ANSWER, bound};

/// How long a connection or an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: shop\r\naccept: text/plain\r\n\r\n";

/// A call that did not go as the scenario says.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It failed.
    #[error("{call}: {problem}")]
    Failed {
        /// Which.
        call: String,
        /// How.
        problem: io::Error,
    },
    /// It should have failed.
    #[error("{0}: was answered, and should have been refused")]
    Answered(String),
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}/{}", self.from, self.to, self.protocol)
    }
}

/// Calls in turn until the curtain falls, and tells of each call that did not go as the scenario says.
pub fn go_round(round: &Round, curtain: &Curtain, tell: impl Fn(&CallError)) {
    let mut held: Vec<Option<TcpStream>> = round.dials.iter().map(|_| None).collect();
    let mut next = Instant::now() + round.first_after;
    let mut turn = 0;
    while !curtain.wait(next.saturating_duration_since(Instant::now())) {
        let index = turn % round.dials.len();
        let dial = &round.dials[index];
        let outcome = match round.connection {
            Connection::Each => call(dial),
            Connection::Held => call_on(&mut held[index], dial),
        };
        match (outcome, round.answer) {
            (Err(problem), Answer::Given) => tell(&CallError::Failed { call: dial.to_string(), problem }),
            (Err(problem), Answer::Refused) if problem.kind() != io::ErrorKind::ConnectionRefused => {
                tell(&CallError::Failed { call: dial.to_string(), problem });
            }
            (Ok(()), Answer::Refused) => tell(&CallError::Answered(dial.to_string())),
            (Ok(()), Answer::Given) | (Err(_), Answer::Refused) => {}
        }
        turn += 1;
        // A pace, not a debt: what a slow machine has missed is not made up for.
        next = (next + round.every).max(Instant::now());
    }
}

/// Calls once.
///
/// # Errors
/// Where nobody answers.
pub fn call(dial: &Dial) -> io::Result<()> {
    match dial.protocol {
        Protocol::Tcp => ask(&mut connect(dial)?),
        Protocol::Udp | Protocol::Sctp => ask_by_datagram(dial),
    }
}

/// Asks on a connection that is kept, opening it where there is none.
fn call_on(held: &mut Option<TcpStream>, dial: &Dial) -> io::Result<()> {
    let mut connection = match held.take() {
        Some(connection) => connection,
        None => connect(dial)?,
    };
    ask(&mut connection)?;
    *held = Some(connection);
    Ok(())
}

fn connect(dial: &Dial) -> io::Result<TcpStream> {
    let socket = bound(&own_end(dial), Type::STREAM)?;
    socket.connect_timeout(&SockAddr::from(dial.to), PATIENCE)?;
    let connection: TcpStream = socket.into();
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}

fn ask(connection: &mut TcpStream) -> io::Result<()> {
    connection.write_all(REQUEST)?;
    let mut answer = [0; ANSWER.len()];
    connection.read_exact(&mut answer)
}

fn ask_by_datagram(dial: &Dial) -> io::Result<()> {
    let socket: UdpSocket = bound(&own_end(dial), Type::DGRAM)?.into();
    socket.connect(dial.to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"where is payments.payments.svc.cluster.local?")?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}

/// Any free port of the caller's address.
fn own_end(dial: &Dial) -> Listener {
    Listener { at: SocketAddr::new(dial.from, 0), protocol: dial.protocol }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Mutex;

    use super::*;
    use crate::serve;

    fn dial(to: &str, protocol: Protocol) -> Dial {
        Dial { from: "127.0.0.1".parse().unwrap(), to: to.parse().unwrap(), protocol }
    }

    /// A port that is free now.
    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn a_server_answers_over_tcp_and_udp() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let at = format!("127.0.0.9:{}", free_port());
            serve::start(&Listener { at: at.parse().unwrap(), protocol }).unwrap();
            call(&dial(&at, protocol)).unwrap();
        }
    }

    /// Calls a port where nobody listens for a while, at most until the first surprise.
    fn surprises(answer: Answer, most: Duration) -> Vec<String> {
        let dials = vec![dial(&format!("127.0.0.1:{}", free_port()), Protocol::Tcp)];
        let (first_after, every, connection) = (Duration::ZERO, Duration::from_millis(1), Connection::Each);
        let round = Round { dials, first_after, every, connection, answer };
        let curtain = Curtain::default();
        let told = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                go_round(&round, &curtain, |error| {
                    told.lock().unwrap().push(error.to_string());
                    curtain.fall();
                });
            });
            let _fallen = curtain.wait(most);
            curtain.fall();
        });
        told.into_inner().unwrap()
    }

    #[test]
    fn a_round_tells_of_calls_that_did_not_go_as_expected_and_ends_with_the_curtain() {
        assert!(surprises(Answer::Given, Duration::from_mins(1))[0].contains("refused"));
        assert!(surprises(Answer::Refused, Duration::from_millis(50)).is_empty());
    }
}
