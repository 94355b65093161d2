//! The modules of a crate, and the other modules that each of its files names.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust::{Kind, Token, tokens};

/// A module as its path from the crate's root; the root's is empty.
pub type Module = Vec<String>;

/// A path in a file that leads to another module of the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The file's module.
    pub from: Module,
    /// The deepest module that the path names.
    pub to: Module,
    /// The path as it is written; inside braces, with the part before them.
    pub path: String,
    /// The path of the file in the crate's sources.
    pub file: String,
    /// Its line in the file.
    pub line: usize,
}

/// The module of a file such as `engine/world.rs`, `engine/mod.rs` or `lib.rs`; none for other files.
#[must_use]
pub fn of_file(file: &str) -> Option<Module> {
    let mut parts: Module = file.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    let is_root = matches!(&parts[..], [name] if name == "lib" || name == "main");
    if is_root || parts.last().is_some_and(|name| name == "mod") {
        parts.pop();
    }
    Some(parts)
}

/// All modules that these files make: theirs, and the folders above them.
#[must_use]
pub fn all<'f>(files: impl Iterator<Item = &'f str>) -> BTreeSet<Module> {
    let mut all = BTreeSet::new();
    for module in files.filter_map(of_file) {
        for length in 0..=module.len() {
            all.insert(module[..length].to_vec());
        }
    }
    all
}

/// Every path in a file that leads to another module of `all`.
#[must_use]
pub fn imports(file: &str, source: &str, all: &BTreeSet<Module>) -> Vec<Import> {
    let Some(from) = of_file(file) else { return Vec::new() };
    let mut scan = Scan { all, tokens: tokens(source), from, names: BTreeMap::new(), paths: Vec::new() };
    // Twice, because a module may be used above the line that imports it.
    scan.run();
    scan.paths.clear();
    scan.run();
    let Scan { paths, from, .. } = scan;
    let import = |(line, path, to): (usize, String, Module)| Import {
        from: from.clone(),
        to,
        path,
        file: file.to_owned(),
        line,
    };
    paths.into_iter().filter(|(_, _, to)| *to != from).map(import).collect()
}

struct Scan<'a> {
    all: &'a BTreeSet<Module>,
    tokens: Vec<Token>,
    from: Module,
    /// Modules by the name that `use` gives them in the file.
    names: BTreeMap<String, Module>,
    /// Line, path as written, and the module that it names.
    paths: Vec<(usize, String, Module)>,
}

impl Scan<'_> {
    fn run(&mut self) {
        // The modules inside the file that contain this place, each with its depth of braces.
        let mut inline: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            let follows_path = at > 0 && self.tokens[at - 1].kind == Kind::Path;
            match &token.kind {
                Kind::Sign('{') => depth += 1,
                Kind::Sign('}') => {
                    depth -= usize::from(depth > 0);
                    inline.retain(|(_, own)| *own <= depth);
                }
                Kind::Word(word) if word == "mod" => {
                    if let (Some(Kind::Word(name)), Some(true)) = (self.kind(at + 1), self.sign(at + 2, '{')) {
                        inline.push((name.clone(), depth + 1));
                    }
                }
                Kind::Word(word) if word == "use" && self.sign(at + 1, '<') == Some(false) => {
                    at = self.tree(at + 1, &here(&self.from, &inline), &[]);
                }
                Kind::Word(_) if !follows_path && self.kind(at + 1) == Some(&Kind::Path) => {
                    let (path, end) = self.path(at);
                    self.note(token.line, &here(&self.from, &inline), &path);
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn kind(&self, at: usize) -> Option<&Kind> {
        self.tokens.get(at).map(|token| &token.kind)
    }

    fn sign(&self, at: usize, sign: char) -> Option<bool> {
        self.tokens.get(at).map(|token| token.is_sign(sign))
    }

    /// The words of the path that begins here, and the index of the last one.
    fn path(&self, mut at: usize) -> (Vec<String>, usize) {
        let mut path = Vec::new();
        while let Some(Kind::Word(word)) = self.kind(at) {
            path.push(word.clone());
            if self.kind(at + 1) != Some(&Kind::Path) || !matches!(self.kind(at + 2), Some(Kind::Word(_))) {
                break;
            }
            at += 2;
        }
        (path, at)
    }

    /// Reads one branch of a `use`; `front` is the path before its braces. Returns the index of the sign that ends it.
    fn tree(&mut self, mut at: usize, here: &[String], front: &[String]) -> usize {
        let mut path = front.to_vec();
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        let mut name = None;
        let begin = at;
        while let Some(token) = self.tokens.get(at) {
            match &token.kind {
                Kind::Sign(',' | ';' | '}') => break,
                Kind::Sign('{') => {
                    loop {
                        at = self.tree(at + 1, here, &path);
                        if self.sign(at, ',') != Some(true) {
                            break;
                        }
                    }
                    // After the closing brace comes the end of this branch.
                    return at + 1;
                }
                Kind::Word(word) if word == "as" => {
                    if let Some(Kind::Word(other)) = self.kind(at + 1) {
                        name = Some(other.clone());
                    }
                    at += 1;
                }
                // `a::{self}` is `a`.
                Kind::Word(word) if word == "self" && !path.is_empty() => {}
                Kind::Word(word) => path.push(word.clone()),
                _ => {}
            }
            at += 1;
        }
        // Between a last comma and the closing brace there is no path.
        if at > begin {
            let led = self.note(line, here, &path);
            let name = name.or_else(|| path.last().cloned());
            if let (Some((module, true)), Some(name)) = (led, name) {
                self.names.insert(name, module);
            }
        }
        at
    }

    /// Notes the module that a path names. Returns it, and whether the path ends there.
    fn note(&mut self, line: usize, here: &[String], path: &[String]) -> Option<(Module, bool)> {
        let mut module = here.to_vec();
        let mut words = path;
        match path.first()?.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => {
                let count = path.iter().take_while(|word| *word == "super").count();
                module.truncate(here.len().saturating_sub(count));
                words = &path[count - 1..];
            }
            first => {
                module.push(first.to_owned());
                if !self.all.contains(&module) {
                    module.clone_from(self.names.get(first)?);
                }
            }
        }
        let mut rest = words[1..].iter().peekable();
        while let Some(word) = rest.peek() {
            module.push((*word).clone());
            if !self.all.contains(&module) {
                module.pop();
                break;
            }
            rest.next();
        }
        let is_whole = rest.peek().is_none();
        // A module inside a file counts as the file.
        while !self.all.contains(&module) {
            module.pop();
        }
        self.paths.push((line, path.join("::"), module.clone()));
        Some((module, is_whole))
    }
}

fn here(file: &[String], inline: &[(String, usize)]) -> Module {
    file.iter().chain(inline.iter().map(|(name, _)| name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::{all, imports};

    const FILES: [&str; 7] =
        ["lib.rs", "a.rs", "a/b.rs", "a/c.rs", "model/port.rs", "model/flow.rs", "engine/index/view.rs"];

    /// What a file uses, as `LINE: PATH -> MODULE`.
    fn used(file: &str, source: &str) -> Vec<String> {
        let all = all(FILES.into_iter());
        let shown = |import: super::Import| format!("{}: {} -> {}", import.line, import.path, import.to.join("::"));
        imports(file, source, &all).into_iter().map(shown).collect()
    }

    #[test]
    fn braces_over_several_lines_are_taken_apart() {
        let source =
            "use std::fmt;\nuse crate::{\n    a::{self, b::{X, Y}},\n    model::port as p,\n};\nuse crate::a::c::*;";
        let expected = [
            "3: crate::a -> a",
            "3: crate::a::b::X -> a::b",
            "3: crate::a::b::Y -> a::b",
            "4: crate::model::port -> model::port",
            "6: crate::a::c -> a::c",
        ];
        assert_eq!(used("engine/index/view.rs", source), expected);
    }

    #[test]
    fn super_and_self_are_followed() {
        assert_eq!(used("a/b.rs", "use super::c::X;"), ["1: super::c::X -> a::c"]);
        assert_eq!(used("a/b.rs", "use super::X;"), ["1: super::X -> a"]);
        assert_eq!(
            used("a/b.rs", "use super::super::model::flow::X;"),
            ["1: super::super::model::flow::X -> model::flow"]
        );
        assert_eq!(used("a.rs", "use self::c::X; fn f() { b::g() }"), ["1: self::c::X -> a::c", "1: b::g -> a::b"]);
        assert_eq!(
            used("a/b.rs", "mod t { use super::X; fn f() { super::super::c::g() } }"),
            ["1: super::super::c::g -> a::c"]
        );
    }

    #[test]
    fn paths_in_the_middle_of_code_count() {
        let source = "fn f(x: &crate::model::port::P) -> Vec<std::fmt::E> { x.iter().map(crate::a::c::g) }";
        assert_eq!(used("a/b.rs", source), ["1: crate::model::port::P -> model::port", "1: crate::a::c::g -> a::c"]);
    }

    #[test]
    fn an_imported_module_is_followed_by_its_name() {
        let source = "fn f() { port::g(); other::h() }\nuse crate::model::{port, flow as other};";
        let expected = [
            "1: port::g -> model::port",
            "1: other::h -> model::flow",
            "2: crate::model::port -> model::port",
            "2: crate::model::flow -> model::flow",
        ];
        assert_eq!(used("a/b.rs", source), expected);
    }

    #[test]
    fn declarations_comments_and_strings_are_not_imports() {
        assert_eq!(
            used(
                "a.rs",
                "mod b;\n// use crate::model::port;\n/// [`crate::model::port`]\nconst T: &str = \"crate::model::port\";"
            ),
            [""; 0]
        );
    }
}
