//! The process of a pod. It runs one command per line of its standard input, and prints one answer per line.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const SCTP: i32 = 132;

/// Marks the answers in the output of the test harness.
pub(crate) const ANSWER: &str = "@";

/// Runs commands until the standard input ends.
pub(crate) fn serve() {
    let mut open = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match run(&words, &mut open) {
            Ok(text) => format!("ok {text}"),
            Err(error) => format!("error {error}"),
        };
        // The harness may have printed a part of a line before.
        println!("\n{ANSWER}{answer}");
        io::stdout().flush().unwrap();
    }
}

fn run(words: &[&str], open: &mut Vec<Socket>) -> io::Result<String> {
    match *words {
        ["tcp-listen", at] => tcp_listen(at.parse().unwrap()),
        ["tcp-send", from, to, bytes] => tcp_send(from.parse().unwrap(), to.parse().unwrap(), bytes.parse().unwrap()),
        ["tcp-open", from, to] => {
            let stream = tcp_connect(from.parse().unwrap(), to.parse().unwrap())?;
            open.push(stream);
            Ok(String::new())
        }
        ["tcp-exchange", bytes] => tcp_exchange(open.last().unwrap(), bytes.parse().unwrap()),
        ["tcp-rounds", from, to, count] => {
            let stream = tcp_connect(from.parse().unwrap(), to.parse().unwrap())?;
            (0..count.parse::<u32>().unwrap()).try_for_each(|_| tcp_exchange(&stream, 1).map(drop))?;
            Ok(String::new())
        }
        ["tcp-rate", from, to, milliseconds] => {
            let stream = tcp_connect(from.parse().unwrap(), to.parse().unwrap())?;
            tcp_rate(&stream, Duration::from_millis(milliseconds.parse().unwrap()))
        }
        ["icmp-send", from, to, count] => icmp_send(from.parse().unwrap(), to.parse().unwrap(), count.parse().unwrap()),
        ["udp-open", from, to] => {
            let socket = udp_socket(from.parse().unwrap())?;
            socket.connect(to.parse::<SocketAddr>().unwrap())?;
            open.push(socket.into());
            Ok(String::new())
        }
        ["udp-flood", from, to, count, ports] => {
            udp_flood(from.parse().unwrap(), to.parse().unwrap(), count.parse().unwrap(), ports.parse().unwrap())
        }
        ["udp-listen", at, answers] => udp_listen(at.parse().unwrap(), answers == "answering"),
        ["udp-send", from, to, count, answers] => {
            udp_send(from.parse().unwrap(), to.parse().unwrap(), count.parse().unwrap(), answers == "answered")
        }
        ["sctp-listen", at] => {
            open.push(sctp_socket(at.parse().unwrap())?);
            Ok(String::new())
        }
        ["sctp-send", from, to, source_port, port, chunk] => sctp_send(
            from.parse().unwrap(),
            to.parse().unwrap(),
            [source_port.parse().unwrap(), port.parse().unwrap()],
            chunk.parse().unwrap(),
        ),
        ["raw-send", to, packet] => raw_send(to.parse().unwrap(), packet),
        _ => panic!("unknown command {words:?}"),
    }
}

fn tcp_socket(at: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(at), Type::STREAM, None)
}

/// Accepts connections, and echoes each until its client closes it.
fn tcp_listen(at: SocketAddr) -> io::Result<String> {
    let socket = tcp_socket(at)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    socket.listen(64)?;
    thread::spawn(move || {
        let listener = std::net::TcpListener::from(socket);
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    Ok(String::new())
}

fn tcp_connect(from: IpAddr, to: SocketAddr) -> io::Result<Socket> {
    let socket = tcp_socket(to)?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect_timeout(&to.into(), ANSWER_WITHIN)?;
    Ok(socket)
}

fn tcp_send(from: IpAddr, to: SocketAddr, bytes: usize) -> io::Result<String> {
    let mut socket = tcp_connect(from, to)?;
    socket.write_all(&vec![7; bytes])?;
    socket.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(answer.len().to_string())
}

fn tcp_exchange(mut socket: &Socket, bytes: usize) -> io::Result<String> {
    socket.write_all(&vec![7; bytes])?;
    socket.read_exact(&mut vec![0; bytes])?;
    Ok(String::new())
}

/// Measures requests with answers per second.
fn tcp_rate(stream: &Socket, span: Duration) -> io::Result<String> {
    stream.set_tcp_nodelay(true)?;
    let started = Instant::now();
    let mut rounds = 0_u32;
    while started.elapsed() < span {
        tcp_exchange(stream, 1)?;
        rounds += 1;
    }
    Ok((f64::from(rounds) / started.elapsed().as_secs_f64()).to_string())
}

fn icmp_send(from: IpAddr, to: IpAddr, count: u32) -> io::Result<String> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    for _ in 0..count {
        // An echo reply without a request, which gets no answer.
        socket.send_to(&[0, 0, 0xff, 0xff, 0, 0, 0, 0], &SocketAddr::new(to, 0).into())?;
    }
    Ok(String::new())
}

/// Sends datagrams to `ports` ports in turn.
fn udp_flood(from: SocketAddr, to: SocketAddr, count: u32, ports: u32) -> io::Result<String> {
    let socket = udp_socket(from)?;
    for n in 0..count {
        let port = to.port() + u16::try_from(n % ports).unwrap();
        socket.send_to(&[7; 100], SocketAddr::new(to.ip(), port))?;
    }
    Ok(String::new())
}

fn udp_socket(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(at)?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    Ok(socket)
}

fn udp_listen(at: SocketAddr, answers: bool) -> io::Result<String> {
    let socket = udp_socket(at)?;
    socket.set_read_timeout(None)?;
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((size, from)) = socket.recv_from(&mut datagram) {
            if answers {
                socket.send_to(&datagram[..size], from).unwrap();
            }
        }
    });
    Ok(String::new())
}

fn udp_send(from: SocketAddr, to: SocketAddr, count: usize, answered: bool) -> io::Result<String> {
    let socket = udp_socket(from)?;
    for _ in 0..count {
        socket.send_to(&[7; 100], to)?;
        if answered {
            socket.recv_from(&mut [0; 2048])?;
        }
    }
    Ok(String::new())
}

fn sctp_socket(at: IpAddr) -> io::Result<Socket> {
    let at = SocketAddr::new(at, 0);
    let socket = Socket::new(Domain::for_address(at), Type::RAW, Some(Protocol::from(SCTP)))?;
    socket.bind(&SockAddr::from(at))?;
    Ok(socket)
}

/// Sends a common header (RFC 9260, 3.1) and one chunk. Nothing checks the checksum in these tests.
fn sctp_send(from: IpAddr, to: IpAddr, ports: [u16; 2], chunk: u8) -> io::Result<String> {
    let mut packet = Vec::new();
    packet.extend(ports[0].to_be_bytes());
    packet.extend(ports[1].to_be_bytes());
    packet.extend([0; 8]);
    packet.extend([chunk, 0, 0, 20]);
    packet.extend([1, 2, 3, 4, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    sctp_socket(from)?.send_to(&packet, &SocketAddr::new(to, 0).into())?;
    Ok(String::new())
}

/// Sends a whole packet, including the IP header, that is given in hexadecimal.
fn raw_send(to: IpAddr, packet: &str) -> io::Result<String> {
    let to = SocketAddr::new(to, 0);
    let socket = Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    let bytes: Vec<u8> =
        (0..packet.len()).step_by(2).map(|at| u8::from_str_radix(&packet[at..at + 2], 16).unwrap()).collect();
    socket.send_to(&bytes, &to.into())?;
    Ok(String::new())
}
