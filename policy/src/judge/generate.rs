//! A policy for a workload, out of its traffic: it allows what was in use, and nothing else.
//!
//! It is the fix of a policy that allows nothing, judged as an audit policy that a change adds: there is no second way to write
//! rules, nor to judge them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::change::revisions::{Change, Place, Sourced};
use crate::cluster::party::Party;
use crate::cluster::workload::Workload;
use crate::engine::identities::Identities;
use crate::engine::overlay::Overlay;
use crate::engine::world::World;
use crate::judge::fix::stable::selecting;
use crate::judge::judgement::{Inputs, judge};
use crate::manifest::write_yaml as yaml;
use crate::model::flow::Direction;
use crate::model::labels::Labels;
use crate::model::words::{count, minute};
use crate::report::data::Report;
use crate::report::policies::FixReport;
use crate::resource::object::Object;
use crate::resource::object::origin::Origin;
use crate::resource::read::read;

/// Why there is no policy for a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The snapshot has no pod of it, and none that has gone.
    #[error("{workload} has no pod in the snapshot{}", suggestion(others))]
    NoPods {
        /// What was asked for.
        workload: Party,
        /// What has pods there.
        others: Vec<String>,
    },
    /// Its pods cannot be selected.
    #[error(
        "{0}: its pods have no label that the next ones will have too, by which a policy could select them: give them one"
    )]
    NoStableLabel(Party),
    /// The name is none that Kubernetes takes.
    #[error("{0}")]
    Name(String),
}

fn suggestion(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; in its namespace are {}", others.join(", ")) }
}

/// A policy and how it was made.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The manifest of an `AuditNetworkPolicy`.
    pub manifest: Value,
    /// What the policy would do.
    pub report: Report,
}

impl Generated {
    /// How its rules came to be; `None`: no traffic of the workload was in use.
    #[must_use]
    pub fn fix(&self) -> Option<&FixReport> {
        self.report.previews.first()?.fix.as_ref()
    }

    /// The manifest as YAML, with what is to be known of it in comments.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        let evidence = &self.report.evidence;
        let connections = self.fix().map_or(0, |fix| fix.resolves.len() as u64);
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "# Allows {} of {} to {}.",
            count(connections, "connection in use", "connections in use"),
            minute(evidence.from),
            minute(evidence.to),
        );
        let denials = self.report.previews.iter().flat_map(|preview| &preview.denials);
        let named = |id| denials.clone().find(|denial| denial.id == id);
        for left in self.fix().into_iter().flat_map(|fix| &fix.unresolvable) {
            if let Some(denial) = named(left.denial.clone()) {
                let (peer, protocol, port) = (&denial.peer, denial.protocol, denial.port);
                let _ = writeln!(text, "# Left out: {} {peer}, {protocol} {port}: {}.", denial.direction, left.why);
            }
        }
        for connection in self.fix().into_iter().flat_map(|fix| &fix.also_allows) {
            let (subject, peer) = (&connection.subject, &connection.peer);
            let (direction, protocol, port) = (connection.direction, connection.protocol, connection.port);
            let _ = writeln!(text, "# Also allows: {direction} of {subject} with {peer}, {protocol} {port}.");
        }
        text + &yaml::text(&self.manifest)
    }
}

/// Makes a policy of this name for a workload, which restricts these directions. The change of `inputs` does not count.
///
/// # Errors
/// [`GenerateError`]
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
    let mut manifest = blank(workload, &labels, directions, name);
    let change = Change { after: vec![sourced(manifest.clone())?], ..Change::default() };
    let report = judge(&Inputs { change: &change, ..inputs.clone() });
    if let Some(fix) = report.previews.first().and_then(|preview| preview.fix.as_ref()) {
        manifest["spec"] = fix.spec.clone();
    }
    Ok(Generated { manifest, report })
}

/// A policy that allows nothing.
fn blank(workload: &Workload, labels: &Labels, directions: &[Direction], name: &str) -> Value {
    let types: Vec<String> = directions.iter().map(ToString::to_string).collect();
    json!({
        "apiVersion": "kguardian.dev/v1alpha1",
        "kind": "AuditNetworkPolicy",
        "metadata": {"name": name, "namespace": workload.namespace},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": types},
    })
}

fn sourced(manifest: Value) -> Result<Sourced, GenerateError> {
    let origin = Origin::Manifest { default_namespace: String::new() };
    let object: Option<Object> = read(manifest, &origin).map_err(|error| GenerateError::Name(error.to_string()))?;
    let object = object.ok_or_else(|| GenerateError::Name("not a policy".to_owned()))?;
    Ok(Sourced { object, place: Place { file: "generated".to_owned(), document: 1, item: String::new() } })
}
