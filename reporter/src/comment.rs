//! Finds the reporter's comment among others, and detects whether its content has changed.

use crate::api::Comment;
use crate::verdict::Text;

/// The reporter's comment that exists on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingComment {
    /// Its id.
    pub id: u64,
    /// Fingerprint of its content.
    pub fingerprint: String,
}

/// The text after a marker, by which the comment is found again.
#[must_use]
pub fn with_marker(context: &str, text: &Text) -> String {
    format!("{} {} -->\n{}", marker(context), text.fingerprint, text.body)
}

/// Finds the reporter's comment. It has the marker and the App's account as its author; anyone can copy the marker alone.
#[must_use]
pub fn find(comments: &[Comment], login: &str, context: &str) -> Option<ExistingComment> {
    comments.iter().find_map(|comment| {
        let user = comment.user.as_ref()?;
        let rest = comment.body.as_ref()?.strip_prefix(&marker(context))?;
        // Names of GitHub accounts are case-insensitive.
        if !user.login.eq_ignore_ascii_case(login) {
            return None;
        }
        let (fingerprint, _) = rest.strip_prefix(' ')?.split_once(" -->")?;
        Some(ExistingComment { id: comment.id, fingerprint: fingerprint.to_owned() })
    })
}

fn marker(context: &str) -> String {
    format!("<!-- foretell: {context}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::User;

    fn comment(id: u64, login: &str, body: &str) -> Comment {
        Comment { id, user: Some(User { login: login.to_owned() }), body: Some(body.to_owned()) }
    }

    #[test]
    fn the_comment_is_found_by_marker_and_author() {
        let text = Text { body: "Hello".to_owned(), fingerprint: "f00".to_owned() };
        let body = with_marker("a/b", &text);
        let comments = [
            comment(1, "somebody", &body),
            comment(2, "foretell[bot]", "Hello"),
            comment(3, "foretell[bot]", &with_marker("a/bc", &text)),
            comment(4, "foretell[bot]", &format!("> {body}")),
            comment(5, "Foretell[bot]", &body),
        ];
        let found = find(&comments, "foretell[bot]", "a/b");
        assert_eq!(found, Some(ExistingComment { id: 5, fingerprint: "f00".to_owned() }));
        assert_eq!(find(&comments[..4], "foretell[bot]", "a/b"), None);
    }

    #[test]
    fn a_comment_with_a_broken_marker_or_without_author_or_text_is_not_found() {
        for body in ["", "<!-- foretell: a/b -->", "<!-- foretell: a/bf00 -->", "<!-- foretell: a/b f00"] {
            assert_eq!(find(&[comment(1, "foretell[bot]", body)], "foretell[bot]", "a/b"), None, "{body}");
        }
        let body = Some("<!-- foretell: a/b f00 -->\nHello".to_owned());
        let user = Some(User { login: "foretell[bot]".to_owned() });
        let complete = Comment { id: 1, user: user.clone(), body: body.clone() };
        assert!(find(&[complete], "foretell[bot]", "a/b").is_some());
        assert_eq!(find(&[Comment { id: 1, user: None, body }], "foretell[bot]", "a/b"), None);
        assert_eq!(find(&[Comment { id: 1, user, body: None }], "foretell[bot]", "a/b"), None);
    }
}
