//! Generates a policy for a workload from its traffic: it allows the connections in use, and nothing else.
//!
//! The rules are the fix of a policy that allows nothing, judged as an audit policy that a change adds. So the code that suggests
//! fixes and the code that judges is the same here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

use crate::change::revisions::{Change, Place, Sourced};
use crate::cluster::party::{Party, from_to};
use crate::cluster::workload::Workload;
use crate::engine::identities::Identities;
use crate::engine::overlay::Overlay;
use crate::engine::world::World;
use crate::judge::fix::new_policy;
use crate::judge::fix::stable::selecting;
use crate::judge::judgement::{Inputs, judge};
use crate::report::data::Report;
use crate::report::policies::FixReport;
use foretell_objects::manifest::write_yaml as yaml;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::words::{count, minute};
use foretell_objects::resource::object::Kind;

/// Why no policy can be generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The snapshot has no pod of the workload, neither a running nor a deleted one.
    #[error("{workload} has no pod in the snapshot{}", suggestion(others))]
    NoPods {
        /// The requested workload.
        workload: Party,
        /// Workloads in the same namespace.
        others: Vec<String>,
    },
    /// No label selects the workload's pods across rollouts.
    #[error("{0}: its pods have no label that stays the same across rollouts, so no policy can select them; add one")]
    NoStableLabel(Party),
    /// Kubernetes does not accept the policy's name.
    #[error("{0}")]
    Name(String),
}

fn suggestion(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; the namespace has {}", others.join(", ")) }
}

/// A generated policy.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The manifest of an `AuditNetworkPolicy`.
    pub manifest: Value,
    /// The report on a change that adds the policy.
    pub report: Report,
}

impl Generated {
    /// The rules as a fix of a policy that allows nothing; `None` if the workload has no connection in use.
    #[must_use]
    pub fn fix(&self) -> Option<&FixReport> {
        self.report.previews.first()?.fix.as_ref()
    }

    /// The manifest as YAML. Comments at the top say what it allows, what it leaves out, and what else it would allow.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        let evidence = &self.report.evidence;
        let connections = self.fix().map_or(0, |fix| fix.resolves.len() as u64);
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "# Allows {} from {} to {}.",
            count(connections, "connection in use", "connections in use"),
            minute(evidence.from),
            minute(evidence.to),
        );
        let denials = self.report.previews.iter().flat_map(|preview| &preview.denials);
        let named = |id| denials.clone().find(|denial| denial.id == id);
        for left in self.fix().into_iter().flat_map(|fix| &fix.unresolvable) {
            if let Some(denial) = named(left.denial.clone()) {
                let (peer, protocol, port) = (&denial.peer, denial.protocol, denial.port);
                let toward = if denial.direction == Direction::Ingress { "from" } else { "to" };
                let _ = writeln!(text, "# Left out: {protocol} {port} {toward} {peer}: {}.", left.why);
            }
        }
        for connection in self.fix().into_iter().flat_map(|fix| &fix.also_allows) {
            let (from, to) = from_to(connection.direction, &connection.subject, &connection.peer);
            let _ = writeln!(text, "# Also allows: {} {} from {from} to {to}.", connection.protocol, connection.port);
        }
        text + &yaml::text(&self.manifest)
    }
}

/// Generates a policy with this name that restricts these directions of the workload's traffic. The change of `inputs` is ignored.
///
/// ```
/// use foretell_policy::cluster::workload::Workload;
/// use foretell_policy::judge::generate::{GenerateError, generate};
/// use foretell_policy::judge::judgement::Inputs;
/// use foretell_objects::model::flow::Direction;
///
/// /// An audit policy for the ingress of a Deployment, as YAML.
/// fn audit_policy(inputs: &Inputs<'_>, namespace: &str, name: &str) -> Result<String, GenerateError> {
///     let (namespace, kind) = (namespace.to_owned(), "Deployment".to_owned());
///     let workload = Workload { namespace, kind, name: name.to_owned() };
///     Ok(generate(inputs, &workload, &[Direction::Ingress], name)?.to_yaml())
/// }
/// ```
///
/// # Errors
/// [`GenerateError`] if the snapshot has no pod of the workload, if its pods have no stable label, or if the name is invalid.
pub fn generate(
    inputs: &Inputs<'_>,
    workload: &Workload,
    directions: &[Direction],
    name: &str,
) -> Result<Generated, GenerateError> {
    let party = Party::workload(workload);
    let nothing = Overlay::default();
    let identities = Identities::overlaid(inputs.cluster, inputs.at, &nothing, &nothing);
    let world = World::new(inputs.cluster, Arc::new(identities), Vec::new());
    let neighbours = inputs.cluster.pods().filter(|(_, pod)| pod.namespace == workload.namespace);
    let neighbours: BTreeSet<&Workload> = neighbours.map(|(_, pod)| &pod.workload).collect();
    if !neighbours.contains(workload) {
        let others = neighbours.iter().map(ToString::to_string).collect();
        return Err(GenerateError::NoPods { workload: party, others });
    }
    let labels = selecting(&party, &world, inputs.at).ok_or(GenerateError::NoStableLabel(party))?;
    let mut manifest = new_policy::manifest(Kind::AuditNetworkPolicy, &workload.namespace, name, &labels, directions);
    let object = new_policy::object(manifest.clone()).map_err(|error| GenerateError::Name(error.to_string()))?;
    let place = Place { file: "generated".to_owned(), document: 1, item: String::new() };
    let change = Change { after: vec![Sourced { object, place }], ..Change::default() };
    let report = judge(&Inputs { change: &change, ..inputs.clone() });
    if let Some(fix) = report.previews.first().and_then(|preview| preview.fix.as_ref()) {
        manifest["spec"] = fix.spec.clone();
    }
    Ok(Generated { manifest, report })
}
