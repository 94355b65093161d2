//! The evaluator before the API server is reachable.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread;

use foretell_tests::machine;
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;

use crate::stage::{Stage, policy};

/// Forwards the connections of one port to another address.
fn relay(listener: TcpListener, to: String) {
    thread::spawn(move || {
        for from in listener.incoming().map_while(Result::ok) {
            let Ok(to) = TcpStream::connect(&to) else { continue };
            let ends = [(from.try_clone().unwrap(), to.try_clone().unwrap()), (to, from)];
            for (mut from, mut to) in ends {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
}

#[test]
fn before_the_api_server_is_reachable_readyz_says_so_and_later_the_evaluator_becomes_ready() {
    let Some(mut database) = Database::here() else { return };
    let Some(mut stage) = Stage::new() else { return };
    database.resume();
    stage.apply(&policy(&["nobody"]));

    // An address that refuses connections for now.
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let real = fs::read_to_string(stage.control_plane.kubeconfig()).unwrap();
    let (_, server) = real.split_once("https://").unwrap();
    let server = server.split(|symbol: char| !symbol.is_ascii_digit() && !".:".contains(symbol)).next().unwrap();
    let kubeconfig = stage.files.path().join("kubeconfig");
    fs::write(&kubeconfig, real.replace(server, &free.to_string())).unwrap();
    let mut command = machine::built("foretell-evaluator");
    command.env("KUBECONFIG", &kubeconfig).arg(format!("--database-url={}", database.url()));
    command.arg("--token-file").arg(stage.files.path().join("token"));
    stage.start_by(command);

    // The CA certificates are not published yet. Everyone may read health.
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
    until("readyz names the missing parts", || {
        let asked = client.get(format!("https://localhost:{}/readyz", stage.port));
        let reasons = stage.runtime.block_on(async { asked.send().await?.text().await });
        let reasons = reasons.map_err(|error| error.to_string())?;
        let names_both = reasons.contains("waiting for the certificate: ") && reasons.contains("waiting for pods: ");
        if names_both && !reasons.contains("Postgres") { Ok(()) } else { Err(reasons) }
    });
    relay(TcpListener::bind(free).unwrap(), server.to_owned());
    stage.becomes_ready();
    stage.status("the policy is judged", |status| status["observedGeneration"] == 1);
}
