//! Retired words in what users read.
//!
//! The text is that of string literals of crates (not of their tests), of help texts of their arguments, and of documents, manifests
//! and scripts. Placeholders of format strings do not count.

use crate::rust::{Kind, tokens, without_tests};

/// The table `scripts/retired-words.txt`.
#[derive(Debug, Default)]
pub struct Table {
    retired: Vec<Retired>,
    allowed: Vec<Allowed>,
}

#[derive(Debug)]
struct Retired {
    /// Its words in lower case; `*` is any one word.
    phrase: Vec<String>,
    replacement: String,
}

/// A phrase that may stay although it has a retired word.
#[derive(Debug)]
struct Allowed {
    /// The start of the paths of files.
    path: String,
    phrase: Vec<String>,
}

/// A retired word in a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Hit {
    /// The line of its first word.
    pub line: usize,
    /// Its words as they are written.
    pub phrase: String,
    /// The replacement.
    pub replacement: String,
}

/// Text that a user reads, and the line that it begins in.
pub type Text = (usize, String);

/// Reads the table.
///
/// # Errors
/// The first line that it does not understand.
pub fn read(table: &str) -> Result<Table, String> {
    let mut read = Table::default();
    for (number, line) in table.lines().enumerate() {
        let line = line.trim();
        let fault = |reason: &str| Err(format!("line {}: {reason}", number + 1));
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        match &parts[..] {
            _ if line.is_empty() || line.starts_with('#') => {}
            [first, ..] if first.starts_with("allow ") => {
                let [_, phrases, reason] = parts[..] else { return fault("write allow PATH | PHRASE, ... | REASON") };
                if reason.is_empty() {
                    return fault("an allowed phrase needs a reason");
                }
                let path = first["allow ".len()..].trim().trim_end_matches('*').to_owned();
                let allowed = phrases_of(phrases).map(|phrase| Allowed { path: path.clone(), phrase });
                read.allowed.extend(allowed);
            }
            [phrases, replacement] if !replacement.is_empty() => {
                let retired = phrases_of(phrases);
                read.retired.extend(retired.map(|phrase| Retired { phrase, replacement: (*replacement).to_owned() }));
            }
            _ => return fault("write WORD, ... | REPLACEMENT"),
        }
    }
    Ok(read)
}

fn phrases_of(list: &str) -> impl Iterator<Item = Vec<String>> {
    list.split(',').map(|phrase| phrase.split_whitespace().map(str::to_lowercase).collect())
}

impl Table {
    /// The retired words in a text of a file.
    #[must_use]
    pub fn hits(&self, path: &str, (begin, text): &Text) -> Vec<Hit> {
        let words = words(text);
        let allowed: Vec<&Allowed> = self.allowed.iter().filter(|allowed| path.starts_with(&allowed.path)).collect();
        let mut hits = Vec::new();
        let mut at = 0;
        while at < words.len() {
            if let Some(allowed) = allowed.iter().find(|allowed| begins(&words[at..], &allowed.phrase)) {
                at += allowed.phrase.len();
                continue;
            }
            let Some(retired) = self.retired.iter().find(|retired| begins(&words[at..], &retired.phrase)) else {
                at += 1;
                continue;
            };
            let phrase: Vec<&str> = words[at..at + retired.phrase.len()].iter().map(|word| word.text).collect();
            hits.push(Hit {
                line: begin + words[at].line,
                phrase: phrase.join(" "),
                replacement: retired.replacement.clone(),
            });
            at += phrase.len();
        }
        hits
    }
}

struct Word<'t> {
    text: &'t str,
    /// The number of lines before its own.
    line: usize,
}

/// The words of a text. An apostrophe, a hyphen or `_` inside a word belongs to it.
fn words(text: &str) -> Vec<Word<'_>> {
    let is_inside = |symbol: char| symbol.is_alphanumeric() || "_'-".contains(symbol);
    let mut words = Vec::new();
    for (line, content) in text.lines().enumerate() {
        let divided = content.split(|symbol| !is_inside(symbol)).map(|word| word.trim_matches(['\'', '-', '_']));
        words.extend(divided.filter(|word| !word.is_empty()).map(|text| Word { text, line }));
    }
    words
}

fn begins(words: &[Word<'_>], phrase: &[String]) -> bool {
    words.len() >= phrase.len()
        && phrase.iter().zip(words).all(|(wanted, word)| wanted == "*" || *wanted == word.text.to_lowercase())
}

/// The text of a Rust source that users read: string literals, and with `is_help` doc comments.
#[must_use]
pub fn of_rust(source: &str, is_help: bool) -> Vec<Text> {
    let text = |token: crate::rust::Token| match token.kind {
        Kind::Text(text) => Some((token.line, shown(&text))),
        Kind::Doc(text) if is_help => Some((token.line, text)),
        _ => None,
    };
    without_tests(&tokens(source)).into_iter().filter_map(text).collect()
}

/// A literal as it is shown: without placeholders of format strings and without escapes.
fn shown(literal: &str) -> String {
    let mut shown = String::new();
    let mut symbols = literal.chars().peekable();
    while let Some(symbol) = symbols.next() {
        match symbol {
            '\\' => match symbols.next() {
                // The text continues, but this is a line of the source.
                Some('\n') => shown.push('\n'),
                _ => shown.push(' '),
            },
            '{' if symbols.peek() == Some(&'{') => {
                symbols.next();
                shown.push('{');
            }
            '}' if symbols.peek() == Some(&'}') => {
                symbols.next();
                shown.push('}');
            }
            '{' => {
                // A placeholder has no white space; other text in braces stays.
                let inside: String = symbols.clone().take_while(|symbol| *symbol != '}').collect();
                let is_placeholder = !inside.contains(|symbol: char| symbol.is_whitespace() || "\"{".contains(symbol));
                if is_placeholder {
                    symbols.nth(inside.chars().count());
                }
                shown.push(' ');
            }
            _ => shown.push(symbol),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{Hit, of_rust, read};

    const TABLE: &str = "
        # comment
        mend, mends | fix
        lets * pass | allows
        nobody | no one
        allow docs/ | nobody's root | a quotation
    ";

    fn found(path: &str, text: &str) -> Vec<String> {
        let hits = read(TABLE).unwrap().hits(path, &(1, text.to_owned()));
        hits.into_iter().map(|Hit { line, phrase, replacement }| format!("{line}: {phrase} -> {replacement}")).collect()
    }

    #[test]
    fn whole_words_are_found_in_any_case_with_their_line() {
        assert_eq!(found("a", "Mend it.\nIt amends, recommends\nand `mends`"), ["1: Mend -> fix", "3: mends -> fix"]);
        assert_eq!(found("a", "it lets nothing\npass, and lets pass"), ["1: lets nothing pass -> allows"]);
    }

    #[test]
    fn allowed_phrases_are_allowed_where_the_table_says() {
        assert_eq!(found("docs/a.md", "nobody's root, nobody"), ["1: nobody -> no one"]);
        assert!(read("allow docs/ | nobody |").is_err() && read("mend").is_err());
    }

    #[test]
    fn of_rust_only_strings_count_and_doc_comments_that_are_help() {
        let source = "/// mend\nfn mend() { print(\"a {mend} \\n b {{mend}}\") }\n#[cfg(test)] mod t { const A: &str = \"mend\"; }";
        let texts = |is_help| of_rust(source, is_help).into_iter().map(|(line, text)| format!("{line}:{text}"));
        assert_eq!(texts(false).collect::<Vec<_>>(), ["2:a     b {mend}"]);
        assert_eq!(texts(true).next().unwrap(), "1: mend");
    }
}
