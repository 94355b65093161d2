//! What a play leaves: a snapshot and a file of flows, both or neither.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use foretell_policy::flow::Line;
use tempfile::TempDir;

const SNAPSHOT: &str = "snapshot.yaml";
const FLOWS: &str = "flows.ndjson";

/// A recording under way, in a folder beside the place where it will be.
#[derive(Debug)]
pub struct Recording {
    output: PathBuf,
    unfinished: TempDir,
}

/// What is in a file of flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Lines that are flows.
    pub flows: usize,
    /// Lines that are reports.
    pub reports: usize,
    /// What was lost, by cause, over all reports.
    pub lost: BTreeMap<String, u64>,
}

impl Recording {
    /// Begins one. The folder is made where it is not there.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn begin(output: &Path) -> anyhow::Result<Self> {
        let problem = || format!("cannot write to {}", output.display());
        fs::create_dir_all(output).with_context(problem)?;
        let unfinished = tempfile::Builder::new().prefix(".playing-").tempdir_in(output).with_context(problem)?;
        Ok(Self { output: output.to_owned(), unfinished })
    }

    /// Where the agent writes.
    #[must_use]
    pub fn flows(&self) -> PathBuf {
        self.unfinished.path().join(FLOWS)
    }

    /// Puts both files in their place.
    ///
    /// # Errors
    /// Where a line of the flows cannot be read, or the files cannot be written.
    pub fn finish(self, snapshot: &str) -> anyhow::Result<Contents> {
        let contents = Contents::read(&fs::read_to_string(self.flows())?)?;
        let written = self.unfinished.path().join(SNAPSHOT);
        fs::write(&written, snapshot)?;
        for (from, name) in [(written, SNAPSHOT), (self.flows(), FLOWS)] {
            let to = self.output.join(name);
            fs::rename(from, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(contents)
    }
}

impl Contents {
    /// Counts lines.
    ///
    /// # Errors
    /// Where a line is neither a flow nor a report: says which.
    pub fn read(text: &str) -> anyhow::Result<Self> {
        let mut contents = Self::default();
        for (number, line) in text.lines().enumerate() {
            match Line::parse(line.as_bytes()).with_context(|| format!("line {} of the agent's", number + 1))? {
                Line::Flow(_) => contents.flows += 1,
                Line::Report(report) => {
                    contents.reports += 1;
                    for (cause, n) in report.lost {
                        *contents.lost.entry(cause).or_default() += n;
                    }
                }
            }
        }
        Ok(contents)
    }
}
