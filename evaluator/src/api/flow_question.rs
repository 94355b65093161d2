//! `POST /evaluate`: what the audit policies say about one flow. The JSON is kguardian's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use foretell_objects::model::flow::{Direction, Endpoint, Flow, Protocol};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::explain::evaluation::evaluate;
use foretell_service::contract::PolicySummary;
use foretell_service::refusal::Refusal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::judge::judged::Judged;
use crate::judge::verdicts::{audited_world, verdict_text};

/// The flow that a caller asks about. Each end has an address, or the name of a pod whose address is known.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowQuestion {
    src_pod_namespace: Option<String>,
    src_pod_name: Option<String>,
    dst_pod_namespace: Option<String>,
    dst_pod_name: Option<String>,
    #[serde(rename = "srcIP")]
    src_ip: Option<IpAddr>,
    #[serde(rename = "dstIP")]
    dst_ip: Option<IpAddr>,
    dst_port: u16,
    protocol: Protocol,
    timestamp: Option<Timestamp>,
}

/// The answer: each audit policy in each direction.
#[derive(Debug, Serialize)]
pub struct FlowVerdicts {
    results: Vec<FlowVerdict>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FlowVerdict {
    policy_namespace: String,
    policy_name: String,
    #[serde(rename = "policyUID", skip_serializing_if = "Option::is_none")]
    policy_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_generation: Option<i64>,
    direction: Direction,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl FlowQuestion {
    fn flow(self, cluster: &Cluster, now: Timestamp) -> Result<Flow, Refusal> {
        let end = |side: &str, namespace: Option<String>, name: Option<String>, ip: Option<IpAddr>| {
            let known = namespace.as_ref().zip(name.as_ref()).and_then(|(namespace, name)| {
                let pod = *cluster.pods_by_name(namespace, name).last()?;
                cluster.pod(pod).addresses.first().copied()
            });
            let ip = ip.or(known).ok_or_else(|| {
                Refusal::bad_request(format!("{side}: give an address, or the namespace and name of a known pod"))
            })?;
            Ok::<_, Refusal>(Endpoint { ip, pod_uid: None, namespace, pod: name })
        };
        let at = self.timestamp.unwrap_or(now);
        let src = end("source", self.src_pod_namespace, self.src_pod_name, self.src_ip)?;
        let dst = end("destination", self.dst_pod_namespace, self.dst_pod_name, self.dst_ip)?;
        Ok(Flow::probe(src, dst, self.protocol, self.dst_port, at))
    }
}

/// Evaluates the flow by every audit policy. A policy that does not apply in a direction is `NotApplicable`.
///
/// # Errors
/// [`Refusal`]: 400 an end has neither an address nor the name of a known pod.
pub fn answer(judged: &Judged, question: FlowQuestion) -> Result<FlowVerdicts, Refusal> {
    let assembled = &judged.assembled;
    let flow = question.flow(&assembled.cluster, assembled.at)?;
    let world = audited_world(assembled);
    let summaries = || judged.policies.iter().map(|policy| &policy.summary);
    let mut results = Vec::new();
    let mut answered: BTreeSet<(&str, &str, Direction)> = BTreeSet::new();
    for line in evaluate(&world, &flow, 0).lines {
        let (namespace, name) = (line.policy.namespace.as_str(), line.policy.name.as_str());
        answered.insert((namespace, name, line.direction));
        let known = summaries().find(|summary| summary.namespace == namespace && summary.name == name);
        results.push(FlowVerdict {
            policy_namespace: namespace.to_owned(),
            policy_name: name.to_owned(),
            policy_uid: known.map(|summary| summary.uid.clone()),
            policy_generation: known.map(|summary| summary.generation),
            direction: line.direction,
            verdict: verdict_text(line.verdict),
            reason: line.message.or(line.reason.map(str::to_owned)),
        });
    }
    for summary in summaries() {
        for direction in Direction::BOTH {
            if !answered.contains(&(summary.namespace.as_str(), summary.name.as_str(), direction)) {
                results.push(not_applicable(summary, direction));
            }
        }
    }
    Ok(FlowVerdicts { results })
}

fn not_applicable(summary: &PolicySummary, direction: Direction) -> FlowVerdict {
    FlowVerdict {
        policy_namespace: summary.namespace.clone(),
        policy_name: summary.name.clone(),
        policy_uid: Some(summary.uid.clone()),
        policy_generation: Some(summary.generation),
        direction,
        verdict: "NotApplicable",
        reason: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use crate::scene::{Scene, audit_policy, ip, spec};

    use super::*;

    type Found = BTreeMap<(String, Direction), &'static str>;

    fn ask(question: Value) -> Result<Found, Refusal> {
        let policies = [audit_policy("web", &spec("web", &["batch"])), audit_policy("batch", &spec("batch", &[]))];
        let judged = Scene::new(&policies).judge(SignedDuration::ZERO);
        let answer = answer(&judged, serde_json::from_value(question).unwrap())?;
        for result in &answer.results {
            assert_eq!(result.policy_uid, Some(format!("uid-{}", result.policy_name)));
            assert_eq!(result.policy_generation, Some(1));
            assert_eq!(result.reason.is_some(), result.verdict == "WouldDeny", "{result:?}");
        }
        assert_eq!(answer.results.len(), 4, "each policy in each direction, once");
        Ok(answer.results.into_iter().map(|it| ((it.policy_name, it.direction), it.verdict)).collect())
    }

    /// The verdict of the policy web on ingress. Nothing else applies.
    fn verdict(question: Value) -> &'static str {
        let mut found = ask(question).unwrap();
        let verdict = found.remove(&("web".to_owned(), Direction::Ingress)).unwrap();
        assert!(found.len() == 3 && found.values().all(|verdict| *verdict == "NotApplicable"), "{found:?}");
        verdict
    }

    #[test]
    fn ends_are_addresses_or_names_of_pods() {
        let named = |src: &str| {
            json!({"srcPodNamespace": "shop", "srcPodName": src, "dstPodNamespace": "shop", "dstPodName": "web",
                "dstPort": 80, "protocol": "TCP"})
        };
        assert_eq!(verdict(named("batch")), "Allow");
        assert_eq!(verdict(named("scraper")), "WouldDeny");
        let by_address = |src: &str| json!({"srcIP": ip(src), "dstIP": ip("web"), "dstPort": 80, "protocol": "TCP"});
        assert_eq!(verdict(by_address("batch")), "Allow");
        assert_eq!(verdict(by_address("elsewhere")), "WouldDeny");
        let elsewhere = json!({"srcIP": ip("batch"), "dstIP": ip("scraper"), "dstPort": 80, "protocol": "UDP"});
        assert_eq!(verdict(elsewhere), "NotApplicable");
    }

    #[test]
    fn an_end_that_is_not_known_is_refused() {
        let address = json!({"srcIP": ip("batch"), "dstIP": ip("web"), "dstPort": 80, "protocol": "TCP"});
        for (field, side) in [("srcIP", "source: "), ("dstIP", "destination: ")] {
            let mut question = address.clone();
            question.as_object_mut().unwrap().remove(field);
            let refusal = ask(question.clone()).unwrap_err();
            assert!(refusal.status.as_u16() == 400 && refusal.message.starts_with(side), "{}", refusal.message);
            let prefix = &field[..3];
            question[format!("{prefix}PodNamespace")] = "shop".into();
            question[format!("{prefix}PodName")] = "nothing".into();
            assert!(ask(question).unwrap_err().message.starts_with(side));
        }
    }
}
