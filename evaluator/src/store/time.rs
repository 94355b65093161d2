//! Times as Postgres stores them: microseconds since the beginning of 2000.

use jiff::{SignedDuration, Timestamp};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// 2000-01-01T00:00:00Z in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// A `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(pub(super) Timestamp);

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl PgHasArrayType for At {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        to_postgres(self.0).encode_by_ref(buffer)
    }
}

impl Decode<'_, Postgres> for At {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(from_postgres(<i64 as Decode<Postgres>>::decode(value)?)?))
    }
}

fn to_postgres(at: Timestamp) -> i64 {
    at.as_microsecond() - EPOCH
}

fn from_postgres(microseconds: i64) -> Result<Timestamp, jiff::Error> {
    Timestamp::from_microsecond(EPOCH)?.checked_add(SignedDuration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_microseconds_since_2000() {
        for (time, microseconds) in [
            ("2000-01-01T00:00:00Z", 0),
            ("2000-01-01T00:00:01.000002Z", 1_000_002),
            ("1999-12-31T23:59:59Z", -1_000_000),
            ("2026-11-21T12:00:00Z", 848_577_600_000_000),
        ] {
            let at: Timestamp = time.parse().unwrap();
            assert_eq!(to_postgres(at), microseconds, "{time}");
            assert_eq!(from_postgres(microseconds).unwrap(), at, "{time}");
        }
        // 'infinity' is the largest number.
        assert!(from_postgres(i64::MAX).is_err());
    }
}
