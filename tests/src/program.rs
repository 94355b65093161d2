//! Programs that a test starts.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::patience::until;

/// A program that runs until the value is dropped. Its standard error is kept, and printed if the test fails.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &str, mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let (to, from) = (Arc::clone(&output), BufReader::new(child.stderr.take().unwrap()));
        thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                let mut output = to.lock().unwrap_or_else(PoisonError::into_inner);
                output.push_str(&line);
                output.push('\n');
            }
        });
        Self { name: name.to_owned(), child, output }
    }

    /// What it has printed on standard error so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has printed this text, and returns the rest of that line.
    ///
    /// # Panics
    /// If it ends or does not print it in time.
    #[must_use]
    pub fn wait_for(&mut self, text: &str) -> String {
        let name = self.name.clone();
        until(&format!("{name} prints {text:?}"), || {
            let output = self.output();
            if let Some((_, rest)) = output.split_once(text) {
                return Ok(rest.lines().next().unwrap_or_default().to_owned());
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended: {ended:?}\n{output}");
            Err(output)
        })
    }

    /// Asks it to end, and waits until it has ended.
    ///
    /// # Panics
    /// If it has ended already or fails.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{} ended: {ended}\n{}", self.name, self.output());
    }

    /// Kills it.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("-- {} printed:\n{}", self.name, self.output());
        }
    }
}
