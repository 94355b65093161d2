//! Programs that run beside a test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::patience::until;

/// A program that runs as long as the value lives. What it says on standard error is kept, and printed where a test fails.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(name: &str, mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (to, from) = (Arc::clone(&said), BufReader::new(child.stderr.take().unwrap()));
        thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                let mut said = to.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { name: name.to_owned(), child, said }
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has said something that holds this text, and returns the rest of that line.
    ///
    /// # Panics
    /// If it does not, or ends.
    #[must_use]
    pub fn wait_for(&mut self, text: &str) -> String {
        let name = self.name.clone();
        until(&format!("{name} says {text:?}"), || {
            let said = self.said();
            if let Some((_, rest)) = said.split_once(text) {
                return Ok(rest.lines().next().unwrap_or_default().to_owned());
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended: {ended:?}\n{said}");
            Err(said)
        })
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// If it has ended already, or ends in failure.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{} ended: {ended}\n{}", self.name, self.said());
    }

    /// Ends it at once.
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
            println!("-- {} said:\n{}", self.name, self.said());
        }
    }
}
