//! What may be newly denied and cannot be told, as the report says it.

use super::Judgement;
use crate::assessment::Assessment;
use crate::compiled::PolicyRef;
use crate::report::UndecidedPart;
use crate::report::words::count;
use crate::tier::peer::Unknown as Why;

impl Judgement<'_, '_, '_> {
    /// A part for each rule on which it depends. Workloads that have gone are nobody who could be denied.
    pub(super) fn unknown(&self, assessment: &Assessment) -> Vec<UndecidedPart> {
        let parts = assessment.unknown.iter().filter_map(|(key, unknown)| {
            let mut relations = unknown.relations.iter().filter(|relation| !self.is_gone(&relation.subject));
            let first = relations.next()?;
            let more = match relations.count() as u64 {
                0 => String::new(),
                more => format!("; the same is not known of {}", count(more, "more relation", "more relations")),
            };
            let mend = match key.why {
                Why::Domain => "name the destination by networks too, or accept the denial by an AuditException",
                Why::Pod => {
                    "take a snapshot that keeps pods which have gone (--append), or accept the denial by an AuditException"
                }
            };
            Some(UndecidedPart {
                places: vec![self.place_of(&key.policy)],
                what: format!("{}{more}", first.question),
                mend: mend.to_owned(),
            })
        });
        parts.collect()
    }

    fn place_of(&self, policy: &PolicyRef) -> String {
        let change = self.plan.enforced.iter().find(|change| change.reference == *policy);
        change.map_or_else(|| policy.to_string(), |change| change.place.clone())
    }
}
