//! Commands in documents: fenced `sh` and `console` blocks of Markdown.
//!
//! A comment on the line before a block says whether a test runs it: `<!-- run -->` if every machine can run it in seconds,
//! `<!-- run, exit status 1 -->` if its last command fails with this status, `<!-- not run: REASON -->` otherwise. A `console` block
//! also shows the output of its commands. White space is not compared, and a line `...` stands for any text.

/// A block of commands.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its first command.
    pub line: usize,
    /// The comment before it, if there is one.
    pub mark: Option<Mark>,
    /// Its commands, without comments. Lines that end in a backslash are joined.
    pub commands: Vec<Command>,
    /// The lines of output that a `console` block shows.
    pub output: Vec<String>,
}

/// The comment before a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is run and has to end with this exit status.
    Run(i32),
    /// It is not run, for this reason.
    NotRun(String),
}

/// One command of a block.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Its first line.
    pub line: usize,
    /// The command line.
    pub text: String,
}

/// The blocks of commands in a document.
#[must_use]
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines().enumerate();
    let mut before = "";
    while let Some((_, line)) = lines.next() {
        let fence = line.trim_start();
        let Some(language) = fence.strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = line.trim();
            }
            continue;
        };
        let (indent, language) = (line.len() - fence.len(), language.trim());
        let body: Vec<(usize, &str)> = lines
            .by_ref()
            .take_while(|(_, line)| !line.trim_start().starts_with("```"))
            .map(|(number, line)| (number + 1, line.get(indent..).unwrap_or_default()))
            .collect();
        if let "sh" | "console" = language {
            let line = body.first().map_or(0, |(line, _)| *line);
            let (commands, output) = commands(&body, language == "console");
            blocks.push(Block { line, mark: mark(before), commands, output });
        }
        before = "";
    }
    blocks
}

fn mark(comment: &str) -> Option<Mark> {
    let inside = comment.strip_prefix("<!--")?.strip_suffix("-->")?.trim();
    if let Some(reason) = inside.strip_prefix("not run:") {
        return (!reason.trim().is_empty()).then(|| Mark::NotRun(reason.trim().to_owned()));
    }
    match inside.strip_prefix("run")? {
        "" => Some(Mark::Run(0)),
        status => status.strip_prefix(", exit status ")?.parse().ok().map(Mark::Run),
    }
}

/// The commands of a block and the output that it shows. In a `console` block, commands follow the prompt `$ `.
fn commands(body: &[(usize, &str)], has_prompt: bool) -> (Vec<Command>, Vec<String>) {
    let mut commands: Vec<Command> = Vec::new();
    let mut output = Vec::new();
    let mut goes_on = false;
    for &(line, text) in body {
        let part = text.trim_end().strip_suffix('\\');
        let content = part.unwrap_or(text).trim();
        if goes_on {
            if let Some(last) = commands.last_mut() {
                last.text = format!("{} {content}", last.text);
            }
        } else {
            let typed = if has_prompt { content.strip_prefix("$ ") } else { Some(content) };
            match typed {
                None => output.push(content.to_owned()),
                Some(typed) if typed.is_empty() || typed.starts_with('#') => continue,
                Some(typed) => commands.push(Command { line, text: typed.to_owned() }),
            }
        }
        goes_on = part.is_some() && commands.last().is_some_and(|last| last.line <= line);
    }
    (commands, output)
}

/// Whether the printed text is the output that a `console` block shows.
#[must_use]
pub fn is_as_shown(printed: &str, shown: &[String]) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed = squeezed(printed);
    let mut rest = printed.as_str();
    let parts: Vec<String> =
        shown.split(|line| line == "..." || line == "…").map(|lines| squeezed(&lines.join(" "))).collect();
    for (number, part) in parts.iter().enumerate() {
        let Some(at) = rest.find(part.as_str()) else { return false };
        if number == 0 && at != 0 {
            return false;
        }
        rest = rest[at + part.len()..].trim_start();
    }
    // More output may follow only after a last line `...`.
    rest.is_empty() || parts.last().is_some_and(String::is_empty)
}

impl Command {
    /// The words of each simple command in it. Pipes, `&&`, `||`, `;` and `&` separate them. Quotes, redirections and variables that
    /// are set before a command are removed.
    #[must_use]
    pub fn words(&self) -> Vec<Vec<String>> {
        let mut simple = vec![Vec::new()];
        let mut word: Option<String> = None;
        let mut quote = None;
        let mut symbols = self.text.chars().peekable();
        while let Some(symbol) = symbols.next() {
            match (symbol, quote) {
                (_, Some(open)) if symbol == open => quote = None,
                ('\\', None | Some('"')) => word.get_or_insert_default().extend(symbols.next()),
                ('\'' | '"', None) => {
                    quote = Some(symbol);
                    word.get_or_insert_default();
                }
                ('#', None) if word.is_none() => break,
                // As in `2>&1`.
                ('&', None) if word.as_ref().is_some_and(|word| word.ends_with('>')) => {
                    word.get_or_insert_default().push(symbol);
                }
                (' ' | '\t' | '|' | '&' | ';' | '(' | ')', None) => {
                    if let (Some(word), Some(last)) = (word.take(), simple.last_mut()) {
                        last.push(word);
                    }
                    if !symbol.is_whitespace() {
                        simple.push(Vec::new());
                    }
                }
                _ => word.get_or_insert_default().push(symbol),
            }
        }
        if let (Some(word), Some(last)) = (word, simple.last_mut()) {
            last.push(word);
        }
        simple.into_iter().map(without_shell).filter(|words| !words.is_empty()).collect()
    }
}

/// A command without redirections and without variables that are set before it.
fn without_shell(words: Vec<String>) -> Vec<String> {
    let is_variable = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|symbol| symbol.is_ascii_alphanumeric() || symbol == '_')
        })
    };
    let mut kept = Vec::new();
    let mut words = words.into_iter().skip_while(is_variable);
    while let Some(word) = words.next() {
        match word.trim_start_matches(|symbol: char| symbol.is_ascii_digit()) {
            ">" | ">>" | "<" => {
                words.next();
            }
            redirection if redirection.starts_with(['>', '<']) => {}
            _ => kept.push(word),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{Block, Command, Mark, blocks, is_as_shown, mark};

    fn words(text: &str) -> Vec<Vec<String>> {
        Command { line: 1, text: text.to_owned() }.words()
    }

    #[test]
    fn blocks_of_commands_are_found_with_their_marks() {
        let document = "\
text
```
not commands
```
<!-- run -->
```sh
make demo  # a minute
foretell check \\
    --base main
```
1. <!-- not run: needs a cluster -->
   ```console
   $ kubectl get pods
   NAME
   ```

<!-- not run: needs root -->

```sh
# nothing
```
";
        let command = |line, text: &str| Command { line, text: text.to_owned() };
        let found = blocks(document);
        let expected = [
            Block {
                line: 7,
                mark: Some(Mark::Run(0)),
                commands: vec![command(7, "make demo  # a minute"), command(8, "foretell check --base main")],
                output: Vec::new(),
            },
            Block {
                line: 13,
                mark: None,
                commands: vec![command(13, "kubectl get pods")],
                output: vec!["NAME".to_owned()],
            },
            Block {
                line: 20,
                mark: Some(Mark::NotRun("needs root".to_owned())),
                commands: Vec::new(),
                output: Vec::new(),
            },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_line_is_divided_into_commands_and_words() {
        let line = r#"cd shop && A=b make demo >log 2>&1 | foretell --at "a b" --render 'x | y' c\ d # e"#;
        let expected: [&[&str]; 3] =
            [&["cd", "shop"], &["make", "demo"], &["foretell", "--at", "a b", "--render", "x | y", "c d"]];
        assert_eq!(words(line), expected);
        assert_eq!(words("foretell explain < a > b web"), [["foretell", "explain", "web"]]);
    }

    #[test]
    fn a_mark_names_a_status_or_a_reason() {
        assert_eq!(mark("<!-- run, exit status 1 -->"), Some(Mark::Run(1)));
        for nothing in ["<!-- not run: -->", "<!-- run, exit 1 -->", "<!-- running -->", "run"] {
            assert_eq!(mark(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn output_is_compared_without_line_ends_and_with_gaps() {
        let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        for (printed, text, is_same) in [
            ("a b\nc\n", "a\nb c", true),
            ("a b c d e", "a b\n...\nd e", true),
            ("a b c", "a\n…", true),
            ("a b c", "a b", false),
            ("x a", "a", false),
            ("x a", "...\na", true),
        ] {
            assert_eq!(is_as_shown(printed, &shown(text)), is_same, "{printed:?} as {text:?}");
        }
    }
}
