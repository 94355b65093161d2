//! The capture agent, run over the play's cgroups.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::args::Guarded;
use crate::stop::Stop;

/// How long the agent may take to attach, or to write its last window.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    flows: PathBuf,
}

/// What an agent is started with.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    /// The agent.
    pub program: &'a Path,
    /// The folder that is kubelet's in this play.
    pub kubepods: &'a Path,
    /// The node's name.
    pub node: &'a str,
    /// Where lines go.
    pub flows: &'a Path,
    /// Span of a window.
    pub window: Duration,
}

impl Agent {
    /// Starts the agent in this network namespace, whose addresses it will report as its host's.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(orders: &Orders<'_>) -> anyhow::Result<Self> {
        let Orders { program, kubepods, node, flows, window } = *orders;
        let child = Command::new("/proc/self/exe")
            .arg("guarded")
            .arg(program)
            .arg("--cgroup")
            .arg(kubepods)
            .args(["--node", node])
            .arg("--output")
            .arg(flows)
            .args(["--window", &format!("{}s", window.as_secs())])
            .args(["--log", "warn"])
            .env_clear()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, flows: flows.to_owned() })
    }

    /// Waits for its first report, which it writes once it is attached.
    ///
    /// # Errors
    /// Where it has ended or is late.
    pub fn wait_until_attached(&mut self, stop: &Stop) -> anyhow::Result<()> {
        stop.wait(DEADLINE, "the capture agent has not written its first report", || {
            self.check()?;
            Ok(fs::read(&self.flows).is_ok_and(|written| written.contains(&b'\n')))
        })
    }

    /// Fails where it has ended.
    ///
    /// # Errors
    /// Then.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the capture agent ended with {status}"),
            None => Ok(()),
        }
    }

    /// Asks it to write its last window and end.
    ///
    /// # Errors
    /// Where it is late or ends badly.
    pub fn finish(mut self, stop: &Stop) -> anyhow::Result<()> {
        self.check()?;
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).context("cannot stop the capture agent")?;
        let mut ended = None;
        stop.wait(DEADLINE, "the capture agent does not end", || {
            ended = self.child.try_wait()?;
            Ok(ended.is_some())
        })?;
        match ended {
            Some(status) if !status.success() => bail!("the capture agent ended with {status}"),
            _ => Ok(()),
        }
    }
}

/// Becomes a program that is asked to end when the process that started it is no more, even where that was killed.
///
/// # Errors
/// Where the program cannot be run; otherwise it does not return.
pub fn guarded(args: &Guarded) -> anyhow::Result<()> {
    let Guarded { program, arguments } = args;
    set_pdeathsig(Signal::SIGTERM)?;
    let problem = Command::new(program).args(arguments).exec();
    Err(problem).with_context(|| format!("cannot run {}", program.display()))
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
