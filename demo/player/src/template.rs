//! Times in the snapshot: the template names them, the play knows them.

use jiff::{SignedDuration, Timestamp};

/// The times of a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it began: `${start}`, and `${start-3d}` three days before.
    pub start: Timestamp,
    /// When its job started: `${job.start}`.
    pub job_start: Timestamp,
    /// When its job ended: `${job.end}`.
    pub job_end: Timestamp,
}

/// A placeholder that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: ${{{placeholder}}}: write ${{start}}, ${{start-3d}}, ${{job.start}}, ${{job.end}} or ${{minute}}"
)]
pub struct TemplateError {
    /// Line of the template, from 1.
    pub line: usize,
    /// What stands between the braces.
    pub placeholder: String,
}

/// The template with the times put in, to the second as Kubernetes writes them. `${minute}` is the minute since 1970 by which
/// a CronJob names its Job. Lines of comment are left out: they speak of the template.
///
/// # Errors
/// [`TemplateError`] where a placeholder means nothing.
pub fn fill(template: &str, times: &Times) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(template.len());
    for (number, line) in template.split_inclusive('\n').enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let fault = |placeholder: &str| TemplateError { line: number + 1, placeholder: placeholder.to_owned() };
            let (placeholder, after) = after.split_once('}').ok_or_else(|| fault(after.trim_end()))?;
            filled.push_str(before);
            filled.push_str(&value(placeholder, times).ok_or_else(|| fault(placeholder))?);
            rest = after;
        }
        filled.push_str(rest);
    }
    Ok(filled)
}

fn value(placeholder: &str, times: &Times) -> Option<String> {
    let time = match placeholder {
        "start" => times.start,
        "job.start" => times.job_start,
        "job.end" => times.job_end,
        "minute" => return Some((times.job_start.as_second() / 60).to_string()),
        _ => times.start.checked_sub(span(placeholder.strip_prefix("start-")?)?).ok()?,
    };
    Some(Timestamp::from_second(time.as_second()).ok()?.to_string())
}

fn span(text: &str) -> Option<SignedDuration> {
    let (number, hours) = text.strip_suffix('d').map(|days| (days, 24)).or(text.strip_suffix('h').map(|n| (n, 1)))?;
    let number: u32 = number.parse().ok()?;
    Some(SignedDuration::from_hours(i64::from(number) * hours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> Times {
        let start = "2026-11-21T08:00:00.7Z".parse().unwrap();
        let job_start = "2026-11-21T08:00:18.2Z".parse().unwrap();
        let job_end = "2026-11-21T08:00:23.9Z".parse().unwrap();
        Times { start, job_start, job_end }
    }

    #[test]
    fn times_are_put_in_to_the_second() {
        let filled =
            fill("a: ${start} # ${start-3d}\nb: ${start-2h}\nc: ${job.start}..${job.end}\n", &times()).unwrap();
        let expected = "a: 2026-11-21T08:00:00Z # 2026-11-18T08:00:00Z\nb: 2026-11-21T06:00:00Z\n\
            c: 2026-11-21T08:00:18Z..2026-11-21T08:00:23Z\n";
        assert_eq!(filled, expected);
    }

    #[test]
    fn the_minute_names_the_job() {
        assert_eq!(fill("settlement-${minute}-x", &times()).unwrap(), "settlement-29920800-x");
    }

    #[test]
    fn comments_speak_of_the_template_and_are_left_out() {
        assert_eq!(fill("# ${anything}\na: b\n", &times()).unwrap(), "a: b\n");
    }

    #[test]
    fn a_placeholder_that_means_nothing_is_named_with_its_line() {
        for bad in ["start-3", "start-d", "start+3d", "end", ""] {
            let error = fill(&format!("a\nb: ${{{bad}}}\n"), &times()).unwrap_err();
            assert_eq!((error.line, error.placeholder.as_str()), (2, bad));
        }
        assert_eq!(fill("a: ${start\n", &times()).unwrap_err().placeholder, "start");
    }
}
