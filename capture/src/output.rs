//! Writes lines to a file, and passes them to the shipper.

use std::fs::{File, OpenOptions};
use std::io::{self, Stdout, Write};

use anyhow::Context as _;
use foretell_objects::model::flow::Line;

use crate::args;
use crate::ship::Shipper;

/// Writes lines to a file, sends them to the evaluator, or both.
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
    /// Opens the file for appending and creates it if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be opened for writing.
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
    /// A writer to these destinations.
    #[must_use]
    pub fn new(output: Option<Output>, shipper: Option<Shipper>) -> Self {
        Self { output, shipper, buffer: Vec::new() }
    }

    /// Writes the lines at once and flushes, so that a reader sees whole lines and a whole window.
    ///
    /// # Errors
    /// If writing fails. Some of the lines may be written then.
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

    /// Number of flows that could not be sent since the previous call, by cause.
    pub fn take_lost(&mut self) -> Vec<(&'static str, u64)> {
        self.shipper.as_mut().map(Shipper::take_lost).unwrap_or_default()
    }

    /// Waits until all lines are sent, within the time that a pod has for its termination.
    pub fn finish(&mut self) {
        if let Some(shipper) = &mut self.shipper {
            shipper.finish();
        }
    }
}
