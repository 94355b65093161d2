//! Text out of a cluster or a repository, made safe for Markdown: it can neither break a table, nor become a link, nor ping
//! people.

/// Text out of data, in running Markdown: shown as it is, whatever it holds.
#[must_use]
pub fn text(data: &str) -> String {
    let mut safe = String::with_capacity(data.len());
    let mut symbols = data.chars().peekable();
    while let Some(symbol) = symbols.next() {
        match symbol {
            // Brackets make a link only before one of these, or as a definition at the start.
            ']' if matches!(symbols.peek(), Some('(' | '[' | ':')) => safe.push_str("\\]"),
            '[' if safe.is_empty() => safe.push_str("\\["),
            '\\' | '`' | '*' | '_' | '|' | '~' => {
                safe.push('\\');
                safe.push(symbol);
            }
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // Neither a mention nor a reference to an issue.
            '@' => safe.push_str("&#64;"),
            '#' => safe.push_str("&#35;"),
            symbol if symbol.is_control() => safe.push(' '),
            symbol => safe.push(symbol),
        }
    }
    // A bare address would become a link.
    safe.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
}

/// Text out of data, as code: for names. A code span takes everything literally but its own delimiter and, in a table, the
/// bar: both are shown by a look-alike.
#[must_use]
pub fn code(data: &str) -> String {
    let safe: String = data
        .chars()
        .map(|symbol| match symbol {
            '`' => '\'',
            // Escaped bars end a cell after a backslash.
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
