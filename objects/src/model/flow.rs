//! Observed traffic as NDJSON: each line is one flow or one report of a capture agent.
//!
//! The capture agent writes these lines, recordings store them, and the evaluator receives them. Unknown fields are ignored, so
//! that an older reader can read the lines of a newer writer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

/// An error message quotes a value of at most this many bytes.
const LONGEST_SHOWN_VALUE: usize = 60;

/// A transport protocol that NetworkPolicy supports.
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

/// A direction of traffic, seen from the pod that a policy selects, as in NetworkPolicy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Direction {
    /// Leaving the pod.
    Egress,
    /// Arriving at the pod.
    Ingress,
}

impl Direction {
    /// Both directions, in the order in which verdicts are listed.
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// The field of a policy's spec that holds the rules of this direction: `ingress` or `egress`.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The opposite direction.
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

/// The result of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// TCP or SCTP: the handshake was answered. UDP: at least one datagram came back.
    Established,
    /// Answered by a reset or an abort.
    Refused,
    /// Nothing came back while the attempt was observed.
    Unanswered,
}

/// One end of a flow, with what its observer knew of it. A UID takes precedence over a name, and a name over the address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The address in the packet. An IPv4-mapped IPv6 address is read as IPv4.
    #[serde(deserialize_with = "canonical_address")]
    pub ip: IpAddr,
    /// `metadata.uid` of the pod, or a static pod's config hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Namespace of the pod. Ignored without `pod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the pod. Ignored without `namespace`.
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

/// Connections from one source to one port of one destination in a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// When the first packet was seen.
    pub start: Timestamp,
    /// When the last packet was seen.
    pub end: Timestamp,
    /// Name of the node whose agent observed the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The end at which the flow was observed: `Egress` at `src`, `Ingress` at `dst`. `None`: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Direction>,
    /// The end that opened the connection.
    pub src: Endpoint,
    /// The end that listens.
    pub dst: Endpoint,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port of `dst`.
    pub port: u16,
    /// The result. `None`: unknown, which counts as in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether the direction of the connection was guessed. A guess never blocks a change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guessed: bool,
    /// Number of connections opened. For UDP: one for each combination of ends and port in each window of the agent.
    #[serde(default = "one")]
    pub connections: u64,
    /// Number of packets in both directions.
    #[serde(default)]
    pub packets: u64,
    /// Bytes of these packets, including the network header.
    #[serde(default)]
    pub bytes: u64,
}

impl Flow {
    /// A hypothetical flow, to ask what policies would do with it: one connection from `src` to `port` of `dst` at one
    /// instant. It has no packets, no observer and an unknown outcome, so it counts as in use.
    #[must_use]
    pub fn probe(src: Endpoint, dst: Endpoint, protocol: Protocol, port: u16, at: Timestamp) -> Self {
        Self {
            start: at,
            end: at,
            node: None,
            observed: None,
            src,
            dst,
            protocol,
            port,
            outcome: None,
            guessed: false,
            connections: 1,
            packets: 0,
            bytes: 0,
        }
    }

    /// Whether the traffic counts as in use: it was answered, or its outcome is unknown.
    #[must_use]
    pub fn in_use(&self) -> bool {
        matches!(self.outcome, None | Some(Outcome::Established))
    }
}

/// An agent's report that it observed a node during a span of time. Agents also report when there is no traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Name of the node.
    pub node: String,
    /// Start of the observed span.
    pub start: Timestamp,
    /// End of the observed span.
    pub end: Timestamp,
    /// The node's own addresses, including gateway, bridge and tunnel addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Number of lost events in the span, by cause. Empty: none.
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

/// A line that is neither a flow nor a report. The message contains no file and line number: the caller adds them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// The text is JSON, but not an object.
    #[error("not a JSON object: a line is one flow or one report")]
    NoObject,
    /// A field is missing or has a value that does not fit.
    #[error("{path}: {problem}")]
    Field {
        /// Path of the field in the line, `dst.ip`; `.` for the line itself.
        path: String,
        /// What is wrong with the field and, where possible, how to write it.
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
    /// ```
    /// use foretell_objects::model::flow::{Line, Outcome};
    ///
    /// let line = br#"{"start":"2026-11-21T01:40:00Z","end":"2026-11-21T01:40:10Z","src":{"ip":"10.1.0.5"},
    ///     "dst":{"ip":"10.1.0.9","namespace":"shop","pod":"cart-0"},"protocol":"TCP","port":8080,"outcome":"established"}"#;
    /// let Line::Flow(flow) = Line::parse(line)? else { unreachable!("the first key is not \"report\"") };
    /// assert_eq!((flow.port, flow.outcome), (8080, Some(Outcome::Established)));
    /// assert!(flow.in_use());
    ///
    /// let error = Line::parse(br#"{"start":"yesterday"}"#).unwrap_err().to_string();
    /// assert!(error.starts_with("start: \"yesterday\" is not a time"), "{error}");
    /// # Ok::<(), foretell_objects::model::flow::LineError>(())
    /// ```
    ///
    /// # Errors
    /// [`LineError`] if the line is not JSON, or if a field is missing or has an invalid value.
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
    /// None in practice, since every field can be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        match self {
            Self::Flow(flow) => serde_json::to_string(flow),
            Self::Report(report) => serde_json::to_string(&serde_json::json!({ "report": report })),
        }
    }
}

/// Whether a line is a report: its first key is `report`.
#[must_use]
pub fn is_report(text: &[u8]) -> bool {
    first_key_is(text, b"\"report\"")
}

/// Whether a line is a log message of the agent: its first key is `log`. A container has a single log for messages and flows.
/// Readers of a recording skip such lines.
#[must_use]
pub fn is_log(text: &[u8]) -> bool {
    first_key_is(text, b"\"log\"")
}

fn first_key_is(text: &[u8], quoted: &[u8]) -> bool {
    let Some(rest) = text.trim_ascii_start().strip_prefix(b"{") else { return false };
    rest.trim_ascii_start().starts_with(quoted)
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, LineError> {
    // serde would read a list as the fields in their order.
    if !text.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return Err(LineError::NoObject);
    }
    serde_json::from_slice(text).map_err(|error| explain::<T>(text, &error))
}

/// Reads the line again, more slowly, to find the field that is wrong.
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
            let message = without_place(error.inner());
            match message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
                Some(field) if path == "." => {
                    LineError::Field { path: field.to_owned(), problem: "required but missing".to_owned() }
                }
                Some(field) => {
                    LineError::Field { path: format!("{path}.{field}"), problem: "required but missing".to_owned() }
                }
                None => LineError::Field { problem: problem(&path, message, text), path },
            }
        }
    }
}

/// The problem with a field: for known fields the value and how to write it, otherwise serde's message.
fn problem(path: &str, message: String, text: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    let pointer: String = path.split(['.', '[']).flat_map(|step| ["/", step.trim_end_matches(']')]).collect();
    let found = value.pointer(&pointer).map(ToString::to_string).unwrap_or_default();
    if found.is_empty() || found.len() > LONGEST_SHOWN_VALUE {
        return message;
    }
    match path.rsplit('.').next().unwrap_or_default() {
        "start" | "end" => format!("{found} is not a time: write it in RFC 3339 form, \"2026-11-21T01:40:00Z\""),
        "protocol" => format!("{found} is not a protocol: write \"TCP\", \"UDP\" or \"SCTP\""),
        "port" => format!("{found} is not a port: write a number from 0 to {}", u16::MAX),
        "outcome" => format!("{found} is not an outcome: write \"established\", \"refused\" or \"unanswered\""),
        "observed" => format!("{found} is not a direction: write \"Egress\" or \"Ingress\""),
        field if field == "ip" || field.starts_with("addresses[") => format!("{found} is not an IP address"),
        _ => message,
    }
}

/// The message without its position: the caller adds the number of the line.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
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
