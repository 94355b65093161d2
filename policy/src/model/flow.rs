//! The wire form of observed traffic: NDJSON, one flow or one agent's report a line.
//!
//! The same lines come from the capture agent, lie in files and are sent to the evaluator. Unknown fields are ignored, so
//! that an older reader understands a newer writer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

/// A longer value is not repeated in a message.
const LONGEST_SHOWN_VALUE: usize = 60;

/// A transport protocol that NetworkPolicy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// Transmission Control Protocol, the default wherever Kubernetes leaves the protocol out.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// A direction of traffic as NetworkPolicy means it: seen from the pod that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Direction {
    /// Leaving the pod.
    Egress,
    /// Arriving at the pod.
    Ingress,
}

impl Direction {
    /// Both, in the order in which verdicts are listed.
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// The one that is not this one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Egress => Self::Ingress,
            Self::Ingress => Self::Egress,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        })
    }
}

/// What became of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// TCP or SCTP: the handshake was answered. UDP: a datagram came back.
    Established,
    /// Answered by a reset or an abort.
    Refused,
    /// Nothing came back while it was watched.
    Unanswered,
}

/// One end of a flow, as well as its observer knew it. A UID beats a name, a name beats the address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The address in the packet; IPv4 mapped into IPv6 is read as IPv4.
    #[serde(deserialize_with = "canonical_address")]
    pub ip: IpAddr,
    /// `metadata.uid` of the pod, or a static pod's config hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Namespace of the pod; meaningless without `pod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the pod; meaningless without `namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

impl Endpoint {
    /// An end of which only the address is known.
    #[must_use]
    pub fn address(ip: IpAddr) -> Self {
        Self { ip, pod_uid: None, namespace: None, pod: None }
    }
}

/// Connections from one source to one port of one destination, in a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// When the first packet was seen.
    pub start: Timestamp,
    /// When the last packet was seen.
    pub end: Timestamp,
    /// The node whose agent saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The end at which it was seen: `Egress` leaving `src`, `Ingress` arriving at `dst`; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Direction>,
    /// The end that opened the connection.
    pub src: Endpoint,
    /// The end that listens.
    pub dst: Endpoint,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The backend's port.
    pub port: u16,
    /// What became of it; `None` is taken as in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Which end is the backend was guessed. A guess alone never blocks a change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guessed: bool,
    /// Connections opened; for UDP one a key and window.
    #[serde(default = "one")]
    pub connections: u64,
    /// Packets seen, both ways.
    #[serde(default)]
    pub packets: u64,
    /// Bytes of those packets, network header included.
    #[serde(default)]
    pub bytes: u64,
}

impl Flow {
    /// Whether somebody relies on this traffic: it was answered, or nobody said that it was not.
    #[must_use]
    pub fn in_use(&self) -> bool {
        matches!(self.outcome, None | Some(Outcome::Established))
    }
}

/// An agent's word that it watched a node over a span of time. A quiet node reports too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Name of the node.
    pub node: String,
    /// Start of the watched span.
    pub start: Timestamp,
    /// End of the watched span.
    pub end: Timestamp,
    /// The node's own addresses: gateway, bridge and tunnel addresses included.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// What was lost in the span, by cause. Empty: nothing.
    #[serde(default)]
    pub lost: BTreeMap<String, u64>,
}

/// A line of a flow file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Observed traffic.
    Flow(Box<Flow>),
    /// An agent's report.
    Report(NodeReport),
}

/// A line that is neither a flow nor a report. The caller knows file and line number and adds them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// It is JSON, but no object.
    #[error("no JSON object: a line is one flow or one report")]
    NoObject,
    /// A field is missing or has a value that does not fit.
    #[error("{path}: {problem}")]
    Field {
        /// Where in the line, `dst.ip`; `.` for the line itself.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The flow ends before it starts.
    #[error("end: {end} is before start {start}")]
    EndBeforeStart {
        /// The line's `start`.
        start: Timestamp,
        /// The line's `end`.
        end: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
struct ReportLine {
    report: NodeReport,
}

impl Line {
    /// Reads one line, without its line feed.
    ///
    /// # Errors
    /// [`LineError`] where the line is not JSON, lacks a field or holds a value that does not fit.
    pub fn parse(text: &[u8]) -> Result<Self, LineError> {
        if is_report(text) {
            let report = read::<ReportLine>(text)?.report;
            check_span(report.start, report.end)?;
            return Ok(Self::Report(report));
        }
        let flow = read::<Flow>(text)?;
        check_span(flow.start, flow.end)?;
        Ok(Self::Flow(Box::new(flow)))
    }

    /// The line as JSON, without a line feed.
    ///
    /// # Errors
    /// None in practice: every field has a JSON form.
    pub fn to_json(&self) -> serde_json::Result<String> {
        match self {
            Self::Flow(flow) => serde_json::to_string(flow),
            Self::Report(report) => serde_json::to_string(&serde_json::json!({ "report": report })),
        }
    }
}

/// Whether a line is a report: its first key says so, and a flow has no such key.
#[must_use]
pub fn is_report(text: &[u8]) -> bool {
    first_key_is(text, b"\"report\"")
}

/// Whether a line is what an agent had to say, among its flows because a container has one log for both. It is about no
/// traffic: whoever reads a recording passes over it.
#[must_use]
pub fn is_log(text: &[u8]) -> bool {
    first_key_is(text, b"\"log\"")
}

fn first_key_is(text: &[u8], quoted: &[u8]) -> bool {
    let Some(rest) = text.trim_ascii_start().strip_prefix(b"{") else { return false };
    rest.trim_ascii_start().starts_with(quoted)
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, LineError> {
    // A list would be taken for the fields in their order.
    if !text.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return Err(LineError::NoObject);
    }
    serde_json::from_slice(text).map_err(|error| explain::<T>(text, &error))
}

/// Reads the line once more, slowly, to say where it went wrong.
fn explain<'a, T: Deserialize<'a>>(text: &'a [u8], error: &serde_json::Error) -> LineError {
    let syntax = |error: &serde_json::Error| {
        let problem = without_place(error);
        LineError::Syntax(if error.column() > 0 { format!("{problem}, at column {}", error.column()) } else { problem })
    };
    if !error.is_data() {
        return syntax(error);
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, T>(deserializer) {
        Ok(_) => syntax(error),
        Err(error) => {
            let path = error.path().to_string();
            let said = without_place(error.inner());
            match said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
                Some(field) if path == "." => {
                    LineError::Field { path: field.to_owned(), problem: "required, and missing".to_owned() }
                }
                Some(field) => {
                    LineError::Field { path: format!("{path}.{field}"), problem: "required, and missing".to_owned() }
                }
                None => LineError::Field { problem: problem(&path, said, text), path },
            }
        }
    }
}

/// What is wrong with a value, with the value and how to write it where that can be told.
fn problem(path: &str, said: String, text: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let pointer: String = path.split(['.', '[']).flat_map(|step| ["/", step.trim_end_matches(']')]).collect();
    let found = value.pointer(&pointer).map(ToString::to_string).unwrap_or_default();
    if found.is_empty() || found.len() > LONGEST_SHOWN_VALUE {
        return said;
    }
    match path.rsplit('.').next().unwrap_or_default() {
        "start" | "end" => format!("{found} is no time: write it as RFC 3339 does, \"2026-11-21T01:40:00Z\""),
        "protocol" => format!("{found} is no protocol: write \"TCP\", \"UDP\" or \"SCTP\""),
        "port" => format!("{found} is no port: write a number from 0 to {}", u16::MAX),
        "outcome" => format!("{found} is no outcome: write \"established\", \"refused\" or \"unanswered\""),
        "observed" => format!("{found} is no direction: write \"Egress\" or \"Ingress\""),
        field if field == "ip" || field.starts_with("addresses[") => format!("{found} is no IP address"),
        _ => said,
    }
}

/// The message without its place: the caller names the line, and a line of NDJSON has no lines.
fn without_place(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    said.strip_suffix(&place).unwrap_or(&said).to_owned()
}

fn check_span(start: Timestamp, end: Timestamp) -> Result<(), LineError> {
    if end < start { Err(LineError::EndBeforeStart { start, end }) } else { Ok(()) }
}

fn canonical_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    IpAddr::deserialize(deserializer).map(|ip| ip.to_canonical())
}

fn one() -> u64 {
    1
}
