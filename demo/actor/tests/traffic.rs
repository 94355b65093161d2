//! The program listens, answers, calls and ends, as the shop's containers need it.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running program, which ends with the test whatever comes of it.
struct Program {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_foretell-demo"))
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said }
    }

    /// Reads what it says up to a line that holds these words.
    fn says(&mut self, words: &str) {
        let mut line = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if line.contains(words) {
                return;
            }
            line.clear();
        }
        panic!("it ended without saying {words:?}");
    }

    fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::yield_now();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Ports that are free now, one for TCP and one for UDP.
fn free_ports() -> (u16, u16) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port())
}

#[test]
fn what_is_called_answers_in_every_way_to_call() {
    let (tcp, udp) = free_ports();
    let mut server = Program::start(&["--listen", &tcp.to_string(), "--listen", &format!("{udp}/UDP")]);
    server.says("/Tcp");
    server.says("/Udp");
    let calls = [
        format!("localhost:{tcp},every=10ms"),
        format!("localhost:{tcp},every=10ms,each"),
        format!("127.0.0.1:{tcp},every=10ms,held"),
        format!("127.0.0.1:{udp}/UDP,every=10ms"),
    ];
    for call in &calls {
        let mut caller = Program::start(&["--call", call, "--times", "3"]);
        caller.says("answers");
        assert!(caller.end().success(), "{call}");
    }
}

#[test]
fn a_caller_may_choose_its_address() {
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let call = format!("localhost:{}", here.local_addr().unwrap().port());
    let _caller = Program::start(&["--call", &call, "--from", "127.0.0.77"]);
    let (_, from) = here.accept().unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.77");
}

#[test]
fn a_refusal_is_told_as_what_was_expected_of_it() {
    let (tcp, _) = free_ports();
    let mut hopeful = Program::start(&["--call", &format!("127.0.0.1:{tcp},every=10ms")]);
    hopeful.says("refused");
    let mut scan = Program::start(&["--call", &format!("127.0.0.1:{tcp},every=10ms,refused"), "--times", "2"]);
    scan.says("refuses, as it should");
    assert!(scan.end().success());
    // Once somebody listens there, the hopeful one is answered, and says so.
    let mut server = Program::start(&["--from", "127.0.0.1", "--listen", &tcp.to_string()]);
    server.says("listening");
    hopeful.says("answers");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut server = Program::start(&["--from", "127.0.0.1", "--listen", &port]);
    server.says(&port);
    assert_eq!(server.end().code(), Some(1));
}

#[test]
fn it_ends_at_once_when_told_to() {
    let (tcp, _) = free_ports();
    let mut server = Program::start(&["--listen", &tcp.to_string()]);
    server.says("listening");
    let told = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert!(server.end().success());
}
