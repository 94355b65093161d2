//! The scenario: who listens where, and who calls whom.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use foretell_policy::flow::Protocol;
use serde::{Deserialize, Serialize};

/// A whole scenario.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The node on which all of it runs.
    pub node: Node,
    /// Who listens.
    pub servers: Vec<Server>,
    /// Who calls, again and again.
    pub calls: Vec<Call>,
    /// The one pod that comes and goes.
    pub job: Job,
}

/// The node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its own addresses, its pods' gateways included.
    pub addresses: Vec<IpAddr>,
    /// The one from which kubelet probes.
    pub probes_from: IpAddr,
}

/// A workload that listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Which.
    pub workload: WorkloadName,
    /// On which ports, at every address of its pods.
    pub ports: Vec<Port>,
}

/// Somebody who calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Who.
    pub from: Caller,
    /// Whom: its pods in turn.
    pub to: WorkloadName,
    /// At which port.
    pub port: Port,
    /// How often.
    pub every: Pace,
    /// Whether each call is a connection of its own.
    #[serde(default)]
    pub connection: Connection,
    /// What becomes of it.
    #[serde(default)]
    pub answer: Answer,
}

/// A pod that starts while the play is on, calls each of its peers once, and ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Which.
    pub workload: WorkloadName,
    /// When it starts.
    pub starts_after: Pace,
    /// How long it runs.
    pub ends_after: Pace,
    /// Whom it calls, one after another.
    pub calls: Vec<JobCall>,
}

/// A call of a job.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobCall {
    /// Whom: its first pod.
    pub to: WorkloadName,
    /// At which port.
    pub port: Port,
}

/// Whether each call opens a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// Opened, used once and closed.
    #[default]
    Each,
    /// Opened once, used by every call.
    Held,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is answered.
    #[default]
    Given,
    /// Nobody listens.
    Refused,
}

/// `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct WorkloadName {
    /// Namespace.
    pub namespace: String,
    /// The name by which its pods are labelled.
    pub name: String,
}

/// `8443/TCP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Port {
    /// Number.
    pub number: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Caller {
    /// The node's kubelet.
    Kubelet,
    /// All pods of a workload.
    Workload(WorkloadName),
    /// Somebody outside the cluster.
    Outside(IpAddr),
}

/// A span, `500ms` or `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pace(pub Duration);

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Where it is no YAML, or a field is missing, unknown or of the wrong form: says the line.
    pub fn read(text: &str) -> Result<Self, serde_saphyr::Error> {
        serde_saphyr::from_str(text)
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for WorkloadName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("{text:?} is no workload: write it namespace/name")),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || format!("{text:?} is no port: write it 8443/TCP or 53/UDP");
        let (number, protocol) = text.split_once('/').ok_or_else(fault)?;
        let protocol = match protocol {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            _ => return Err(fault()),
        };
        match number.parse() {
            Ok(0) | Err(_) => Err(fault()),
            Ok(number) => Ok(Self { number, protocol }),
        }
    }
}

impl FromStr for Caller {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "kubelet" {
            return Ok(Self::Kubelet);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::Outside(ip));
        }
        text.parse()
            .map(Self::Workload)
            .map_err(|_| format!("{text:?} is no caller: write namespace/name, an address, or kubelet"))
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || format!("{text:?} is no span: write it 500ms or 2s");
        let span: jiff::SignedDuration = text.parse().map_err(|_| fault())?;
        match Duration::try_from(span) {
            Ok(span) if !span.is_zero() => Ok(Self(span)),
            _ => Err(fault()),
        }
    }
}

impl TryFrom<String> for WorkloadName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for Port {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Port> for String {
    fn from(port: Port) -> Self {
        port.to_string()
    }
}

impl TryFrom<String> for Caller {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for Pace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
node: {name: n, addresses: [10.0.0.1], probes_from: 10.0.0.1}
servers:
  - {workload: a/web, ports: [80/TCP, 53/UDP]}
calls:
  - {from: kubelet, to: a/web, port: 80/TCP, every: 10s}
  - {from: '2001:db8::1', to: a/web, port: 80/TCP, every: 500ms, connection: held}
  - {from: b/scan, to: a/web, port: 22/TCP, every: 1s, answer: refused}
job: {workload: a/job, starts_after: 1s, ends_after: 2s, calls: [{to: a/web, port: 80/TCP}]}
";

    #[test]
    fn a_scenario_names_workloads_ports_callers_and_spans() {
        let scenario = Scenario::read(SMALL).unwrap();
        let web: WorkloadName = "a/web".parse().unwrap();
        let ports: Vec<String> = scenario.servers[0].ports.iter().map(Port::to_string).collect();
        assert_eq!(scenario.servers[0].workload, web);
        assert_eq!(ports, ["80/TCP", "53/UDP"]);
        assert_eq!(scenario.calls[0].from, Caller::Kubelet);
        assert_eq!(scenario.calls[1].from, Caller::Outside("2001:db8::1".parse().unwrap()));
        assert_eq!(scenario.calls[1].every, Pace(Duration::from_millis(500)));
        assert_eq!(scenario.calls[1].connection, Connection::Held);
        assert_eq!(scenario.calls[2].from, Caller::Workload("b/scan".parse().unwrap()));
        assert_eq!(scenario.calls[2].answer, Answer::Refused);
        assert_eq!(scenario.job.calls[0].to, web);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_mend() {
        for (from, to, says) in [
            ("80/TCP, 53/UDP", "80", "8443/TCP"),
            ("80/TCP, 53/UDP", "0/TCP", "8443/TCP"),
            ("80/TCP, 53/UDP", "80/ICMP", "8443/TCP"),
            ("a/web, ports", "web, ports", "namespace/name"),
            ("from: kubelet", "from: kubelets", "kubelet"),
            ("every: 500ms", "every: soon", "500ms"),
            ("every: 500ms", "every: 0s", "500ms"),
            ("connection: held", "conection: held", "conection"),
        ] {
            let text = SMALL.replace(from, to);
            assert_ne!(text, SMALL, "{from}");
            let error = Scenario::read(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
