//! The unit that a person triages: a denied connection between a workload and a peer, on one port.

use std::fmt;
use std::fmt::Write as _;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cluster::party::Party;
use foretell_objects::model::flow::{Direction, Protocol};

/// A connection, seen from one of its ends. If that end denies it, this identifies the denial: no policy is part of it, so that
/// the denial is the same one for an audit policy and for the policy promoted from it, however many policies cause it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    /// Direction, seen from the subject.
    pub direction: Direction,
    /// The workload at this end.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
}

/// The id of a denial: `D-` and twelve characters of base32 (RFC 4648), a hash of the [`ConnectionKey`]. It stays the same from run
/// to run, and when the audit policy is promoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct DenialId(String);

/// Characters of the hash in an id: 60 bits. The chance that two of a million denials share an id is below one in a million.
const ID_LENGTH: usize = 12;

impl ConnectionKey {
    /// The id of its denial.
    #[must_use]
    pub fn denial_id(&self) -> DenialId {
        let mut text = String::new();
        let Self { direction, subject, peer, protocol, port } = self;
        // Names of Kubernetes objects contain no line feed, so different keys have different texts. Writing into a String cannot
        // fail.
        let _ = writeln!(text, "{direction}");
        for party in [subject, peer] {
            let _ = match party {
                Party::Workload { namespace, kind, name } => writeln!(text, "{namespace}/{kind}/{name}"),
                Party::Address { cidr, node: _ } => writeln!(text, "{cidr}"),
                Party::Range { name, cidr } => writeln!(text, "{name} {cidr}"),
            };
        }
        let _ = write!(text, "{protocol}\n{port}");
        let hash = BASE32_NOPAD.encode(&Sha256::digest(text.as_bytes()));
        DenialId(format!("D-{}", &hash[..ID_LENGTH]))
    }
}

impl DenialId {
    /// Whether the id begins with a text. Case does not matter, and the text may omit `D-`.
    #[must_use]
    pub fn has_prefix(&self, text: &str) -> bool {
        let text = text.to_ascii_uppercase();
        let text = text.strip_prefix("D-").unwrap_or(&text);
        !text.is_empty() && self.0[2..].starts_with(text)
    }
}

impl fmt::Display for DenialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
