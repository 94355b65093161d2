//! Makes text from a cluster or a repository safe in Markdown: it cannot break a table, become a link or mention people.

/// Escapes data for running Markdown. The reader sees it unchanged, except for control characters, which become spaces.
#[must_use]
pub fn text(data: &str) -> String {
    let mut safe = String::with_capacity(data.len());
    let mut symbols = data.chars().peekable();
    while let Some(symbol) = symbols.next() {
        match symbol {
            // Brackets form a link only before one of these, or a link definition at the start of a line.
            ']' if matches!(symbols.peek(), Some('(' | '[' | ':')) => safe.push_str("\\]"),
            '[' if safe.is_empty() => safe.push_str("\\["),
            '\\' | '`' | '*' | '_' | '|' | '~' => {
                safe.push('\\');
                safe.push(symbol);
            }
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // Mentions and references to issues.
            '@' => safe.push_str("&#64;"),
            '#' => safe.push_str("&#35;"),
            symbol if symbol.is_control() => safe.push(' '),
            symbol => safe.push(symbol),
        }
    }
    // GitHub turns bare URLs into links.
    safe.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
}

/// Formats data, usually a name, as a code span. A code span cannot contain its delimiter, nor a vertical bar inside a table:
/// look-alikes replace them.
#[must_use]
pub fn code(data: &str) -> String {
    let safe: String = data
        .chars()
        .map(|symbol| match symbol {
            '`' => '\'',
            // An escape would not do: after a backslash in the data, the escaped bar would still end the cell.
            '|' => '¦',
            symbol if symbol.is_control() => ' ',
            symbol => symbol,
        })
        .collect();
    let safe = safe.trim();
    if safe.is_empty() { "(empty)".to_owned() } else { format!("`{safe}`") }
}

#[cfg(test)]
mod tests {
    use super::{code, text};

    #[test]
    fn text_shows_markdown_as_it_is() {
        let cases = [
            ("a|b", r"a\|b"),
            ("`rm`", r"\`rm\`"),
            ("@team", "&#64;team"),
            ("fixes #12", "fixes &#35;12"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("two\nlines\r\n", "two lines  "),
            ("[a](http://b)", r"\[a\](http:&#47;&#47;b)"),
            ("ingress[0] and a[b][c]", r"ingress[0] and a[b\][c]"),
            ("a_b*c~d\\", r"a\_b\*c\~d\\"),
            ("&amp;", "&amp;amp;"),
        ];
        for (data, expected) in cases {
            assert_eq!(text(data), expected, "{data:?}");
        }
    }

    #[test]
    fn code_is_one_span_in_one_cell() {
        let cases = [("a`b", "`a'b`"), ("a|b", "`a¦b`"), ("@x", "`@x`"), ("a\nb", "`a b`"), ("  ", "(empty)")];
        for (data, expected) in cases {
            assert_eq!(code(data), expected, "{data:?}");
        }
    }
}
