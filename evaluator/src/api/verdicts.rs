//! Filters of `GET /audit/verdicts`. The parameters are kguardian's.

use foretell_service::query::parameters;
use foretell_service::refusal::Refusal;

use crate::store::verdicts::VerdictFilter;

/// Rows of an answer, if the query has no limit.
const DEFAULT_LIMIT: i64 = 100;
/// Most rows of an answer.
const MOST: i64 = 500;

const PARAMETERS: [&str; 9] =
    ["policy", "namespace", "policy_uid", "verdict", "direction", "since", "until", "before_id", "limit"];

/// Reads a URL's query.
///
/// # Errors
/// [`Refusal`]: 400 a parameter is unknown or its value is not valid.
pub fn read(query: &str) -> Result<VerdictFilter, Refusal> {
    let mut filter = VerdictFilter { limit: DEFAULT_LIMIT, ..VerdictFilter::default() };
    for (name, value) in parameters(query, &PARAMETERS)? {
        let bad = |expected: &str| Refusal::bad_request(format!("{name}: {value:?} is not {expected}"));
        let one_of = |allowed: [&str; 2]| {
            if allowed.contains(&value.as_str()) { Ok(value.clone()) } else { Err(bad(&allowed.join(" or "))) }
        };
        let time = || value.parse().map_err(|_| bad("a time such as 2026-11-21T12:00:00Z"));
        let number = || value.parse::<i64>().map_err(|_| bad("a number"));
        match name.as_str() {
            "verdict" => filter.equal.push(("verdict", one_of(["Allow", "WouldDeny"])?)),
            "direction" => filter.equal.push(("direction", one_of(["Ingress", "Egress"])?)),
            "since" => filter.since = Some(time()?),
            "until" => filter.until = Some(time()?),
            "before_id" => filter.before_id = Some(number()?),
            "limit" => filter.limit = number()?.clamp(1, MOST),
            "policy" => filter.equal.push(("policy_name", value)),
            "namespace" => filter.equal.push(("policy_namespace", value)),
            _ => filter.equal.push(("policy_uid", value)),
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_becomes_a_condition() {
        let query = "policy=web&namespace=shop&policy_uid=u&verdict=WouldDeny&direction=Egress\
            &since=2026-11-21T12:00:00Z&until=2026-11-22T12:00:00Z&before_id=7&limit=3";
        let equal = [
            ("policy_name", "web"),
            ("policy_namespace", "shop"),
            ("policy_uid", "u"),
            ("verdict", "WouldDeny"),
            ("direction", "Egress"),
        ];
        let expected = VerdictFilter {
            equal: equal.map(|(column, value)| (column, value.to_owned())).into(),
            since: Some("2026-11-21T12:00:00Z".parse().unwrap()),
            until: Some("2026-11-22T12:00:00Z".parse().unwrap()),
            before_id: Some(7),
            limit: 3,
        };
        assert_eq!(read(query), Ok(expected));
        assert_eq!(read(""), Ok(VerdictFilter { limit: DEFAULT_LIMIT, ..VerdictFilter::default() }));
        let of_cluster_policies = read("namespace=").unwrap().equal;
        assert_eq!(of_cluster_policies, [("policy_namespace", String::new())]);
    }

    #[test]
    fn a_limit_is_brought_into_its_range() {
        for (limit, read_as) in [("0", 1), ("-5", 1), ("500", 500), ("501", 500), ("100000", 500)] {
            assert_eq!(read(&format!("limit={limit}")).unwrap().limit, read_as, "{limit}");
        }
    }

    #[test]
    fn values_that_are_not_valid_are_refused_by_name() {
        for (query, message) in [
            ("direction=ingress", r#"direction: "ingress" is not Ingress or Egress"#),
            ("verdict=Deny", r#"verdict: "Deny" is not Allow or WouldDeny"#),
            ("limit=many", r#"limit: "many" is not a number"#),
            ("before_id=", r#"before_id: "" is not a number"#),
            ("since=yesterday", r#"since: "yesterday" is not a time such as 2026-11-21T12:00:00Z"#),
            ("until=2026-11-21", r#"until: "2026-11-21" is not a time such as 2026-11-21T12:00:00Z"#),
        ] {
            let refusal = read(query).unwrap_err();
            assert_eq!((refusal.status.as_u16(), refusal.message.as_str()), (400, message));
        }
        let refusal = read("namespce=shop").unwrap_err();
        assert_eq!(refusal.status.as_u16(), 400);
        assert!(refusal.message.contains("namespce") && refusal.message.contains("namespace"), "{}", refusal.message);
    }
}
