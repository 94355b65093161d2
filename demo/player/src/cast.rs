//! Casts a scenario: each pod of the snapshot, the kubelet and the world outside get a part.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::part::{Dial, Errand, Listener, Part, Round};
use crate::pod::Pod;
use crate::scenario::{Answer, Call, Caller, Port, Scenario, WorkloadName};

/// Which families of addresses this machine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 alone: what the scenario does over IPv6 is left out.
    V4,
    /// Both.
    V4AndV6,
}

/// A cast scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// Those who play from the beginning to the end.
    pub parts: Vec<Part>,
    /// The one who comes and goes.
    pub job: Part,
    /// The job's pod cgroup, which comes and goes with it.
    pub job_cgroup: PathBuf,
    /// Every address that anybody has, the node's own left out.
    pub addresses: BTreeSet<IpAddr>,
}

/// A scenario that the snapshot cannot play.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// A workload without pods.
    #[error("the scenario names {0}, and the snapshot has no pod of that name")]
    NoPod(WorkloadName),
    /// Nobody would answer.
    #[error("{caller} calls {to} at {port}, where nobody listens: add it to servers, or say answer: refused")]
    NobodyListens {
        /// Who calls.
        caller: String,
        /// Whom.
        to: WorkloadName,
        /// Where.
        port: Port,
    },
    /// Somebody would.
    #[error("{caller} expects {to} to refuse {port}, which is among its servers")]
    SomebodyListens {
        /// Who calls.
        caller: String,
        /// Whom.
        to: WorkloadName,
        /// Where.
        port: Port,
    },
    /// The peer has no address of the caller's family.
    #[error("{caller} cannot call {pod}: it has no address of that family")]
    Family {
        /// Who calls.
        caller: String,
        /// Whom.
        pod: String,
    },
}

/// Hands out the parts.
///
/// # Errors
/// [`CastError`] where scenario and snapshot do not fit.
pub fn cast(scenario: &Scenario, pods: &[Pod], families: Families) -> Result<Cast, CastError> {
    let speaks = |ip: &IpAddr| ip.is_ipv4() || families == Families::V4AndV6;
    let company = Company { scenario, pods };
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let mut addresses: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.iter().copied()).collect();

    for server in &scenario.servers {
        for pod in company.pods_of(&server.workload)? {
            let part = parts.entry(pod.name.clone()).or_insert_with(|| part_of(pod));
            for port in &server.ports {
                let at = pod.addresses.iter().filter(|ip| speaks(ip)).map(|ip| SocketAddr::new(*ip, port.number));
                part.servers.extend(at.map(|at| Listener { at, protocol: port.protocol }));
            }
        }
    }
    for (number, call) in scenario.calls.iter().enumerate() {
        company.check(call)?;
        let callers: Vec<(Part, IpAddr)> = match &call.from {
            Caller::Kubelet => vec![(outsider("kubelet", "kubelet"), scenario.node.probes_from)],
            Caller::Outside(ip) => {
                addresses.insert(*ip);
                vec![(outsider("outside", "outside"), *ip)]
            }
            Caller::Workload(workload) => {
                company.pods_of(workload)?.into_iter().map(|pod| (part_of(pod), pod.addresses[0])).collect()
            }
        };
        for (part, from) in callers.into_iter().filter(|(_, from)| speaks(from)) {
            let part = parts.entry(part.name.clone()).or_insert(part);
            let dials = company.dials(&part.name, from, &call.to, call.port)?;
            let every = call.every.0;
            let first_after = stagger(number + part.rounds.len(), every);
            let (connection, answer) = (call.connection, call.answer);
            part.rounds.push(Round { dials, first_after, every, connection, answer });
        }
    }

    let job = &scenario.job;
    let pod = company.pods_of(&job.workload)?[0];
    let mut part = part_of(pod);
    let mut dials = Vec::new();
    for call in &job.calls {
        company.check_port(&part.name, &call.to, call.port, Answer::Given)?;
        dials.extend(company.dials(&part.name, pod.addresses[0], &call.to, call.port)?.into_iter().next());
    }
    part.errand = Some(Errand { dials, ends_after: job.ends_after.0 });
    parts.remove(&pod.name);
    addresses.retain(speaks);
    Ok(Cast { parts: parts.into_values().collect(), job: part, job_cgroup: pod.cgroup().into(), addresses })
}

struct Company<'a> {
    scenario: &'a Scenario,
    pods: &'a [Pod],
}

impl<'a> Company<'a> {
    /// At least one.
    fn pods_of(&self, workload: &WorkloadName) -> Result<Vec<&'a Pod>, CastError> {
        let pods: Vec<&Pod> = self.pods.iter().filter(|pod| pod.workload == *workload).collect();
        if pods.is_empty() { Err(CastError::NoPod(workload.clone())) } else { Ok(pods) }
    }

    fn check(&self, call: &Call) -> Result<(), CastError> {
        let caller = match &call.from {
            Caller::Kubelet => "kubelet".to_owned(),
            Caller::Outside(ip) => ip.to_string(),
            Caller::Workload(workload) => workload.to_string(),
        };
        self.check_port(&caller, &call.to, call.port, call.answer)
    }

    fn check_port(&self, caller: &str, to: &WorkloadName, port: Port, answer: Answer) -> Result<(), CastError> {
        self.pods_of(to)?;
        let mut servers = self.scenario.servers.iter().filter(|server| server.workload == *to);
        let listens = servers.any(|server| server.ports.contains(&port));
        let (caller, to) = (caller.to_owned(), to.clone());
        match (answer, listens) {
            (Answer::Given, false) => Err(CastError::NobodyListens { caller, to, port }),
            (Answer::Refused, true) => Err(CastError::SomebodyListens { caller, to, port }),
            _ => Ok(()),
        }
    }

    fn dials(&self, caller: &str, from: IpAddr, to: &WorkloadName, port: Port) -> Result<Vec<Dial>, CastError> {
        let dial = |pod: &Pod| match pod.address_like(from) {
            Some(ip) => Ok(Dial { from, to: SocketAddr::new(ip, port.number), protocol: port.protocol }),
            None => Err(CastError::Family { caller: caller.to_owned(), pod: pod.name.clone() }),
        };
        self.pods_of(to)?.into_iter().map(dial).collect()
    }
}

fn part_of(pod: &Pod) -> Part {
    let (name, cgroup) = (pod.name.clone(), pod.container_cgroup().into());
    Part { name, cgroup, servers: Vec::new(), rounds: Vec::new(), errand: None }
}

/// Somebody who is no pod: the agent does not watch that cgroup.
fn outsider(name: &str, cgroup: &str) -> Part {
    Part { name: name.to_owned(), cgroup: cgroup.into(), servers: Vec::new(), rounds: Vec::new(), errand: None }
}

/// Spreads first calls over their span, the same in every play.
fn stagger(number: usize, every: Duration) -> Duration {
    // Odd tenths: calls of one pace do not fall together.
    let tenths = u32::try_from(number * 3 % 10).unwrap_or_default();
    every.mul_f64(f64::from(tenths) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "
node: {name: n, addresses: [10.0.0.1], probes_from: 10.0.0.1}
servers: [{workload: a/web, ports: [80/TCP, 53/UDP]}]
calls:
  - {from: kubelet, to: a/web, port: 80/TCP, every: 10s}
  - {from: '2001:db8::1', to: a/web, port: 80/TCP, every: 1s}
  - {from: a/scan, to: a/web, port: 22/TCP, every: 1s, answer: refused}
job: {workload: a/job, starts_after: 1s, ends_after: 2s, calls: [{to: a/web, port: 80/TCP}]}
";

    fn pods() -> Vec<Pod> {
        let pod = |name: &str, workload: &str, addresses: &[&str]| Pod {
            namespace: "a".to_owned(),
            name: name.to_owned(),
            workload: workload.parse().unwrap(),
            uid: name.to_owned(),
            container: "0".to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        vec![
            pod("web-1", "a/web", &["10.0.0.2", "fd00::2"]),
            pod("web-2", "a/web", &["10.0.0.3", "fd00::3"]),
            pod("scan", "a/scan", &["10.0.0.4"]),
            pod("job-1", "a/job", &["10.0.0.5"]),
        ]
    }

    fn cast_of(text: &str, families: Families) -> Result<Cast, CastError> {
        cast(&Scenario::read(text).unwrap(), &pods(), families)
    }

    #[test]
    fn every_pod_of_a_workload_plays_its_part_and_a_job_calls_once() {
        let cast = cast_of(SCENARIO, Families::V4AndV6).unwrap();
        let names: Vec<&str> = cast.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["kubelet", "outside", "scan", "web-1", "web-2"]);
        assert_eq!(cast.parts[0].rounds[0].dials.len(), 2);
        assert_eq!(cast.parts[0].cgroup, PathBuf::from("kubelet"));
        assert_eq!(cast.parts[1].rounds[0].dials[1].to, "[fd00::3]:80".parse().unwrap());
        assert_eq!(cast.parts[3].servers.len(), 4);
        assert_eq!(cast.parts[3].cgroup, PathBuf::from("kubepods/burstable/podweb-1/0"));
        assert_eq!(cast.job.errand.unwrap().dials.len(), 1);
        assert!(cast.addresses.contains(&"2001:db8::1".parse().unwrap()));
        assert!(!cast.addresses.contains(&"10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn without_ipv6_nothing_is_done_over_it() {
        let cast = cast_of(SCENARIO, Families::V4).unwrap();
        assert!(cast.parts.iter().all(|part| part.name != "outside"));
        assert_eq!(cast.parts[2].servers.len(), 2);
        assert!(cast.addresses.iter().all(IpAddr::is_ipv4));
    }

    #[test]
    fn a_scenario_that_does_not_fit_is_refused() {
        for (from, to, says) in [
            ("a/web, ports", "a/none, ports", "a/none"),
            ("80/TCP, every: 10s", "81/TCP, every: 10s", "nobody listens"),
            ("22/TCP, every", "80/TCP, every", "refuse"),
            (
                "from: '2001:db8::1', to: a/web, port: 80/TCP, every: 1s",
                "from: '2001:db8::1', to: a/scan, port: 1/TCP, every: 1s, answer: refused",
                "family",
            ),
        ] {
            let error = cast_of(&SCENARIO.replace(from, to), Families::V4AndV6).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn first_calls_are_spread_over_their_span() {
        let every = Duration::from_secs(10);
        let firsts: BTreeSet<Duration> = (0..10).map(|number| stagger(number, every)).collect();
        assert_eq!(firsts.len(), 10);
        assert!(firsts.iter().all(|first| *first < every));
    }
}
