//! Changes of policies that are not evaluated: those of a CNI's or mesh's own kind, and those inside objects of other kinds. They decide
//! about the same traffic, so that the answer is "could not decide".

use std::collections::BTreeSet;

use foretell_objects::model::other_policies::{Role, Scope};
use foretell_objects::resource::contained::ContainedPolicy;
use foretell_objects::resource::other_policy::OtherPolicy;

use super::{ComparableEntry, named};
use crate::change::revisions::files::{DocumentKey, ReadDocument};
use crate::change::revisions::{Change, NotJudged, Undecided};

/// The change touches a policy of a CNI's or mesh's own kind. One that is not enforced, before and after the change, is only reported.
pub(super) fn other_policy(
    policy: &OtherPolicy,
    gained: &[&ComparableEntry<'_>],
    lost: &[&ComparableEntry<'_>],
    change: &mut Change,
) {
    let done = action(gained.is_empty(), lost.is_empty());
    let is_enforced = |comparable: &&&ComparableEntry<'_>| matches!(&comparable.entry.reading, ReadDocument::OtherPolicy(policy) if policy.is_enforced());
    if !gained.iter().chain(lost).any(|comparable| is_enforced(&comparable)) {
        let file = gained.first().or(lost.first()).map(|comparable| comparable.file().to_owned()).unwrap_or_default();
        let why = format!("{policy} is {done}: it is not evaluated, and {} does not enforce it", policy.row.project);
        change.not_judged.push(NotJudged { file, why });
        return;
    }
    let project = policy.row.project;
    let (why, rewrite) = match (policy.row.role, policy.row.scope) {
        (_, Scope::Unknown) => ("a kind that Foretell does not know, and that is a policy by its name".to_owned(), ""),
        (Role::Policy { .. }, _) => (
            format!("a policy of {project}'s own kind, which Foretell does not evaluate"),
            ", or write it as a NetworkPolicy or ClusterNetworkPolicy, which Foretell evaluates",
        ),
        (Role::Support | Role::Set | Role::NotEnforced, _) => {
            (format!("a part of {project}'s own policies, which Foretell does not evaluate"), "")
        }
    };
    change.undecided.push(Undecided {
        places: places(gained, lost),
        what: format!("{policy} is {done}: it is {why}"),
        fix: format!("review by hand which traffic it allows and denies, and merge it on that review{rewrite}"),
    });
}

/// The change touches policies inside an object of another kind.
pub(super) fn holder(
    key: &DocumentKey,
    gained: &[&ComparableEntry<'_>],
    lost: &[&ComparableEntry<'_>],
    change: &mut Change,
) {
    let policies = |side: &[&ComparableEntry<'_>]| -> Vec<ContainedPolicy> {
        let policies = side.iter().filter_map(|comparable| match &comparable.entry.reading {
            ReadDocument::Holder { policies, .. } => Some(policies.clone()),
            _ => None,
        });
        policies.flatten().collect()
    };
    let (before, after) = (policies(lost), policies(gained));
    let titles = |side: &[ContainedPolicy], other: &[ContainedPolicy]| -> BTreeSet<String> {
        side.iter().filter(|policy| !other.contains(policy)).map(|policy| policy.title.clone()).collect()
    };
    if before == after {
        // Something else in the object is touched, such as a pod template.
        return;
    }
    let (removed, added) = (titles(&before, &after), titles(&after, &before));
    let touched: Vec<String> = removed
        .union(&added)
        .map(|title| format!("{title} ({})", action(!added.contains(title), !removed.contains(title))))
        .collect();
    let touched = if touched.is_empty() { "their order (changed)".to_owned() } else { touched.join(", ") };
    let fix = match key.kind.as_str() {
        "Template" => "render it, for example with --render 'oc process --local -o yaml -f FILE'".to_owned(),
        "ResourceSet" => "render it, for example with --render 'flux-operator build resourceset -f FILE'".to_owned(),
        _ => "review by hand which policies it applies, or write them as manifests of their own".to_owned(),
    };
    change.undecided.push(Undecided {
        places: places(gained, lost),
        what: format!(
            "the change touches policies inside {}, which Foretell does not evaluate there: {touched}",
            named(key)
        ),
        fix,
    });
}

fn action(gains_nothing: bool, loses_nothing: bool) -> &'static str {
    match (gains_nothing, loses_nothing) {
        (true, _) => "removed",
        (false, true) => "added",
        (false, false) => "changed",
    }
}

/// The places of the merged tree; those of the base, if the object is removed.
fn places(gained: &[&ComparableEntry<'_>], lost: &[&ComparableEntry<'_>]) -> Vec<String> {
    if gained.is_empty() {
        lost.iter().map(|comparable| format!("{} (base)", comparable.entry.place)).collect()
    } else {
        gained.iter().map(|comparable| comparable.entry.place.to_string()).collect()
    }
}
