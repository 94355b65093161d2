//! Filters and pages of `GET /v1/denials`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use foretell_objects::model::flow::Direction;
use foretell_policy::report::connection::{Denial, State};
use foretell_policy::report::denial::DenialId;
use foretell_service::contract::DenialPage;
use foretell_service::query::parameters;
use foretell_service::refusal::Refusal;

/// Denials on a page, if the query has no limit.
const DEFAULT_LIMIT: usize = 100;
/// Most denials on a page.
const MOST: usize = 1000;

const PARAMETERS: [&str; 8] = ["policy", "namespace", "direction", "port", "peer", "state", "cursor", "limit"];

/// The state by its name in answers.
const STATES: [(&str, State); 5] = [
    ("unresolved", State::Unresolved),
    ("accepted", State::Accepted),
    ("guessed", State::Guessed),
    ("notInUse", State::NotInUse),
    ("gone", State::Gone),
];

/// Which denials a caller wants. All filters must match.
#[derive(Debug, PartialEq)]
pub struct DenialQuery {
    filters: Vec<Filter>,
    /// The id after which the page begins.
    cursor: Option<String>,
    limit: usize,
}

#[derive(Debug, PartialEq)]
enum Filter {
    Policy(String),
    Namespace(String),
    Direction(Direction),
    Port(u16),
    /// A part of the peer's name.
    Peer(String),
    State(State),
}

impl Filter {
    fn matches(&self, denial: &Denial) -> bool {
        match self {
            Self::Policy(name) => denial.policies.iter().any(|by| by.policy.name == *name),
            Self::Namespace(namespace) => denial.policies.iter().any(|by| by.policy.namespace == *namespace),
            Self::Direction(direction) => denial.direction == *direction,
            Self::Port(port) => denial.port == *port,
            Self::Peer(part) => denial.peer.to_string().contains(part),
            Self::State(state) => denial.state == *state,
        }
    }
}

impl DenialQuery {
    /// Reads a URL's query.
    ///
    /// # Errors
    /// [`Refusal`]: 400 a parameter is unknown or its value is not valid.
    pub fn read(query: &str) -> Result<Self, Refusal> {
        let mut read = Self { filters: Vec::new(), cursor: None, limit: DEFAULT_LIMIT };
        for (name, value) in parameters(query, &PARAMETERS)? {
            let bad = |expected: &str| Refusal::bad_request(format!("{name}: {value:?} is not {expected}"));
            match name.as_str() {
                "policy" => read.filters.push(Filter::Policy(value)),
                "namespace" => read.filters.push(Filter::Namespace(value)),
                "direction" => {
                    let known = Direction::BOTH.into_iter().find(|known| known.to_string() == value);
                    read.filters.push(Filter::Direction(known.ok_or_else(|| bad("Ingress or Egress"))?));
                }
                "port" => read.filters.push(Filter::Port(value.parse().map_err(|_| bad("a port"))?)),
                "peer" => read.filters.push(Filter::Peer(value)),
                "state" => {
                    let known = STATES.iter().find(|(known, _)| *known == value).map(|(_, state)| *state);
                    let names = STATES.map(|(name, _)| name).join(", ");
                    let known = known.ok_or_else(|| bad(&format!("one of {names}")))?;
                    read.filters.push(Filter::State(known));
                }
                "cursor" => read.cursor = Some(value),
                _ => read.limit = value.parse::<usize>().map_err(|_| bad("a number"))?.clamp(1, MOST),
            }
        }
        Ok(read)
    }

    /// The page of these denials that the query selects, ordered by id. A connection that several policies deny is one denial.
    pub fn page<'a>(&self, denials: impl Iterator<Item = &'a Denial>) -> DenialPage {
        let is_after = |denial: &Denial| self.cursor.as_ref().is_none_or(|cursor| denial.id.to_string() > *cursor);
        let matches = |denial: &&Denial| is_after(denial) && self.filters.iter().all(|filter| filter.matches(denial));
        let mut by_id: BTreeMap<DenialId, Denial> = BTreeMap::new();
        for denial in denials.filter(matches) {
            match by_id.entry(denial.id.clone()) {
                Entry::Vacant(vacant) => _ = vacant.insert(denial.clone()),
                Entry::Occupied(mut known) => known.get_mut().unite(denial.clone()),
            }
        }
        let mut found: Vec<Denial> = by_id.into_values().collect();
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| has_more).map(|last| last.id.to_string());
        DenialPage { denials: found, next }
    }
}

#[cfg(test)]
mod tests {
    use foretell_objects::model::flow::{Flow, Outcome};
    use jiff::SignedDuration;

    use crate::scene::{Scene, audit_policy, flow, spec};

    use super::*;

    /// Of the policy web: batch on ports 80 to 83, scraper on 80, and a refused attempt on 84. Of the policy out: an address.
    fn denials() -> Vec<Denial> {
        let mut egress = spec("scraper", &[]);
        egress["policyTypes"] = serde_json::json!(["Egress"]);
        let policies = [audit_policy("web", &spec("web", &[])), audit_policy("out", &egress)];
        let mut scene =
            Scene::new(&policies).flow(&flow("scraper", "elsewhere", 443)).flow(&flow("scraper", "web", 80));
        for port in 80..84 {
            scene = scene.flow(&flow("batch", "web", port));
        }
        let refused = Flow { outcome: Some(Outcome::Refused), ..flow("batch", "web", 84) };
        let judged = scene.flow(&refused).judge(SignedDuration::ZERO);
        judged.policies.into_iter().flat_map(|policy| policy.summary.denials).collect()
    }

    fn count(denials: &[Denial], query: &str) -> usize {
        DenialQuery::read(query).unwrap().page(denials.iter()).denials.len()
    }

    #[test]
    fn every_filter_must_match() {
        let denials = denials();
        for (query, expected) in [
            ("", 8),
            ("policy=web", 6),
            ("policy=out", 2),
            ("policy=we", 0),
            ("namespace=shop", 8),
            ("namespace=", 0),
            ("direction=Ingress", 6),
            ("direction=Egress", 2),
            ("port=80", 3),
            ("port=443", 1),
            ("peer=batch", 5),
            ("peer=203.0.113", 1),
            ("state=unresolved", 7),
            ("state=notInUse", 1),
            ("state=gone", 0),
            ("policy=web&peer=batch&port=80", 1),
            ("policy=web&policy=out", 0),
        ] {
            assert_eq!(count(&denials, query), expected, "{query}");
        }
    }

    #[test]
    fn pages_follow_each_other_by_id_without_gaps_or_repeats() {
        let denials = denials();
        let mut ids: Vec<_> = denials.iter().map(|denial| denial.id.to_string()).collect();
        ids.sort();
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let query = DenialQuery::read(&format!("limit=3{cursor}")).unwrap();
            let page = query.page(denials.iter());
            found.extend(page.denials.iter().map(|denial| denial.id.to_string()));
            pages += 1;
            let Some(next) = page.next else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((found, pages), (ids, 3));
        let whole = DenialQuery::read("limit=8").unwrap().page(denials.iter());
        assert_eq!((whole.denials.len(), whole.next), (8, None), "a full last page has no next one");
    }

    #[test]
    fn a_connection_that_two_policies_deny_is_one_denial() {
        let policies = [audit_policy("web", &spec("web", &[])), audit_policy("twin", &spec("web", &[]))];
        let judged = Scene::new(&policies).flow(&flow("batch", "web", 80)).judge(SignedDuration::ZERO);
        let denials: Vec<Denial> = judged.policies.into_iter().flat_map(|policy| policy.summary.denials).collect();
        assert_eq!(denials.len(), 2, "one in the preview of each policy");
        let named = |query: &str| {
            let page = DenialQuery::read(query).unwrap().page(denials.iter());
            let [denial] = &page.denials[..] else { panic!("{query}: {:?}", page.denials) };
            let mut names: Vec<String> = denial.policies.iter().map(|by| by.policy.name.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(named(""), ["twin", "web"]);
        assert_eq!(named("policy=web"), ["web"]);
    }

    #[test]
    fn a_limit_is_brought_into_its_range() {
        for (query, limit) in [("", 100), ("limit=0", 1), ("limit=1000", 1000), ("limit=1001", 1000)] {
            assert_eq!(DenialQuery::read(query).unwrap().limit, limit, "{query}");
        }
    }

    #[test]
    fn unknown_parameters_and_values_that_are_not_valid_are_refused_by_name() {
        for (query, message) in [
            ("direction=ingress", r#"direction: "ingress" is not Ingress or Egress"#),
            ("port=http", r#"port: "http" is not a port"#),
            ("port=65536", r#"port: "65536" is not a port"#),
            ("limit=many", r#"limit: "many" is not a number"#),
            ("limit=-1", r#"limit: "-1" is not a number"#),
            ("state=open", r#"state: "open" is not one of unresolved, accepted, guessed, notInUse, gone"#),
            (
                "namespce=shop",
                r#"query parameter "namespce" is unknown; the known ones are policy, namespace, direction, port, peer, state, cursor, limit"#,
            ),
        ] {
            let refusal = DenialQuery::read(query).unwrap_err();
            assert_eq!((refusal.status.as_u16(), refusal.message.as_str()), (400, message));
        }
    }

    #[test]
    fn states_have_their_names_in_answers() {
        for (name, state) in STATES {
            assert_eq!(serde_json::to_value(state).unwrap(), name);
        }
    }
}
