//! The program listens, answers, calls and ends as the shop's containers require.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running program, which is killed at the end of the test.
struct Program {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_foretell-demo"))
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads the log up to a line that contains this text.
    fn wait_for_log(&mut self, words: &str) {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            if line.contains(words) {
                return;
            }
            line.clear();
        }
        panic!("the program ended without logging {words:?}");
    }

    fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
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

/// A free port for TCP, and one for UDP.
fn free_ports() -> (u16, u16) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port())
}

#[test]
fn every_kind_of_call_is_answered() {
    let (tcp, udp) = free_ports();
    let mut server = Program::start(&["--listen", &tcp.to_string(), "--listen", &format!("{udp}/UDP")]);
    server.wait_for_log("/Tcp");
    server.wait_for_log("/Udp");
    let calls = [
        format!("localhost:{tcp},every=10ms"),
        format!("localhost:{tcp},every=10ms,each"),
        format!("127.0.0.1:{tcp},every=10ms,keep-alive"),
        format!("127.0.0.1:{udp}/UDP,every=10ms"),
    ];
    for call in &calls {
        let mut caller = Program::start(&["--call", call, "--times", "3"]);
        caller.wait_for_log("answers");
        assert!(caller.end().success(), "{call}");
    }
}

#[test]
fn a_caller_uses_the_address_of_from() {
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let call = format!("localhost:{}", here.local_addr().unwrap().port());
    let _caller = Program::start(&["--call", &call, "--from", "127.0.0.77"]);
    let (_, from) = here.accept().unwrap();
    assert_eq!(from.ip().to_string(), "127.0.0.77");
}

#[test]
fn an_expected_refusal_is_a_success_and_an_unexpected_one_is_logged() {
    let (tcp, _) = free_ports();
    let mut caller = Program::start(&["--call", &format!("127.0.0.1:{tcp},every=10ms")]);
    caller.wait_for_log("refused");
    let mut scan = Program::start(&["--call", &format!("127.0.0.1:{tcp},every=10ms,refused"), "--times", "2"]);
    scan.wait_for_log("refuses, as expected");
    assert!(scan.end().success());
    // When a server listens on the port, the first caller logs that it answers.
    let mut server = Program::start(&["--from", "127.0.0.1", "--listen", &tcp.to_string()]);
    server.wait_for_log("listening");
    caller.wait_for_log("answers");
}

#[test]
fn the_error_for_a_port_in_use_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut server = Program::start(&["--from", "127.0.0.1", "--listen", &port]);
    server.wait_for_log(&port);
    assert_eq!(server.end().code(), Some(1));
}

#[test]
fn the_program_ends_at_once_on_sigterm() {
    let (tcp, _) = free_ports();
    let mut server = Program::start(&["--listen", &tcp.to_string()]);
    server.wait_for_log("listening");
    let killed = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(server.end().success());
}
