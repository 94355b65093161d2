//! Under whose meaning of policies it was judged, and where that makes a difference.

use crate::cluster::party::from_to;
use crate::engine::effect::Effect;
use crate::model::words::count;
use crate::report::data::Report;
use crate::report::dialects::{DialectDifference, DialectReport};
use crate::report::escape::text;
use crate::report::markdown::page::{Page, attempts, party};

impl Page {
    /// Where common enforcers would answer otherwise.
    pub(super) fn dialects(&mut self, report: &Report) {
        if report.dialects.is_empty() {
            return;
        }
        self.line("### It depends on who enforces\n");
        self.line(
            "This was judged as upstream's text has it. These enforcers make something else of traffic in use; `--cni` judges \
             as one of them does.\n",
        );
        for dialect in &report.dialects {
            self.line(format!(
                "- **{}**: {} ([source](<{}>)). It makes a difference to {}:",
                text(&dialect.title),
                text(&dialect.what),
                dialect.source,
                count(dialect.connections, "connection in use", "connections in use"),
            ));
            let most = self.most_rows.min(MOST);
            for difference in dialect.differences.iter().take(most) {
                self.line(format!("  - {}", told(difference, dialect)));
            }
            let told = dialect.differences.len().min(most) as u64;
            if dialect.connections > told {
                self.line(format!("  - and {} more.", dialect.connections - told));
            }
        }
        self.line("");
    }
}

/// Connections of one deviation on the page.
const MOST: usize = 5;

fn told(difference: &DialectDifference, dialect: &DialectReport) -> String {
    let (from, to) = from_to(difference.direction, &difference.subject, &difference.peer);
    format!(
        "{} to {}, {} {} ({}): {}, under {} {}",
        party(from),
        party(to),
        difference.protocol,
        difference.port,
        attempts(&difference.seen),
        words(difference.upstream),
        text(&dialect.title),
        words(difference.enforcer),
    )
}

fn words(effect: Effect) -> &'static str {
    match effect {
        Effect::NewlyDenied => "newly denied",
        Effect::NewlyAllowed => "newly allowed",
        Effect::StillAllowed => "still allowed",
        Effect::StillDenied => "denied already",
        Effect::StillUnknown | Effect::Unknown => "not to be told",
    }
}
