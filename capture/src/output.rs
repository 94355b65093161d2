//! Writes whole lines, and says so when it cannot; or hands them to what sends them.

use std::fs::{File, OpenOptions};
use std::io::{self, Stdout, Write};

use anyhow::Context as _;
use foretell_policy::model::flow::Line;

use crate::args;
use crate::ship::Shipper;

/// Where lines go: to a file, to the evaluator, or to both.
#[derive(Debug)]
pub struct Writer {
    output: Option<Output>,
    shipper: Option<Shipper>,
    buffer: Vec<u8>,
}

/// A file or standard output.
#[derive(Debug)]
pub struct Output {
    name: String,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Stdout(Stdout),
    File(File),
}

impl Output {
    /// Opens the file for appending, making it where there is none.
    ///
    /// # Errors
    /// Where the file cannot be opened for writing.
    pub fn open(output: &args::Output) -> anyhow::Result<Self> {
        let (name, sink) = match output {
            args::Output::Stdout => ("standard output".to_owned(), Sink::Stdout(io::stdout())),
            args::Output::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                let file = file.with_context(|| format!("--output {}: cannot open it for writing", path.display()))?;
                (path.display().to_string(), Sink::File(file))
            }
        };
        Ok(Self { name, sink })
    }

    fn write(&mut self, lines: usize, text: &[u8]) -> anyhow::Result<()> {
        let written = match &mut self.sink {
            Sink::Stdout(stdout) => stdout.write_all(text).and_then(|()| stdout.flush()),
            Sink::File(file) => file.write_all(text),
        };
        written.with_context(|| format!("cannot write {lines} lines to {}", self.name))
    }
}

impl Writer {
    /// To any of these.
    #[must_use]
    pub fn new(output: Option<Output>, shipper: Option<Shipper>) -> Self {
        Self { output, shipper, buffer: Vec::new() }
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
        if let Some(output) = &mut self.output {
            output.write(lines.len(), &self.buffer)?;
        }
        if let Some(shipper) = &mut self.shipper {
            let flows = lines.iter().filter(|line| matches!(line, Line::Flow(_))).count();
            shipper.enqueue(self.buffer.clone(), flows as u64);
        }
        Ok(())
    }

    /// Flows that could not be sent since this was last asked, by cause.
    pub fn take_lost(&mut self) -> Vec<(&'static str, u64)> {
        self.shipper.as_mut().map(Shipper::take_lost).unwrap_or_default()
    }

    /// Waits until what was written is sent, for so long as a pod has to end.
    pub fn finish(&mut self) {
        if let Some(shipper) = &mut self.shipper {
            shipper.finish();
        }
    }
}
