//! The agent's log: text on standard error, or lines of JSON on standard output, where a container's log also has the flows.

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Destination {
    /// Standard error, as text.
    Stderr,
    /// Standard output, as lines of JSON that readers of flows skip.
    Stdout,
}

/// Starts logging with this filter.
///
/// # Errors
/// If the filter is invalid.
pub fn begin(destination: Destination, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter}"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    match destination {
        Destination::Stderr => log.with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).init(),
        Destination::Stdout => log.json().with_writer(|| Lines(io::stdout())).init(),
    }
    Ok(())
}

/// Reports the error that ends the process, even if logging has not started.
pub fn report_failure(destination: Destination, error: &anyhow::Error) {
    match destination {
        Destination::Stderr => eprintln!("foretell-capture: {error:#}"),
        Destination::Stdout => {
            let entry =
                json!({"timestamp": Timestamp::now(), "level": "ERROR", "fields": {"message": format!("{error:#}")}});
            // If standard output is closed, the error cannot be reported anywhere.
            let _unread = Lines(io::stdout()).write_all(entry.to_string().as_bytes());
        }
    }
}

/// Writes each entry as one line. Every write contains a whole entry, and standard output is locked for each line, so lines of
/// the log and lines of flows never mix.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let mut line = b"{\"log\":".to_vec();
        line.extend_from_slice(entry.trim_ascii_end());
        line.extend_from_slice(b"}\n");
        self.0.write_all(&line)?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use foretell_objects::model::flow::is_log;

    use super::*;

    #[test]
    fn an_entry_is_one_line_that_readers_of_flows_recognize() {
        let mut lines = Lines(Vec::new());
        lines.write_all(b"{\"level\":\"INFO\"}\n").unwrap();
        assert_eq!(lines.0, b"{\"log\":{\"level\":\"INFO\"}}\n");
        assert!(is_log(&lines.0));
    }
}
