//! The listening half of a part: answers whatever it is asked.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;

use foretell_policy::flow::Protocol;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::part::Listener;

/// What every request is answered with over TCP.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nmuch obliged";

/// Binds and listens, and answers from then on in threads of its own.
///
/// # Errors
/// Where the address cannot be bound.
pub fn start(listener: &Listener) -> io::Result<()> {
    match listener.protocol {
        Protocol::Tcp => {
            let socket = bound(listener, Type::STREAM)?;
            socket.listen(64)?;
            let socket: TcpListener = socket.into();
            thread::spawn(move || {
                for connection in socket.incoming().flatten() {
                    // Who goes away in the middle is nobody's trouble here: the caller tells of its own.
                    thread::spawn(move || answer(connection));
                }
            });
        }
        Protocol::Udp | Protocol::Sctp => {
            let socket: UdpSocket = bound(listener, Type::DGRAM)?.into();
            thread::spawn(move || {
                let mut question = [0; 512];
                while let Ok((length, asker)) = socket.recv_from(&mut question) {
                    let answer = question[..length].repeat(2);
                    let _gone = socket.send_to(&answer, asker);
                }
            });
        }
    }
    Ok(())
}

/// A socket bound to an address that is routed here, and, in the case of IPv6, on no link.
///
/// # Errors
/// Where the kernel refuses.
pub fn bound(listener: &Listener, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(listener.at), kind, None)?;
    if listener.at.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SockAddr::from(listener.at))?;
    Ok(socket)
}

fn answer(mut connection: TcpStream) {
    let mut request = [0; 1024];
    // A request is shorter than a segment here: one read is one request.
    while let Ok(1..) = connection.read(&mut request) {
        if connection.write_all(ANSWER).is_err() {
            return;
        }
    }
}
