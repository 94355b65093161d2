//! Checks requests against GitHub's description of its API.

use std::collections::BTreeMap;

use serde_json::Value;

/// An extract of the description, made by `slim` beside it.
const DESCRIPTION: &str = include_str!("../../github-api/github.json");

/// The operations of the mock server.
pub(super) struct Contract(BTreeMap<String, Operation>);

struct Operation {
    query: Vec<String>,
    body: Option<jsonschema::Validator>,
    needs_body: bool,
}

impl Contract {
    pub(super) fn read() -> Self {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let operations = description["operations"].as_object().unwrap().iter();
        let operations = operations.map(|(name, operation)| {
            let query = operation["query"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
            let body = operation.get("body").map(|schema| jsonschema::validator_for(schema).unwrap());
            let needs_body = operation["bodyRequired"].as_bool().unwrap_or_default();
            (name.clone(), Operation { query: query.collect(), body, needs_body })
        });
        Self(operations.collect())
    }

    /// The operation of a request, and the values of the names in braces in its path.
    pub(super) fn operation(&self, method: &str, path: &str) -> Option<(&str, Vec<String>)> {
        self.0.keys().find_map(|name| {
            let (of, template) = name.split_once(' ')?;
            (of == method).then(|| fill(template, path)).flatten().map(|filled| (name.as_str(), filled))
        })
    }

    /// The faults of a request, one sentence each.
    pub(super) fn faults(&self, operation: &str, query: &[(String, String)], body: &[u8]) -> Vec<String> {
        let Operation { query: known, body: schema, needs_body } = &self.0[operation];
        let unknown = query.iter().filter(|(name, _)| !known.contains(name));
        let mut faults: Vec<String> = unknown.map(|(name, _)| format!("there is no query parameter {name}")).collect();
        if let Some((_, number)) = query.iter().find(|(name, _)| name == "per_page")
            && !number.parse().is_ok_and(|number: u32| (1..=100).contains(&number))
        {
            faults.push(format!("per_page={number} is not between 1 and 100"));
        }
        match (schema, body) {
            (Some(_), []) if *needs_body => faults.push("the body is missing".to_owned()),
            (_, []) => {}
            (None, _) => faults.push("this operation has no body".to_owned()),
            (Some(schema), body) => match serde_json::from_slice::<Value>(body) {
                Ok(body) => {
                    faults.extend(schema.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())));
                }
                Err(error) => faults.push(format!("the body is not JSON: {error}")),
            },
        }
        faults.extend(lengths(operation, body));
        faults
    }
}

/// Two limits on lengths that GitHub has and its description does not.
fn lengths(operation: &str, body: &[u8]) -> Option<String> {
    let (field, most) = match operation {
        "POST /repos/{owner}/{repo}/statuses/{sha}" => ("description", 140),
        _ if operation.contains("comments") => ("body", 65_536),
        _ => return None,
    };
    let body: Value = serde_json::from_slice(body).ok()?;
    let length = body.get(field)?.as_str()?.chars().count();
    (length > most).then(|| format!("{field} is too long (maximum is {most} characters)"))
}

/// The values of a template's names in a path. Only a reference may have slashes.
fn fill(template: &str, path: &str) -> Option<Vec<String>> {
    let mut filled = Vec::new();
    let mut rest = path.strip_prefix('/')?;
    let segments: Vec<&str> = template.strip_prefix('/')?.split('/').collect();
    for (number, segment) in segments.iter().enumerate() {
        let is_last = number + 1 == segments.len();
        let (found, after) = match rest.split_once('/') {
            _ if is_last && *segment == "{ref}" => (rest, ""),
            Some((found, after)) => (found, after),
            None => (rest, ""),
        };
        if segment.starts_with('{') {
            if found.is_empty() {
                return None;
            }
            filled.push(found.to_owned());
        } else if *segment != found {
            return None;
        }
        if is_last && found.len() != rest.len() {
            return None;
        }
        rest = after;
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "POST /repos/{owner}/{repo}/statuses/{sha}";

    #[test]
    fn operations_are_found_by_method_and_path() {
        let contract = Contract::read();
        let operation = |method, path| contract.operation(method, path).map(|(name, filled)| (name.to_owned(), filled));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(operation("POST", "/repos/o/r/statuses/abc"), Some((STATUS.to_owned(), words(&["o", "r", "abc"]))));
        let reference = operation("GET", "/repos/o/r/git/ref/heads/feature/a").unwrap();
        assert_eq!(reference.1, words(&["o", "r", "heads/feature/a"]));
        assert_eq!(operation("POST", "/repos/o/r/issues/comments/7"), None);
        assert_eq!(operation("GET", "/repos/o/r/statuses/abc"), None);
        assert_eq!(operation("GET", "/repos/o/r/pulls/1/more"), None);
    }

    #[test]
    fn bodies_that_github_rejects_are_faults() {
        let contract = Contract::read();
        let faults = |body: &str| contract.faults(STATUS, &[], body.as_bytes()).len();
        assert_eq!(faults(r#"{"state":"success","context":"a","description":null}"#), 0);
        assert_eq!(faults(r#"{"state":"neutral"}"#), 1);
        assert_eq!(faults(r#"{"context":"a"}"#), 1);
        assert_eq!(faults(r#"{"state":"success","descripton":"a"}"#), 1);
        assert_eq!(faults(&format!(r#"{{"state":"success","description":"{}"}}"#, "ü".repeat(141))), 1);
        assert_eq!(faults(&format!(r#"{{"state":"success","description":"{}"}}"#, "ü".repeat(140))), 0);
        assert_eq!(faults(""), 1);
        let comment = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}";
        let long = format!(r#"{{"body":"{}"}}"#, "a".repeat(65_537));
        assert_eq!(contract.faults(comment, &[], long.as_bytes()).len(), 1);
        let query = [("per_page".to_owned(), "101".to_owned()), ("sorted".to_owned(), "yes".to_owned())];
        assert_eq!(contract.faults("GET /repos/{owner}/{repo}/pulls", &query, b"").len(), 2);
    }
}
