//! The listening half: answers whatever it is asked.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::port::{Port, Protocol};

/// What every request is answered with.
pub const ANSWER: &[u8] = b"much obliged\n";
/// Connections answered at once on one port; a further one is closed at once, which its caller notices.
const MOST_CONNECTIONS: usize = 256;
/// A connection on which nothing is asked for this long is closed.
const IDLE: Duration = Duration::from_mins(2);

/// Binds and listens, and answers from then on in threads of its own. Returns where.
///
/// # Errors
/// Where the port cannot be bound.
pub fn start(address: Option<IpAddr>, port: Port) -> io::Result<SocketAddr> {
    match port.protocol {
        Protocol::Tcp => {
            let socket = bound(address, port.number, Type::STREAM)?;
            socket.listen(128)?;
            let listener: TcpListener = socket.into();
            let at = listener.local_addr()?;
            thread::spawn(move || accept(&listener));
            Ok(at)
        }
        Protocol::Udp => {
            let socket: UdpSocket = bound(address, port.number, Type::DGRAM)?.into();
            let at = socket.local_addr()?;
            thread::spawn(move || {
                let mut request = [0; 512];
                loop {
                    // An error here tells of an earlier answer that could not be delivered.
                    if let Ok((_, asker)) = socket.recv_from(&mut request) {
                        let _gone = socket.send_to(ANSWER, asker);
                    }
                }
            });
            Ok(at)
        }
    }
}

/// A socket on a port of one address, or of all: those of both families, where the kernel has IPv6.
fn bound(address: Option<IpAddr>, port: u16, kind: Type) -> io::Result<Socket> {
    let bind = |address: IpAddr| {
        let at = SocketAddr::new(address, port);
        let socket = Socket::new(Domain::for_address(at), kind, None)?;
        if at.is_ipv6() {
            socket.set_only_v6(address != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
        }
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&SockAddr::from(at))?;
        Ok(socket)
    };
    match address {
        Some(address) => bind(address),
        None => match bind(Ipv6Addr::UNSPECIFIED.into()) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => bind(Ipv4Addr::UNSPECIFIED.into()),
            bound => bound,
        },
    }
}

fn accept(listener: &TcpListener) {
    let open = Arc::new(AtomicUsize::new(0));
    for connection in listener.incoming().flatten() {
        if open.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let open = Arc::clone(&open);
        thread::spawn(move || {
            // Who goes away in the middle is nobody's trouble here: the caller tells of its own.
            let _gone = answer(connection);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn answer(mut connection: TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(IDLE))?;
    connection.set_write_timeout(Some(IDLE))?;
    let mut request = [0; 1024];
    // A request is shorter than a segment here: one read is one request.
    while connection.read(&mut request)? > 0 {
        connection.write_all(ANSWER)?;
    }
    Ok(())
}
