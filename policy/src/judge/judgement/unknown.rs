//! What may be newly denied and cannot be told, as the report says it.

use crate::judge::assessment::Assessment;
use crate::judge::judgement::Judgement;
use crate::model::policy_ref::PolicyRef;
use crate::model::words::count;
use crate::policy::admin_peer::Unknown as Why;
use crate::report::data::UndecidedPart;

impl Judgement<'_, '_, '_> {
    /// A part for each rule on which it depends. Workloads that have gone are nobody who could be denied.
    pub(super) fn unknown(&self, assessment: &Assessment) -> Vec<UndecidedPart> {
        let parts = assessment.unknown.iter().filter_map(|(key, unknown)| {
            let mut connections = unknown.connections.iter().filter(|connection| !self.is_gone(&connection.subject));
            let first = connections.next()?;
            let more = match connections.count() as u64 {
                0 => String::new(),
                more => format!("; the same is not known of {}", count(more, "more connection", "more connections")),
            };
            let fix = match key.why {
                Why::Domain => "name the destination by networks too, or accept the denial by an AuditException",
                Why::Pod => {
                    "take a snapshot that keeps pods which have gone (--append), or accept the denial by an AuditException"
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

    fn place_of(&self, policy: &PolicyRef) -> String {
        let change = self.plan.enforced.iter().find(|change| change.reference == *policy);
        change.map_or_else(|| policy.to_string(), |change| change.place.clone())
    }
}
