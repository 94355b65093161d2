//! The table `scripts/import-order.txt`: which folders may use which.

/// The sources of one crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Sources {
    /// The folder, from the root of the checkout: `policy/src`.
    pub path: String,
    /// Its folders in order, if they have one: each may use those before it.
    pub folders: Vec<Folder>,
    /// Pairs of modules that may use each other, for a reason that the table gives.
    pub circles: Vec<[String; 2]>,
}

/// A folder of the order.
#[derive(Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name.
    pub name: String,
    /// Folders before it that it may not use.
    pub except: Vec<String>,
}

impl Sources {
    /// The rule by which the folder `from` may not use the folder `to`; none if it may.
    #[must_use]
    pub fn forbids(&self, from: &str, to: &str) -> Option<String> {
        if from == to {
            return None;
        }
        let place = |name: &str| self.folders.iter().position(|folder| folder.name == name);
        let (Some(own), Some(other)) = (place(from), place(to)) else {
            let unknown = if place(from).is_none() { from } else { to };
            return Some(format!("`{unknown}` is not a folder of the order"));
        };
        if other > own {
            return Some(format!("`{from}` is before `{to}` in the order, and a folder uses only folders before it"));
        }
        let is_excepted = self.folders[own].except.iter().any(|name| name == to);
        is_excepted.then(|| format!("`{from}` uses the folders before it except `{to}`"))
    }
}

/// Reads the table.
///
/// # Errors
/// The first line that it does not understand.
pub fn read(table: &str) -> Result<Vec<Sources>, String> {
    let mut all: Vec<Sources> = Vec::new();
    for (number, line) in table.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let fault = |reason: &str| Err(format!("line {}: {reason}", number + 1));
        match (&words[..], all.last_mut()) {
            ([], _) => {}
            ([section], _) if section.starts_with('[') && section.ends_with(']') => {
                all.push(Sources {
                    path: section[1..section.len() - 1].to_owned(),
                    folders: Vec::new(),
                    circles: Vec::new(),
                });
            }
            (["circle", one, other, "because", _, ..], Some(sources)) => {
                sources.circles.push([(*one).to_owned(), (*other).to_owned()]);
            }
            (["circle", ..], Some(_)) => return fault("write circle MODULE MODULE because REASON"),
            ([name, except @ ..], Some(sources)) => {
                let except = match except {
                    [] => &[],
                    ["not", names @ ..] => names,
                    _ => return fault("write FOLDER, or FOLDER not FOLDER..."),
                };
                let is_earlier = |name: &&&str| sources.folders.iter().any(|folder| folder.name == **name);
                if let Some(unknown) = except.iter().find(|name| !is_earlier(name)) {
                    return fault(&format!("`{unknown}` is not before `{name}`"));
                }
                let except = except.iter().map(|&name| name.to_owned()).collect();
                sources.folders.push(Folder { name: (*name).to_owned(), except });
            }
            (_, None) => return fault("a folder before the first [CRATE/src]"),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_folder_uses_those_before_it_that_are_not_excepted() {
        let table = "[policy/src] # crate\nmodel\npolicy\nsnapshot not policy\nengine\n[cli/src]\n";
        let read = read(table).unwrap();
        assert_eq!(read.iter().map(|sources| sources.path.as_str()).collect::<Vec<_>>(), ["policy/src", "cli/src"]);
        for (from, to, is_allowed) in [
            ("engine", "model", true),
            ("engine", "engine", true),
            ("engine", "snapshot", true),
            ("model", "engine", false),
            ("snapshot", "policy", false),
            ("policy", "snapshot", false),
            ("engine", "elsewhere", false),
            ("elsewhere", "model", false),
        ] {
            assert_eq!(read[0].forbids(from, to).is_none(), is_allowed, "{from} uses {to}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        for (table, reason) in [
            ("model", "line 1: a folder before the first"),
            ("[a]\nb c", "line 2: write FOLDER"),
            ("[a]\ncircle b c", "line 2: write circle"),
            ("[a]\nb not c", "line 2: `c` is not before `b`"),
        ] {
            assert!(read(table).unwrap_err().starts_with(reason), "{table:?}");
        }
    }
}
