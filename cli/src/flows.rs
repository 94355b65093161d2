//! Reads recorded flows: NDJSON out of files or standard input, plain, gzip or zstd, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use foretell_policy::flow::{Line, LineError, NodeReport, is_report};

use crate::args::BadLines;

/// The longest line that is read. A flow takes some 300 bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// How many skipped lines are named; the rest is counted.
const NAMED_BAD_LINES: u64 = 10;

/// Flows could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// The file cannot be opened or read.
    #[error("{}: cannot read flows: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A line is neither a flow nor a report.
    #[error("{}, line {line}: {problem}; mend the line, or leave such lines out with --bad-lines skip", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: LineError,
    },
    /// A line does not end.
    #[error("{}, line {line}: longer than {LONGEST_LINE} bytes; flows are one JSON object a line", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Its number, from 1.
        line: u64,
    },
}

/// The lines of a file, in order. Memory does not grow with the file.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
    on_bad_line: BadLines,
    skipped: u64,
}

impl Lines {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// [`FlowsError::Read`] where it cannot be opened.
    pub fn open(path: &Path, on_bad_line: BadLines) -> Result<Self, FlowsError> {
        let reader = open(path)?;
        Ok(Self { path: path.to_owned(), reader, buffer: Vec::with_capacity(1024), number: 0, on_bad_line, skipped: 0 })
    }

    /// The next flow or report, with its line number from 1; `None` at the end.
    ///
    /// # Errors
    /// [`FlowsError`] where the file cannot be read, or a line cannot and such lines are refused.
    pub fn read_next(&mut self) -> Result<Option<(u64, Line)>, FlowsError> {
        while let Some(text) = self.advance()? {
            if text.is_empty() {
                continue;
            }
            let parsed = Line::parse(text);
            let (path, line) = (&self.path, self.number);
            match (parsed, self.on_bad_line) {
                (Ok(parsed), _) => return Ok(Some((line, parsed))),
                (Err(problem), BadLines::Refuse) => {
                    return Err(FlowsError::Line { path: path.clone(), line, problem });
                }
                (Err(problem), BadLines::Skip) => {
                    self.skipped += 1;
                    if self.skipped <= NAMED_BAD_LINES {
                        eprintln!("foretell: {}, line {line}: skipped: {problem}", path.display());
                    }
                }
            }
        }
        Ok(None)
    }

    /// How many lines were skipped because they could not be read.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next line's text without white space around it.
    fn advance(&mut self) -> Result<Option<&[u8]>, FlowsError> {
        self.buffer.clear();
        let read = self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.buffer);
        let length = read.map_err(|error| FlowsError::Read { path: self.path.clone(), error })?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length as u64 == LONGEST_LINE && self.buffer.last() != Some(&b'\n') {
            return Err(FlowsError::TooLong { path: self.path.clone(), line: self.number });
        }
        Ok(Some(self.buffer.trim_ascii()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.skipped > NAMED_BAD_LINES {
            eprintln!("foretell: {}: {} more lines skipped", self.path.display(), self.skipped - NAMED_BAD_LINES);
        }
    }
}

/// Reads a file's reports and nothing else. What is wrong with other lines shows when they are read.
///
/// # Errors
/// [`FlowsError`] where the file cannot be read.
pub fn reports(path: &Path, mut take: impl FnMut(NodeReport)) -> Result<(), FlowsError> {
    let mut lines = Lines::open(path, BadLines::Skip)?;
    while let Some(text) = lines.advance()? {
        if is_report(text)
            && let Ok(Line::Report(report)) = Line::parse(text)
        {
            take(report);
        }
    }
    Ok(())
}

/// Whether a file can be read twice.
#[must_use]
pub fn is_rereadable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Opens a file or standard input (`-`) and takes the compression off, which the first bytes tell.
///
/// # Errors
/// [`FlowsError::Read`] where it cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, FlowsError> {
    let unreadable = |error| FlowsError::Read { path: path.to_owned(), error };
    let mut plain: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder; name its files")));
        }
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let first = plain.fill_buf().map_err(unreadable)?;
    if first.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(plain))));
    }
    if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::with_buffer(plain).map_err(unreadable)?;
        return Ok(Box::new(BufReader::with_capacity(1 << 16, decoder)));
    }
    Ok(plain)
}
