//! The engine's report on a change, over the window.

use foretell_policy::change::revisions::Change;
use foretell_policy::judge::judgement::{Inputs, judge};
use foretell_policy::report::data::Report;
use foretell_policy::report::preview::Preview;
use jiff::{SignedDuration, Timestamp};

use crate::judge::assembled::Assembled;
use crate::window::Window;

/// What the report is about.
pub(super) struct Question<'a> {
    pub(super) change: &'a Change,
    /// Start of the window. It ends with the time of the cluster.
    pub(super) from: Timestamp,
    /// How long nodes must have been watched.
    pub(super) min_window: Option<SignedDuration>,
    /// The request, if a client sent one.
    pub(super) preview: Option<&'a Preview>,
}

pub(super) fn report(assembled: &Assembled, window: &Window, question: &Question<'_>) -> Report {
    let Question { change, from, min_window, preview } = *question;
    judge(&Inputs {
        cluster: &assembled.cluster,
        snapshot: &assembled.objects,
        change,
        traffic: &window.traffic(&assembled.cluster, from, assembled.at),
        watch: &window.watch(from, assembled.at),
        base: preview.map(|it| it.base.clone()).unwrap_or_default(),
        head: preview.map(|it| it.head.clone()).unwrap_or_default(),
        at: assembled.at,
        from,
        min_window,
        exceptions_on_base_only: preview.is_some_and(|it| it.exceptions_on_base_only),
        bad_lines: 0,
        ranges: preview.map(|it| it.ranges.clone()).unwrap_or_default(),
        dialect: preview.and_then(|it| it.cni).unwrap_or(assembled.cni),
    })
}
