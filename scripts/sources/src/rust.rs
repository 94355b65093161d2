//! The tokens of a Rust source, as far as the checks need them.

/// The kind and text of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or keyword, without `r#`.
    Word(String),
    /// A character of punctuation, except `::`.
    Sign(char),
    /// `::`.
    Path,
    /// A string literal of any kind: the text between the quotes, with its escapes.
    Text(String),
    /// A doc comment (`///`, `//!`): one line without the slashes.
    Doc(String),
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Kind and text.
    pub kind: Kind,
    /// The line that it begins on, from 1.
    pub line: usize,
}

impl Token {
    /// Whether it is this identifier or keyword.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }

    /// Whether it is this sign.
    #[must_use]
    pub fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }
}

/// Splits a source into tokens. Ordinary comments, numbers, characters and lifetimes are left out.
#[must_use]
pub fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { rest: source, line: 1, tokens: Vec::new() };
    while reader.step() {}
    reader.tokens
}

struct Reader<'s> {
    rest: &'s str,
    line: usize,
    tokens: Vec<Token>,
}

impl<'s> Reader<'s> {
    /// Reads or skips the next part. Returns false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.line_comment();
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if let Some((prefix, hashes)) = string_start(self.rest) {
            self.string(prefix, hashes);
        } else if first == '\'' || self.rest.starts_with("b'") {
            self.character_or_lifetime();
        } else if first.is_alphabetic() || first == '_' {
            self.rest = self.rest.strip_prefix("r#").unwrap_or(self.rest);
            let end = self.rest.find(|symbol: char| !symbol.is_alphanumeric() && symbol != '_');
            let word = self.take(end.unwrap_or(self.rest.len()));
            self.push(Kind::Word(word.to_owned()), self.line);
        } else if first.is_ascii_digit() {
            let end = self.rest.find(|symbol: char| !symbol.is_alphanumeric() && symbol != '_');
            self.take(end.unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("::") {
            self.push(Kind::Path, self.line);
            self.take(2);
        } else {
            if !first.is_whitespace() {
                self.push(Kind::Sign(first), self.line);
            }
            self.take(first.len_utf8());
        }
        true
    }

    fn push(&mut self, kind: Kind, line: usize) {
        self.tokens.push(Token { kind, line });
    }

    /// Skips this number of bytes and returns them.
    fn take(&mut self, bytes: usize) -> &'s str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let comment = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        let doc = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"));
        if let Some(text) = doc.filter(|text| !text.starts_with('/')) {
            self.push(Kind::Doc(text.to_owned()), line);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take(2);
            } else if let Some(symbol) = self.rest.chars().next() {
                self.take(symbol.len_utf8());
            }
            if depth == 0 || self.rest.is_empty() {
                return;
            }
        }
    }

    /// Reads a literal whose opening quote ends after `prefix` bytes. A raw one has a number of hashes.
    fn string(&mut self, prefix: usize, hashes: Option<usize>) {
        let line = self.line;
        self.take(prefix);
        let end = match hashes {
            Some(count) => self.rest.find(&format!("\"{}", "#".repeat(count))),
            None => end_of_escaped(self.rest, '"'),
        };
        let text = self.take(end.unwrap_or(self.rest.len())).to_owned();
        self.take((1 + hashes.unwrap_or(0)).min(self.rest.len()));
        self.push(Kind::Text(text), line);
    }

    fn character_or_lifetime(&mut self) {
        self.take(self.rest.find('\'').unwrap_or(0) + 1);
        let mut symbols = self.rest.chars();
        let is_character = symbols.next() == Some('\\') || symbols.next() == Some('\'');
        let end = if is_character {
            end_of_escaped(self.rest, '\'').map(|end| end + 1)
        } else {
            self.rest.find(|symbol: char| !symbol.is_alphanumeric() && symbol != '_')
        };
        self.take(end.unwrap_or(self.rest.len()));
    }
}

/// The length of the start of a string literal, with its quote, and the number of hashes if it is a raw one.
fn string_start(rest: &str) -> Option<(usize, Option<usize>)> {
    let letters = rest.find(|symbol: char| !matches!(symbol, 'b' | 'c' | 'r'))?;
    let is_raw = match &rest[..letters] {
        "" | "b" | "c" => false,
        "r" | "br" | "cr" => true,
        _ => return None,
    };
    let after = &rest[letters..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let is_string = after[hashes..].starts_with('"') && (is_raw || hashes == 0);
    is_string.then_some((letters + hashes + 1, is_raw.then_some(hashes)))
}

/// The place of the first quote without a backslash before it.
fn end_of_escaped(rest: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    rest.char_indices().find_map(|(at, symbol)| {
        let is_end = symbol == quote && !is_escaped;
        is_escaped = symbol == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

/// The tokens without items behind `#[cfg(test)]`.
#[must_use]
pub fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const CFG_TEST: [&str; 6] = ["#", "[", "cfg", "(", "test", ")"];
    let begins = |at: usize| {
        CFG_TEST.iter().enumerate().all(|(offset, wanted)| {
            tokens.get(at + offset).is_some_and(|token| match &token.kind {
                Kind::Word(word) => word == wanted,
                Kind::Sign(sign) => sign.to_string() == *wanted,
                _ => false,
            })
        })
    };
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if begins(at) {
            // The item ends with a `;` or with its closing brace.
            let mut depth = 0_usize;
            at += CFG_TEST.len() + 1;
            while at < tokens.len() {
                match tokens[at].kind {
                    Kind::Sign('{') => depth += 1,
                    Kind::Sign('}') => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
                if depth == 0 && matches!(tokens[at - 1].kind, Kind::Sign('}' | ';')) {
                    break;
                }
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens, without_tests};

    fn words(source: &str) -> Vec<String> {
        let word = |token: super::Token| match token.kind {
            Kind::Word(word) => Some(word),
            Kind::Text(text) => Some(format!("{text:?}")),
            Kind::Doc(text) => Some(format!("///{text}")),
            _ => None,
        };
        tokens(source).into_iter().filter_map(word).collect()
    }

    #[test]
    fn only_doc_comments_are_tokens() {
        assert_eq!(words("a // b\n/// c\n/* d /* e */ f */ g //// h"), ["a", "/// c", "g"]);
    }

    #[test]
    fn strings_of_every_kind_are_recognised() {
        let source = "a \"x \\\" y\" r\"raw\\\" br#\"with \"quotes\"\"# b'\"' '\"' '\\'' 'l c\"c\" r#type";
        let expected = ["a", r#""x \\\" y""#, r#""raw\\""#, r#""with \"quotes\"""#, "\"c\"", "type"];
        assert_eq!(words(source), expected);
    }

    #[test]
    fn tokens_have_their_line() {
        let lines: Vec<usize> = tokens("a\n\"x\ny\" b /* \n */\nc").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 3, 5]);
    }

    #[test]
    fn items_for_tests_are_left_out() {
        let all = tokens("a; #[cfg(test)] mod tests { fn b() { \"}\" } } c #[cfg(test)] mod d; e");
        let kept: Vec<String> = without_tests(&all)
            .into_iter()
            .filter_map(|token| if let Kind::Word(word) = token.kind { Some(word) } else { None })
            .collect();
        assert_eq!(kept, ["a", "c", "e"]);
    }
}
