//! Query parameters of URLs.

use crate::refusal::Refusal;

/// The parameters of a query, decoded and in order. A name may come several times, and its value may be empty, which is not
/// the same as absent.
///
/// # Errors
/// [`Refusal`]: 400 a name is not in `known`. A misspelt filter would otherwise return everything.
pub fn parameters(query: &str, known: &[&str]) -> Result<Vec<(String, String)>, Refusal> {
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    match parameters.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(parameters),
        Some((name, _)) if known.is_empty() => {
            Err(Refusal::bad_request(format!("query parameter {name:?} is unknown; this path has none")))
        }
        Some((name, _)) => Err(Refusal::bad_request(format!(
            "query parameter {name:?} is unknown; the known ones are {}",
            known.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_in_order_with_repeats_and_empty_values() {
        let read = |query: &str| parameters(query, &["a", "b"]).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(""), []);
        assert_eq!(read("a"), [pair("a", "")]);
        assert_eq!(read("b=2&a=1&b=3"), [pair("b", "2"), pair("a", "1"), pair("b", "3")]);
        assert_eq!(read("a=x+y%2Fz%26"), [pair("a", "x y/z&")]);
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_its_name_and_the_known_ones() {
        let refusal = parameters("policy=web&namespce=shop", &["policy", "namespace"]).unwrap_err();
        assert_eq!(refusal.status.as_u16(), 400);
        assert_eq!(refusal.message, r#"query parameter "namespce" is unknown; the known ones are policy, namespace"#);
        let refusal = parameters("limit=1", &[]).unwrap_err();
        assert_eq!(refusal.message, r#"query parameter "limit" is unknown; this path has none"#);
    }
}
