//! Connections that common enforcers would treat differently.

use crate::cluster::party::from_to;
use crate::engine::effect::Effect;
use crate::report::data::Report;
use crate::report::dialects::{DialectDifference, DialectReport};
use crate::report::escape::text;
use crate::report::markdown::page::{Page, attempts, party};
use foretell_objects::model::words::count;

/// Connections of one deviation on the page. The JSON form has more.
const MOST_CONNECTIONS: usize = 5;

impl Page {
    pub(super) fn dialects(&mut self, report: &Report) {
        if report.dialects.is_empty() {
            return;
        }
        self.line("### The answer depends on the enforcer\n");
        self.line(
            "Policies were evaluated as the upstream specification defines them. These enforcers treat the following traffic \
             differently; `--cni` evaluates as one of them does. This does not block.\n",
        );
        for dialect in &report.dialects {
            self.line(format!(
                "- **{}**: {} ([source](<{}>)). This affects {}:",
                text(&dialect.title),
                text(&dialect.what),
                dialect.source,
                count(dialect.connections, "connection in use", "connections in use"),
            ));
            let most = self.most_rows.min(MOST_CONNECTIONS);
            for difference in dialect.differences.iter().take(most) {
                self.line(format!("  - {}", line(difference, dialect)));
            }
            let shown = dialect.differences.len().min(most) as u64;
            if dialect.connections > shown {
                self.line(format!("  - and {} more.", dialect.connections - shown));
            }
        }
        self.line("");
    }
}

fn line(difference: &DialectDifference, dialect: &DialectReport) -> String {
    let (from, to) = from_to(difference.direction, &difference.subject, &difference.peer);
    format!(
        "{} to {}, {} {} ({}): {} upstream, {} under {}",
        party(from),
        party(to),
        difference.protocol,
        difference.port,
        attempts(&difference.seen),
        words(difference.upstream),
        words(difference.enforcer),
        text(&dialect.title),
    )
}

fn words(effect: Effect) -> &'static str {
    match effect {
        Effect::NewlyDenied => "newly denied",
        Effect::NewlyAllowed => "newly allowed",
        Effect::StillAllowed => "still allowed",
        Effect::StillDenied => "already denied",
        Effect::StillUnknown | Effect::Unknown => "unknown",
    }
}
