//! The part of one process: what it is told on standard input, and what it says on standard output.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use foretell_policy::flow::Protocol;
use serde::{Deserialize, Serialize};

use crate::scenario::{Answer, Connection};

/// Begin to call.
pub const BEGIN: &str = "begin";
/// Call no more, but go on listening.
pub const REST: &str = "rest";
/// Every socket listens.
pub const READY: &str = "ready";
/// No call is under way any more.
pub const RESTING: &str = "resting";
/// Begins a line that says what did not go as the scenario says.
pub const TROUBLE: &str = "trouble: ";

/// What one process plays. It ends when its standard input does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is called in messages.
    pub name: String,
    /// The cgroup that it enters before it makes its first socket, below the play's own.
    pub cgroup: PathBuf,
    /// Where it listens.
    pub servers: Vec<Listener>,
    /// Whom it calls again and again.
    pub rounds: Vec<Round>,
    /// What it does but once.
    pub errand: Option<Errand>,
}

/// A socket that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Where.
    pub at: SocketAddr,
    /// Protocol.
    pub protocol: Protocol,
}

/// Whom to call, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dial {
    /// The caller's own address.
    pub from: IpAddr,
    /// The peer's.
    pub to: SocketAddr,
    /// Protocol.
    pub protocol: Protocol,
}

/// Calls to the same peers, in turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The peers; at least one.
    pub dials: Vec<Dial>,
    /// When the first call is made.
    pub first_after: Duration,
    /// How often one is made.
    pub every: Duration,
    /// Whether each is a connection of its own.
    pub connection: Connection,
    /// What becomes of it.
    pub answer: Answer,
}

/// Calls made once, one after another, by a process that then ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// The calls.
    pub dials: Vec<Dial>,
    /// How long the process runs in all.
    pub ends_after: Duration,
}
