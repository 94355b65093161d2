//! Which files of a tree are read, by their names and by `--path`.

use foretell_policy::change::revisions::may_hold_manifests;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::error::SourceError;

/// The globs of `--path`, and which of them have matched a file.
pub(super) struct PathFilter {
    patterns: Vec<Pattern>,
}

struct Pattern {
    given: String,
    globs: GlobSet,
    matched: bool,
}

impl PathFilter {
    /// Without globs every path matches.
    pub(super) fn new(paths: &[String]) -> Result<Self, SourceError> {
        let patterns = paths.iter().map(|path| Pattern::new(path)).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Whether a file is to be read. Each pattern records its first match, so that one without a match can be reported.
    pub(super) fn wants(&mut self, path: &str) -> bool {
        let mut matches = self.patterns.is_empty();
        for pattern in &mut self.patterns {
            // Matching is expensive: it is skipped once it cannot change the result.
            if (!matches || !pattern.matched) && pattern.globs.is_match(path) {
                pattern.matched = true;
                matches = true;
            }
        }
        matches && may_hold_manifests(path)
    }

    pub(super) fn check_all_matched(&self) -> Result<(), SourceError> {
        match self.patterns.iter().find(|pattern| !pattern.matched) {
            Some(pattern) => Err(SourceError::NothingMatches { path: pattern.given.clone() }),
            None => Ok(()),
        }
    }
}

impl Pattern {
    /// As in `.gitignore`: a folder matches everything below it, `*` does not match a slash, and a glob without a slash matches
    /// at any depth. Unlike there, a plain name matches at the root only.
    fn new(given: &str) -> Result<Self, SourceError> {
        let bad = |why: String| SourceError::BadPath { path: given.to_owned(), why };
        let path = given.trim_start_matches("./").trim_matches('/');
        let is_glob = path.contains(['*', '?', '[', '{']);
        let path = match path {
            "" if given.is_empty() => return Err(bad("is empty".to_owned())),
            "" | "." => "**".to_owned(),
            path if is_glob && !path.contains('/') => format!("**/{path}"),
            path => path.to_owned(),
        };
        let mut globs = GlobSetBuilder::new();
        for glob in [path.clone(), format!("{path}/**")] {
            globs.add(
                GlobBuilder::new(&glob)
                    .literal_separator(true)
                    .build()
                    .map_err(|error| bad(error.kind().to_string()))?,
            );
        }
        let globs = globs.build().map_err(|error| bad(error.kind().to_string()))?;
        Ok(Self { given: given.to_owned(), globs, matched: false })
    }
}
