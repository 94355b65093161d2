//! Values in the form that columns hold them.

use std::net::IpAddr;

use foretell_objects::model::flow::{Direction, Outcome, Protocol};
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::store::error::StoreError;
use crate::store::time::At;

/// A row of a table, read by column name.
pub(super) struct Columns<'a> {
    pub(super) table: &'static str,
    pub(super) row: &'a PgRow,
}

impl Columns<'_> {
    pub(super) fn text(&self, column: &str) -> Result<String, StoreError> {
        Ok(self.row.try_get(column)?)
    }

    /// A text that may be absent. Absent texts are stored empty, so that they can be part of a primary key.
    pub(super) fn optional(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(present(self.text(column)?))
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.row.try_get(column)?)
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        Ok(self.row.try_get::<At, _>(column)?.0)
    }

    pub(super) fn integer(&self, column: &str) -> Result<i64, StoreError> {
        Ok(self.row.try_get(column)?)
    }

    pub(super) fn count(&self, column: &str) -> Result<u64, StoreError> {
        Ok(unsigned(self.integer(column)?))
    }

    pub(super) fn port(&self, column: &str) -> Result<u16, StoreError> {
        let value: i32 = self.row.try_get(column)?;
        u16::try_from(value).map_err(|_| self.unexpected(column, value.to_string()))
    }

    /// A text that `read` accepts.
    pub(super) fn parsed<T>(&self, column: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text = self.text(column)?;
        read(&text).ok_or_else(|| self.unexpected(column, text))
    }

    /// The same for a text that may be absent.
    pub(super) fn parsed_optional<T>(
        &self,
        column: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        if self.text(column)?.is_empty() { Ok(None) } else { self.parsed(column, read).map(Some) }
    }

    fn unexpected(&self, column: &str, value: String) -> StoreError {
        StoreError::Content { table: self.table, column: column.to_owned(), value }
    }
}

pub(super) fn present(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

pub(super) fn direction(text: &str) -> Option<Direction> {
    Direction::BOTH.into_iter().find(|direction| direction.to_string() == text)
}

pub(super) fn protocol(text: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.to_string() == text)
}

pub(super) fn outcome(text: &str) -> Option<Outcome> {
    let known = [Outcome::Established, Outcome::Refused, Outcome::Unanswered];
    known.into_iter().find(|outcome| outcome_text(*outcome) == text)
}

pub(super) fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Established => "established",
        Outcome::Refused => "refused",
        Outcome::Unanswered => "unanswered",
    }
}

/// Postgres has no unsigned integers. Real counts are far below the limit.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_written_and_others_are_not() {
        for known in Direction::BOTH {
            assert_eq!(direction(&known.to_string()), Some(known));
        }
        assert_eq!((direction(""), direction("ingress")), (None, None));
        for known in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            assert_eq!(protocol(&known.to_string()), Some(known));
        }
        assert_eq!((protocol(""), protocol("tcp"), protocol("ICMP")), (None, None, None));
        for known in [Outcome::Established, Outcome::Refused, Outcome::Unanswered] {
            assert_eq!(outcome(outcome_text(known)), Some(known));
        }
        assert_eq!((outcome(""), outcome("Refused")), (None, None));
        assert_eq!((present(String::new()), present("x".to_owned())), (None, Some("x".to_owned())));
    }

    #[test]
    fn counts_do_not_wrap() {
        for count in [0, 1, i64::MAX.unsigned_abs()] {
            assert_eq!(unsigned(signed(count)), count);
        }
        assert_eq!(signed(u64::MAX), i64::MAX);
        assert_eq!(unsigned(-1), 0);
    }
}
