//! Checks the commands in documents: see `scripts/documented-commands`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode, Stdio};
use std::{env, io};

use foretell_sources::documents::{self, Block, Mark};
use foretell_sources::files;

fn main() -> ExitCode {
    let root = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    match Checkout::read(Path::new(&root)).and_then(|checkout| checkout.check()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("documented-commands: {error}");
            ExitCode::from(2)
        }
    }
}

/// The names that commands may use.
struct Checkout {
    root: PathBuf,
    targets: BTreeSet<String>,
    programs: BTreeSet<String>,
}

impl Checkout {
    fn read(root: &Path) -> io::Result<Self> {
        let makefile = files::read(&root.join("Makefile"))?;
        let target = |line: &str| {
            let (name, _) = line.split_once(':')?;
            name.chars().all(|symbol| symbol.is_ascii_lowercase() || symbol == '-').then(|| name.to_owned())
        };
        // Programs have the names of their images.
        let images = files::read(&root.join("scripts/images"))?;
        let names = images.lines().find_map(|line| line.strip_prefix("images='")).unwrap_or_default();
        Ok(Self {
            root: root.to_owned(),
            targets: makefile.lines().filter_map(target).collect(),
            programs: names.trim_end_matches('\'').split(' ').map(str::to_owned).collect(),
        })
    }

    /// Whether all documents are correct.
    fn check(&self) -> io::Result<bool> {
        let (mut faults, mut run, mut count) = (Vec::new(), 0, 0);
        for document in documents_of(&self.root)? {
            let text = files::read(&self.root.join(&document))?;
            let mut fault = |line: usize, reason: &str| faults.push(format!("{document}:{line}: {reason}"));
            self.links(&document, &text, &mut fault);
            for block in documents::blocks(&text) {
                count += block.commands.len();
                self.names(&block, &mut fault);
                match block.mark {
                    Some(Mark::Run(status)) => {
                        run += block.commands.len();
                        self.run(&block, status, &mut fault)?;
                    }
                    Some(Mark::NotRun(_)) => {}
                    None => fault(
                        block.line,
                        "write <!-- run --> before this block, or <!-- not run: REASON --> if a machine cannot run it in seconds",
                    ),
                }
            }
        }
        for fault in &faults {
            eprintln!("{fault}");
        }
        if faults.is_empty() {
            println!("The {count} commands in documents name what there is; {run} of them were run.");
        }
        Ok(faults.is_empty())
    }

    /// Checks the make targets and paths in a block.
    fn names(&self, block: &Block, fault: &mut impl FnMut(usize, &str)) {
        for command in &block.commands {
            for words in command.words() {
                let mut words = &words[..];
                if let [first, rest @ ..] = words
                    && first == "sudo"
                {
                    words = rest;
                }
                if let [first, arguments @ ..] = words
                    && first == "make"
                {
                    let targets = arguments.iter().filter(|word| !word.contains('=') && !word.starts_with('-'));
                    for target in targets.filter(|target| !self.targets.contains(*target)) {
                        fault(command.line, &format!("the Makefile has no target `{target}`"));
                    }
                }
                for word in words {
                    let path = word.rsplit_once('=').map_or(word.as_str(), |(_, value)| value);
                    if !self.has(path) {
                        fault(command.line, &format!("`{path}` does not exist"));
                    }
                }
            }
        }
    }

    /// Whether a path of the checkout exists, or exists after a build. Other words are not paths of the checkout.
    fn has(&self, path: &str) -> bool {
        let path = path.trim_start_matches("./");
        let Some((first, rest)) = path.split_once('/') else { return true };
        if first == "target" {
            let built = rest.strip_prefix("images/").or_else(|| rest.strip_prefix("release/"));
            return built.is_none_or(|name| {
                name.contains('*') || self.programs.contains(name.strip_suffix(".tar").unwrap_or(name))
            });
        }
        let is_of_checkout = !first.is_empty() && self.root.join(first).exists();
        !is_of_checkout || path.contains(['*', '$']) || self.root.join(path).exists()
    }

    /// Checks the links to files.
    fn links(&self, document: &str, text: &str, fault: &mut impl FnMut(usize, &str)) {
        let folder = self.root.join(document).parent().map(Path::to_owned).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            for (_, rest) in line.match_indices("](").map(|(at, _)| line.split_at(at + 2)) {
                let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
                let is_file = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
                if is_file && !folder.join(target).exists() {
                    fault(number + 1, &format!("the link to `{target}` leads nowhere"));
                }
            }
        }
    }

    /// Runs a block as one script, from the root of the checkout.
    fn run(&self, block: &Block, status: i32, fault: &mut impl FnMut(usize, &str)) -> io::Result<()> {
        let mut script: String = "exec 2>&1\n".to_owned();
        for (number, command) in block.commands.iter().enumerate() {
            let may_fail = status != 0 && number + 1 == block.commands.len();
            script.push_str(if may_fail { "set +e\n" } else { "" });
            script.push_str(&command.text);
            script.push('\n');
        }
        let ended = Process::new("sh").args(["-euc", &script]).current_dir(&self.root).stdin(Stdio::null()).output()?;
        let printed = String::from_utf8_lossy(&ended.stdout);
        if ended.status.code() != Some(status) {
            fault(block.line, &format!("this block ends with {}, not with {status}:\n{printed}", ended.status));
        } else if !block.output.is_empty() && !documents::is_as_shown(&printed, &block.output) {
            fault(block.line, &format!("this block prints something else than it shows:\n{printed}"));
        }
        Ok(())
    }
}

/// Documents that users read, from the root.
fn documents_of(root: &Path) -> io::Result<Vec<String>> {
    let names = files::below(root)?.into_iter().filter_map(|path| {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let is_document = name == "README.md"
            || name == "CONTRIBUTING.md"
            || name.starts_with("docs/")
            || ["demo/README.md", "tests/cluster/README.md"].contains(&name.as_str());
        (is_document && path.extension().is_some_and(|end| end == "md")).then_some(name)
    });
    Ok(names.collect())
}
