//! Reads recorded flows line by line: NDJSON from files or standard input, plain, gzip or zstd.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use foretell_objects::model::flow::{Line, LineError, NodeReport, is_log, is_report};

use crate::args::observed::BadLines;
use crate::messages::{self, say};

/// Bytes of the longest line that is read. A flow has about 300.
const LONGEST_LINE: u64 = 1 << 20;

/// How many skipped lines of a file are named. The others are counted.
const NAMED_BAD_LINES: u64 = 10;

/// Why flows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// A file cannot be opened or read.
    #[error("{}{}: cannot read flows: {error}; {}", path.display(), after(*.lines), messages::how_to_fix(.error))]
    Read {
        /// The file.
        path: PathBuf,
        /// How many lines were read before the error.
        lines: u64,
        /// Error of the operating system.
        error: io::Error,
    },
    /// A line is neither a flow nor a report.
    #[error("{}, line {line}: {problem}; fix the line, or skip such lines with --bad-lines skip", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Problem with the line.
        problem: BadLine,
    },
    /// Standard input or a pipe cannot be copied, to be read a second time.
    #[error("{}: cannot be copied to a temporary file: {error}; set TMPDIR to a folder with free space, or save the flows and name that file", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
}

/// Problem with a line.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// The line is neither a flow nor a report.
    #[error(transparent)]
    Invalid(#[from] LineError),
    /// The line is longer than any flow.
    #[error("longer than {LONGEST_LINE} bytes: each line is one JSON object")]
    TooLong,
}

fn after(lines: u64) -> String {
    if lines == 0 { String::new() } else { format!(", after line {lines}") }
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
    /// [`FlowsError::Read`] if it cannot be opened.
    pub fn open(path: &Path, on_bad_line: BadLines) -> Result<Self, FlowsError> {
        let reader = open(path).map_err(|error| FlowsError::Read { path: path.to_owned(), lines: 0, error })?;
        Ok(Self::of(path, reader, on_bad_line))
    }

    fn of(path: &Path, reader: Box<dyn BufRead>, on_bad_line: BadLines) -> Self {
        Self { path: path.to_owned(), reader, buffer: Vec::with_capacity(1024), number: 0, on_bad_line, skipped: 0 }
    }

    /// The next flow or report, with its line number from 1; `None` at the end.
    ///
    /// # Errors
    /// [`FlowsError`] if the file cannot be read, or a line cannot be read and bad lines are refused.
    pub fn read_next(&mut self) -> Result<Option<(u64, Line)>, FlowsError> {
        while let Some(text) = self.advance()? {
            let parsed = match text {
                Ok([]) => continue,
                Ok(text) if is_log(text) => continue,
                Ok(text) => Line::parse(text).map_err(BadLine::from),
                Err(problem) => Err(problem),
            };
            match parsed {
                Ok(parsed) => return Ok(Some((self.number, parsed))),
                Err(problem) => self.skip(problem)?,
            }
        }
        Ok(None)
    }

    /// How many bad lines were skipped.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn skip(&mut self, problem: BadLine) -> Result<(), FlowsError> {
        let (path, line) = (&self.path, self.number);
        if self.on_bad_line == BadLines::Refuse {
            return Err(FlowsError::Line { path: path.clone(), line, problem });
        }
        self.skipped += 1;
        if self.skipped <= NAMED_BAD_LINES {
            say(format_args!("{}, line {line}: skipped: {problem}", path.display()));
        }
        Ok(())
    }

    /// Text of the next line, without white space around it.
    fn advance(&mut self) -> Result<Option<Result<&[u8], BadLine>>, FlowsError> {
        let unreadable = |error| FlowsError::Read { path: self.path.clone(), lines: self.number, error };
        self.buffer.clear();
        let length = self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.buffer).map_err(unreadable)?;
        if length == 0 {
            return Ok(None);
        }
        let is_too_long = length as u64 == LONGEST_LINE && self.buffer.last() != Some(&b'\n');
        if is_too_long {
            self.reader.skip_until(b'\n').map_err(unreadable)?;
        }
        self.number += 1;
        Ok(Some(if is_too_long { Err(BadLine::TooLong) } else { Ok(self.buffer.trim_ascii()) }))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.skipped > NAMED_BAD_LINES {
            say(format_args!("{}: {} more lines skipped", self.path.display(), self.skipped - NAMED_BAD_LINES));
        }
    }
}

/// Flows that can be read more than once. Standard input and pipes are copied to a temporary file, which has no name and
/// disappears with the process.
pub struct Recording {
    path: PathBuf,
    copy: Option<File>,
}

impl Recording {
    /// Opens a file, a pipe, or standard input for `-`.
    ///
    /// # Errors
    /// [`FlowsError`] if it cannot be read or copied.
    pub fn open(path: &Path) -> Result<Self, FlowsError> {
        let is_file = path != Path::new("-") && path.metadata().is_ok_and(|metadata| metadata.is_file());
        let copy = if is_file { None } else { Some(copy_of(path)?) };
        Ok(Self { path: path.to_owned(), copy })
    }

    /// The lines, from the first.
    ///
    /// # Errors
    /// [`FlowsError::Read`] if it cannot be opened.
    pub fn lines(&self, on_bad_line: BadLines) -> Result<Lines, FlowsError> {
        let Some(copy) = &self.copy else { return Lines::open(&self.path, on_bad_line) };
        let reopened = || {
            let mut copy = copy.try_clone()?;
            copy.rewind()?;
            decompressed(Box::new(BufReader::with_capacity(1 << 16, copy)))
        };
        let reader = reopened().map_err(|error| FlowsError::Copy { path: self.path.clone(), error })?;
        Ok(Lines::of(&self.path, reader, on_bad_line))
    }

    /// Reads all lines before any of them is judged: gives the reports to `use_report`, and fails at the first bad line if bad
    /// lines are refused.
    ///
    /// # Errors
    /// [`FlowsError`] if it cannot be read, or a line cannot be read and bad lines are refused.
    pub fn look_through(
        &self,
        on_bad_line: BadLines,
        mut use_report: impl FnMut(NodeReport),
    ) -> Result<(), FlowsError> {
        let mut lines = self.lines(on_bad_line)?;
        if on_bad_line == BadLines::Refuse {
            while let Some((_, line)) = lines.read_next()? {
                if let Line::Report(report) = line {
                    use_report(report);
                }
            }
        } else {
            // Bad lines are named when the lines are judged.
            while let Some(text) = lines.advance()? {
                if let Ok(text) = text
                    && is_report(text)
                    && let Ok(Line::Report(report)) = Line::parse(text)
                {
                    use_report(report);
                }
            }
        }
        Ok(())
    }
}

/// Copies to a temporary file, compressed because temporary files may be in memory.
fn copy_of(path: &Path) -> Result<File, FlowsError> {
    let cannot_copy = |error| FlowsError::Copy { path: path.to_owned(), error };
    let mut lines = 0;
    let mut reader = open(path).map_err(|error| FlowsError::Read { path: path.to_owned(), lines, error })?;
    let mut copy = zstd::Encoder::new(tempfile::tempfile().map_err(cannot_copy)?, 1).map_err(cannot_copy)?;
    loop {
        let read = match reader.fill_buf() {
            Ok([]) => return copy.finish().map_err(cannot_copy),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FlowsError::Read { path: path.to_owned(), lines, error }),
        };
        copy.write_all(read).map_err(cannot_copy)?;
        lines += read.split(|&byte| byte == b'\n').skip(1).count() as u64;
        let length = read.len();
        reader.consume(length);
    }
}

/// Opens a file or standard input (`-`) and decompresses it. Its first bytes show the format.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return decompressed(Box::new(BufReader::with_capacity(1 << 16, io::stdin())));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    decompressed(Box::new(BufReader::with_capacity(1 << 16, file)))
}

fn decompressed(mut plain: Box<dyn BufRead>) -> io::Result<Box<dyn BufRead>> {
    let first = plain.fill_buf()?;
    if first.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(plain))));
    }
    if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, zstd::Decoder::with_buffer(plain)?)));
    }
    Ok(plain)
}
