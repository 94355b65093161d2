//! Progress, for a user at a terminal. If standard error is not a terminal, nothing is shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that shows the current step until it is dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows the first step.
    #[must_use]
    pub fn begin(step: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(step.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Shows the next step.
    pub fn next(&self, step: impl Into<String>) {
        self.0.set_message(step.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
