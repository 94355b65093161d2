//! Writes whole lines, and says so when it cannot.

use std::fs::{File, OpenOptions};
use std::io::{self, Stdout, Write};

use anyhow::Context as _;
use foretell_policy::flow::Line;

use crate::args::Output;

/// Where lines go.
#[derive(Debug)]
pub struct Writer {
    name: String,
    sink: Sink,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Sink {
    Stdout(Stdout),
    File(File),
}

impl Writer {
    /// Opens the file for appending, making it where there is none.
    ///
    /// # Errors
    /// Where the file cannot be opened for writing.
    pub fn open(output: &Output) -> anyhow::Result<Self> {
        let (name, sink) = match output {
            Output::Stdout => ("standard output".to_owned(), Sink::Stdout(io::stdout())),
            Output::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                let file = file.with_context(|| format!("--output {}: cannot open it for writing", path.display()))?;
                (path.display().to_string(), Sink::File(file))
            }
        };
        Ok(Self { name, sink, buffer: Vec::new() })
    }

    /// Writes the lines in one go and flushes: a reader sees whole lines, and a whole window.
    ///
    /// # Errors
    /// Where writing fails; the lines may then have been written in part.
    pub fn write(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        self.buffer.clear();
        for line in lines {
            self.buffer.extend_from_slice(line.to_json()?.as_bytes());
            self.buffer.push(b'\n');
        }
        let written = match &mut self.sink {
            Sink::Stdout(stdout) => stdout.write_all(&self.buffer).and_then(|()| stdout.flush()),
            Sink::File(file) => file.write_all(&self.buffer),
        };
        written.with_context(|| format!("cannot write {} lines to {}", lines.len(), self.name))
    }
}
