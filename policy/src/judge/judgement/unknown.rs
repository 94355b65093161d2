//! Connections that may be newly denied, as parts of the report that could not be evaluated.

use crate::judge::assessment::Assessment;
use crate::judge::judgement::Judgement;
use crate::policy::admin_peer::Unknown;
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::count;

impl Judgement<'_> {
    /// One part for each rule that cannot be evaluated. Workloads that no longer exist do not count.
    pub(super) fn unknown(&self, assessment: &Assessment) -> Vec<UndecidedPart> {
        let parts = assessment.unknown.iter().filter_map(|(key, unknown)| {
            let mut connections = unknown.connections.iter().filter(|connection| !self.is_gone(&connection.subject));
            let first = connections.next()?;
            let more = match connections.count() as u64 {
                0 => String::new(),
                more => {
                    format!("; {} on the same rule", count(more, "more connection depends", "more connections depend"))
                }
            };
            let fix = match key.why {
                Unknown::Domain => {
                    "name the networks of the destination in a rule, or accept the denial with an AuditException"
                }
                Unknown::Pod => {
                    "use a snapshot that keeps deleted pods (--append), or accept the denial with an AuditException"
                }
            };
            Some(UndecidedPart {
                places: vec![self.place_of(&key.policy)],
                what: format!("{}{more}", first.question),
                fix: fix.to_owned(),
            })
        });
        parts.collect()
    }

    pub(super) fn place_of(&self, policy: &PolicyRef) -> String {
        let change = self.plan.enforced.iter().find(|change| change.reference == *policy);
        change.map_or_else(|| policy.to_string(), |change| change.place.clone())
    }
}
