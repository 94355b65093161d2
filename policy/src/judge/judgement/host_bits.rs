//! CIDRs with host bits in new objects. Kubernetes refuses them from 1.36 on (`StrictIPCIDRValidation`), and cleared them in effect
//! before.

use std::collections::BTreeSet;

use crate::change::revisions::{Change, Sourced};
use crate::cluster::inventory::Cluster;
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::cidr::OldForm;
use foretell_objects::resource::cidrs;

/// The first version whose API server refuses them.
const REFUSING: (u32, u32) = (1, 36);

/// What there is to say of host bits that a change adds.
#[derive(Debug, Default)]
pub(super) struct HostBits {
    /// The cluster's API server refuses the objects.
    pub(super) refused: Vec<UndecidedPart>,
    /// It accepts them, or its version is unknown.
    pub(super) notes: Vec<String>,
}

/// Finds the host bits that a change adds. A CIDR that the object has at the base is stored, and accepted in every version.
pub(super) fn find(change: &Change, cluster: &Cluster) -> HostBits {
    let mut found = HostBits::default();
    let kubelet = cluster.nodes().newest_kubelet();
    for Sourced { object, place } in &change.after {
        let before = change.before.iter().find(|before| before.object.id() == object.id());
        let stored: BTreeSet<String> = before.map(|before| cidrs::texts(&before.object)).unwrap_or_default();
        let faults = cidrs::faults_of_forms(object, &stored, &[OldForm::HostBits]);
        if faults.is_empty() {
            continue;
        }
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let (id, faults) = (object.id(), faults.join("; "));
        let version = match kubelet {
            Some(version) if version >= REFUSING => {
                let what = format!("{id} has CIDRs that Kubernetes refuses in new or changed objects: {faults}");
                let fix = "write them as suggested".to_owned();
                found.refused.push(UndecidedPart { places: vec![place.to_string()], what, fix });
                continue;
            }
            Some((major, minor)) => format!("the nodes run {major}.{minor}"),
            None => "the version of the cluster is not known".to_owned(),
        };
        found.notes.push(format!(
            "{place}: {id}: {faults}; Kubernetes refuses this in new or changed objects from 1.36 on, and {version}"
        ));
    }
    found
}
