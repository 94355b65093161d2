//! How our comment is told from others', and from what it said before.

use crate::api::Comment;
use crate::verdict::Text;

/// Our comment on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its number.
    pub id: u64,
    /// Of what it says.
    pub fingerprint: String,
}

/// The text with the marker by which it is found again.
#[must_use]
pub fn marked(context: &str, text: &Text) -> String {
    format!("{} {} -->\n{}", marker(context), text.fingerprint, text.body)
}

/// Our comment among others: it has our marker, and our account wrote it. Anybody can copy a marker.
#[must_use]
pub fn find(comments: &[Comment], login: &str, context: &str) -> Option<Standing> {
    comments.iter().find_map(|comment| {
        let user = comment.user.as_ref()?;
        let rest = comment.body.as_ref()?.strip_prefix(&marker(context))?;
        // GitHub reads names of accounts in any case.
        if !user.login.eq_ignore_ascii_case(login) {
            return None;
        }
        let (fingerprint, _) = rest.strip_prefix(' ')?.split_once(" -->")?;
        Some(Standing { id: comment.id, fingerprint: fingerprint.to_owned() })
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
    fn a_comment_is_ours_by_marker_and_account() {
        let text = Text { body: "Hello".to_owned(), fingerprint: "f00".to_owned() };
        let body = marked("a/b", &text);
        let comments = [
            comment(1, "somebody", &body),
            comment(2, "foretell[bot]", "Hello"),
            comment(3, "foretell[bot]", &marked("a/bc", &text)),
            comment(4, "foretell[bot]", &format!("> {body}")),
            comment(5, "Foretell[bot]", &body),
        ];
        let found = find(&comments, "foretell[bot]", "a/b");
        assert_eq!(found, Some(Standing { id: 5, fingerprint: "f00".to_owned() }));
        assert_eq!(find(&comments[..4], "foretell[bot]", "a/b"), None);
    }
}
