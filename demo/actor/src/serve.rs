//! Listens and answers every request.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::port::{Port, Protocol};

/// The answer to every request.
pub const ANSWER: &[u8] = b"demo answer.\n";
/// Maximum number of open connections of a port. A further one is closed at once.
const MAX_CONNECTIONS: usize = 256;
/// A connection without a request for this long is closed.
const IDLE: Duration = Duration::from_mins(2);

/// Listens on the port and answers requests in other threads. Returns the address.
///
/// # Errors
/// If the port cannot be bound.
pub fn start(address: Option<IpAddr>, port: Port) -> io::Result<SocketAddr> {
    match port.protocol {
        Protocol::Tcp => {
            let socket = bind_socket(address, port.number, Type::STREAM)?;
            socket.listen(128)?;
            let listener: TcpListener = socket.into();
            let at = listener.local_addr()?;
            thread::spawn(move || accept(&listener));
            Ok(at)
        }
        Protocol::Udp => {
            let socket: UdpSocket = bind_socket(address, port.number, Type::DGRAM)?.into();
            let at = socket.local_addr()?;
            thread::spawn(move || {
                let mut request = [0; 512];
                loop {
                    // An error here is about an earlier answer that could not be delivered.
                    if let Ok((_, client)) = socket.recv_from(&mut request) {
                        let _gone = socket.send_to(ANSWER, client);
                    }
                }
            });
            Ok(at)
        }
    }
}

/// A socket on a port of one address, or of all addresses of both IP families if the kernel supports IPv6.
fn bind_socket(address: Option<IpAddr>, port: u16, kind: Type) -> io::Result<Socket> {
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
            result => result,
        },
    }
}

fn accept(listener: &TcpListener) {
    let open = Arc::new(AtomicUsize::new(0));
    for connection in listener.incoming().flatten() {
        if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let open = Arc::clone(&open);
        thread::spawn(move || {
            // A client may disconnect at any time. It reports its own errors.
            let _gone = answer(connection);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn answer(mut connection: TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(IDLE))?;
    connection.set_write_timeout(Some(IDLE))?;
    let mut request = [0; 1024];
    // A request is shorter than a segment, so one read returns one request.
    while connection.read(&mut request)? > 0 {
        connection.write_all(ANSWER)?;
    }
    Ok(())
}
