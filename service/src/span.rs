//! Spans of time on a command line: one grammar for every program of Foretell.
//!
//! A span is one number with a unit, or several: `90s`, `36h`, `7d`, `1w`, `1d 12h`, `1h30m`. The units are `ms`, `s`, `m`,
//! `h`, `d` (24 hours) and `w` (7 days), also in words (`7 days`) and as ISO 8601 has them (`P7D`). Months and years are
//! refused: they differ in length.
//!
//! The errors do not repeat the value. clap puts it and the option in front of them:
//! `invalid value 'soon' for '--window <SPAN>': is not a span of time; …`.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// A text that is no span of time, or one that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// It cannot be read, or it is longer than time can be counted.
    #[error(
        "is not a span of time; write a number and one of the units ms, s, m, h, d, w, for example 7d, 36h or 1d 12h"
    )]
    NotASpan,
    /// It has months or years.
    #[error("has months or years, which differ in length; write it in weeks, days or hours, for example 30d")]
    Calendar,
    /// It is less than nothing.
    #[error("is negative; write it without the sign, for example 7d")]
    Negative,
    /// It is shorter than the option allows.
    #[error("is too short; write {} or more", Written(*.least))]
    TooShort {
        /// The shortest span that the option allows.
        least: SignedDuration,
    },
    /// It is longer than the option allows.
    #[error("is too long; write {} or less", Written(*.most))]
    TooLong {
        /// The longest span that the option allows.
        most: SignedDuration,
    },
}

/// Reads a span of time of any length, zero included.
///
/// # Errors
/// [`SpanError`] for anything but a span that is zero or longer.
pub fn parse(text: &str) -> Result<SignedDuration, SpanError> {
    let span: Span = text.trim().parse().map_err(|_: jiff::Error| SpanError::NotASpan)?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(SpanError::Calendar);
    }
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| SpanError::NotASpan)?;
    if duration.is_negative() { Err(SpanError::Negative) } else { Ok(duration) }
}

/// Reads a span of time within bounds, which are both allowed.
///
/// # Errors
/// [`SpanError`] for anything but a span within the bounds.
pub fn parse_within(text: &str, bounds: RangeInclusive<SignedDuration>) -> Result<SignedDuration, SpanError> {
    let span = parse(text)?;
    let (least, most) = bounds.into_inner();
    if span < least {
        Err(SpanError::TooShort { least })
    } else if span > most {
        Err(SpanError::TooLong { most })
    } else {
        Ok(span)
    }
}

/// A span as a user writes it: in days where it has full ones alone.
struct Written(SignedDuration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: SignedDuration = SignedDuration::from_hours(24);
        let days = self.0.as_secs() / DAY.as_secs();
        if days > 0 && DAY * i32::try_from(days).unwrap_or_default() == self.0 {
            write!(f, "{days}d")
        } else {
            write!(f, "{:#}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);
    const YEAR: SignedDuration = SignedDuration::from_hours(24 * 366);

    #[test]
    fn every_unit_is_read_alone_and_with_others() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("90s", 90_000),
            ("0s", 0),
            ("0.5s", 500),
            ("90m", 5_400_000),
            ("36h", 129_600_000),
            ("7d", 604_800_000),
            ("+7d", 604_800_000),
            ("1w", 604_800_000),
            ("1w 2d", 777_600_000),
            ("1d 12h", 129_600_000),
            ("1d12h", 129_600_000),
            ("1h30m", 5_400_000),
            ("7 days", 604_800_000),
            ("2 hours, 30 minutes", 9_000_000),
            ("P7D", 604_800_000),
            ("PT10S", 10_000),
            ("00:01:30", 90_000),
            (" 7d ", 604_800_000),
        ] {
            assert_eq!(parse(text), Ok(SignedDuration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for (text, error) in [
            ("", SpanError::NotASpan),
            ("7", SpanError::NotASpan),
            ("d", SpanError::NotASpan),
            ("soon", SpanError::NotASpan),
            ("7x", SpanError::NotASpan),
            ("99999999999d", SpanError::NotASpan),
            ("1mo", SpanError::Calendar),
            ("1y", SpanError::Calendar),
            ("1y 1d", SpanError::Calendar),
            ("-1h", SpanError::Negative),
            ("-7d", SpanError::Negative),
            ("1d ago", SpanError::Negative),
        ] {
            assert_eq!(parse(text), Err(error.clone()), "{text}");
            assert!(error.to_string().contains("; write "), "{error}");
        }
    }

    #[test]
    fn bounds_are_allowed_and_what_is_beyond_them_names_them() {
        let read = |text| parse_within(text, MINUTE..=YEAR).map_err(|error| error.to_string());
        assert_eq!(read("60s"), Ok(MINUTE));
        assert_eq!(read("366d"), Ok(YEAR));
        for (text, message) in [
            ("59s", "is too short; write 1m or more"),
            ("0s", "is too short; write 1m or more"),
            ("367d", "is too long; write 366d or less"),
            ("-1d", "is negative; write it without the sign, for example 7d"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn bounds_are_written_as_a_user_writes_them() {
        for (span, text) in [
            (SignedDuration::from_millis(100), "100ms"),
            (SignedDuration::from_secs(1), "1s"),
            (SignedDuration::from_hours(36), "36h"),
            (SignedDuration::from_hours(48), "2d"),
            (SignedDuration::from_secs(u32::MAX.into()), "1193046h 28m 15s"),
        ] {
            assert_eq!(Written(span).to_string(), text);
        }
    }
}
