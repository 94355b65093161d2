//! The processes that play.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::part::{BEGIN, Part, READY, REST, RESTING, TROUBLE};
use crate::stop::Stop;

/// How long a process may take to be ready, or to end its calls, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// Everybody who plays. They end when it is dropped.
#[derive(Debug)]
pub struct Troupe {
    players: Vec<Player>,
    said: Receiver<Said>,
    says: Sender<Said>,
    troubles: Vec<String>,
}

/// Which player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayerId(usize);

#[derive(Debug)]
struct Player {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    state: State,
    stays: Stays,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preparing,
    Ready,
    Resting,
}

/// Until when a player should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    UntilTheEnd,
    UntilItsErrandIsDone,
}

#[derive(Debug)]
struct Said {
    by: PlayerId,
    line: String,
}

impl Troupe {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        let (says, said) = mpsc::channel();
        Self { players: Vec::new(), said, says, troubles: Vec::new() }
    }

    /// Starts a process for a part. Its cgroup is there already, below `cgroups`.
    ///
    /// # Errors
    /// Where no process can be started.
    pub fn engage(&mut self, part: &Part, cgroups: impl Fn(&Path) -> PathBuf) -> anyhow::Result<PlayerId> {
        let part = Part { cgroup: cgroups(&part.cgroup), ..part.clone() };
        let mut child = Command::new("/proc/self/exe")
            .arg("act")
            .env_clear()
            // Out of reach of the terminal's Ctrl-C: the play ends them in its own order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start a process for {}", part.name))?;
        let by = PlayerId(self.players.len());
        if let Some(out) = child.stdout.take() {
            let says = self.says.clone();
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    let _over = says.send(Said { by, line });
                }
            });
        }
        let mut orders = child.stdin.take();
        let text = serde_json::to_string(&part)?;
        // Taken into the troupe before anything can fail: whoever is in it is ended with it.
        let sent = orders.as_mut().map(|orders| writeln!(orders, "{text}"));
        let stays = if part.errand.is_some() { Stays::UntilItsErrandIsDone } else { Stays::UntilTheEnd };
        self.players.push(Player { name: part.name, child, orders, state: State::Preparing, stays });
        sent.transpose().with_context(|| format!("{}: has ended already", self.players[by.0].name))?;
        Ok(by)
    }

    /// Waits until everybody listens.
    ///
    /// # Errors
    /// Where somebody has ended or is late.
    pub fn wait_until_ready(&mut self, stop: &Stop) -> anyhow::Result<()> {
        stop.wait(DEADLINE, "not every process listens yet", || {
            self.listen();
            self.check()?;
            Ok(self.players.iter().all(|player| player.state != State::Preparing))
        })
    }

    /// Has everybody begin to call.
    ///
    /// # Errors
    /// Where somebody has ended.
    pub fn begin_all(&mut self) -> anyhow::Result<()> {
        self.players.iter_mut().try_for_each(|player| player.order(BEGIN))
    }

    /// Has a player begin to call.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn begin(&mut self, player: PlayerId) -> anyhow::Result<()> {
        self.players[player.0].order(BEGIN)
    }

    /// Has everybody make no more calls, and waits until none is under way.
    ///
    /// # Errors
    /// Where somebody has ended or is late.
    pub fn rest(&mut self, stop: &Stop) -> anyhow::Result<()> {
        for player in &mut self.players {
            player.order(REST)?;
        }
        stop.wait(DEADLINE, "some calls are still under way", || {
            self.listen();
            self.check()?;
            Ok(self.players.iter().all(|player| player.state == State::Resting))
        })
    }

    /// Whether a player has ended by itself, and well; it is dismissed then.
    ///
    /// # Errors
    /// Where it has ended badly.
    pub fn has_ended(&mut self, id: PlayerId) -> anyhow::Result<bool> {
        self.listen();
        let player = &mut self.players[id.0];
        let Some(status) = player.child.try_wait()? else { return Ok(false) };
        if !status.success() {
            bail!("{}: ended with {status}", player.name);
        }
        player.orders = None;
        player.state = State::Resting;
        Ok(true)
    }

    /// Fails where a player that should be there has ended.
    ///
    /// # Errors
    /// Then.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for player in self.players.iter_mut().filter(|player| player.orders.is_some()) {
            let may_leave = |status: ExitStatus| player.stays == Stays::UntilItsErrandIsDone && status.success();
            match player.child.try_wait()? {
                Some(status) if !may_leave(status) => bail!("{}: ended early, with {status}", player.name),
                _ => {}
            }
        }
        Ok(())
    }

    /// What did not go as the scenario says.
    pub fn troubles(&mut self) -> &[String] {
        self.listen();
        &self.troubles
    }

    fn listen(&mut self) {
        while let Ok(Said { by, line }) = self.said.try_recv() {
            let player = &mut self.players[by.0];
            match line.as_str() {
                READY => player.state = State::Ready,
                RESTING => player.state = State::Resting,
                line => {
                    let trouble = line.strip_prefix(TROUBLE).unwrap_or(line);
                    self.troubles.push(format!("{}: {trouble}", player.name));
                }
            }
        }
    }
}

impl Default for Troupe {
    fn default() -> Self {
        Self::new()
    }
}

impl Player {
    fn order(&mut self, order: &str) -> anyhow::Result<()> {
        let Some(orders) = &mut self.orders else { return Ok(()) };
        writeln!(orders, "{order}").with_context(|| format!("{}: has ended already", self.name))
    }
}

impl Drop for Troupe {
    fn drop(&mut self) {
        for player in &mut self.players {
            player.orders = None;
            // Has it ended already, that is all right too.
            let _ended = player.child.kill();
        }
        for player in &mut self.players {
            let _status = player.child.wait();
        }
    }
}
