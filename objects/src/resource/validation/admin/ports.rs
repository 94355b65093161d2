//! The ports of a rule of an admin policy, in both forms.

use crate::resource::admin::ports::{ClusterPort, DestinationPort, Port};
use crate::resource::admin_view::Ports;
use crate::resource::object::path::Path;
use crate::resource::validation::Strictness;
use crate::resource::validation::admin::Check;

const PORTS: std::ops::RangeInclusive<i32> = 1..=65535;

impl Check<'_> {
    pub(super) fn ports(&mut self, ports: Ports<'_>, rule: &Path<'_>) {
        match ports {
            Ports::Any => {}
            Ports::Ports(ports) => {
                let path = Path::Field(rule, "ports");
                self.count(ports.len(), 1..=self.most(), &path);
                for (n, port) in ports.iter().enumerate() {
                    self.port(port, &Path::Item(&path, n));
                }
            }
            Ports::Protocols(ports) => {
                let path = Path::Field(rule, "protocols");
                self.count(ports.len(), 1..=self.most(), &path);
                for (n, port) in ports.iter().enumerate() {
                    self.cluster_port(port, &Path::Item(&path, n));
                }
            }
        }
    }

    fn port(&mut self, port: &Port, path: &Path<'_>) {
        match (&port.port_number, &port.named_port, &port.port_range) {
            (Some(one), None, None) => {
                let path = Path::Field(path, "portNumber");
                self.protocol(&one.protocol, &path);
                self.number(one.port, &Path::Field(&path, "port"));
            }
            (None, Some(_), None) => {}
            (None, None, Some(range)) => {
                let path = Path::Field(path, "portRange");
                self.protocol(&range.protocol, &path);
                self.number(range.start, &Path::Field(&path, "start"));
                self.number(range.end, &Path::Field(&path, "end"));
            }
            _ => self.fault(path, "write one of portNumber, namedPort and portRange"),
        }
    }

    /// The definition accepts any text, and an unknown protocol matches nothing. Stored objects may have one; in a new object
    /// it is a mistake.
    fn protocol(&mut self, protocol: &str, path: &Path<'_>) {
        if self.strictness == Strictness::New && !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            let problem = format!("{protocol:?} is not a protocol of a policy: write TCP, UDP or SCTP");
            self.fault(&Path::Field(path, "protocol"), problem);
        }
    }

    fn cluster_port(&mut self, port: &ClusterPort, path: &Path<'_>) {
        let ClusterPort { tcp, udp, sctp, destination_named_port } = port;
        let protocols: Vec<_> = [("tcp", tcp), ("udp", udp), ("sctp", sctp)]
            .into_iter()
            .filter_map(|(field, of)| Some((field, of.as_ref()?)))
            .collect();
        if protocols.len() + usize::from(destination_named_port.is_some()) != 1 {
            return self.fault(path, "write one of tcp, udp, sctp and destinationNamedPort");
        }
        for (field, of) in protocols {
            let path = Path::Field(path, field);
            match &of.destination_port {
                Some(port) => self.destination_port(port, &Path::Field(&path, "destinationPort")),
                None => self.fault(&path, "write destinationPort: a protocol without a port is refused"),
            }
        }
    }

    fn destination_port(&mut self, port: &DestinationPort, path: &Path<'_>) {
        match (port.number, &port.range) {
            (Some(number), None) => self.number(number, &Path::Field(path, "number")),
            (None, Some(range)) => {
                let path = Path::Field(path, "range");
                self.number(range.start, &Path::Field(&path, "start"));
                self.number(range.end, &Path::Field(&path, "end"));
                if range.start >= range.end {
                    let problem = format!("{} is not below end {}: write the first port", range.start, range.end);
                    self.fault(&Path::Field(&path, "start"), problem);
                }
            }
            _ => self.fault(path, "write number or range"),
        }
    }

    fn number(&mut self, port: i32, path: &Path<'_>) {
        if !PORTS.contains(&port) {
            let (first, last) = (PORTS.start(), PORTS.end());
            self.fault(path, format!("{port} is not a port: write a number from {first} to {last}"));
        }
    }
}
