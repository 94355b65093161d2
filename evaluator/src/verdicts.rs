//! `audit_verdicts`: what is said of the traffic, row by row, in the database.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State as Shared};
use foretell_policy::explain::evaluation::VerdictName;
use foretell_policy::model::flow::{Direction, Protocol};
use foretell_service::contract::VerdictRow;
use foretell_service::refusal::Refusal;
use jiff::Timestamp;
use sqlx::{Postgres, QueryBuilder, Row as _};
use tokio_util::sync::CancellationToken;

use crate::judge::{VerdictKey, VerdictSum};
use crate::state::{POSTGRES, State};
use crate::store::time::At;
use crate::store::{StoreError, signed, unsigned};

/// How often rows are written, at most.
const EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// Rows in one statement.
const AT_ONCE: usize = 1000;
/// Rows of an answer where nothing else is asked for, and at most.
const LIMIT: (i64, i64) = (100, 500);

type Rows = BTreeMap<VerdictKey, VerdictSum>;

/// Keeps the table as it was judged last, until it is told to stop.
///
/// # Errors
/// Never: what the database does not take is said, and tried again.
pub async fn keep(state: Arc<State>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut written: Option<Rows> = None;
    let mut last = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let Some(judged) = state.judged.load_full() else { continue };
        if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &judged)) && written.is_some() {
            continue;
        }
        match write(&state, written.as_ref(), &judged.verdicts).await {
            Ok(()) => {
                state.health.has(POSTGRES);
                written = Some(judged.verdicts.clone());
                last = Some(judged);
            }
            Err(error) => {
                state.health.waits_for(POSTGRES, error.to_string());
                // What of it is in the table nobody knows.
                written = None;
            }
        }
    }
}

async fn write(state: &State, written: Option<&Rows>, now: &Rows) -> Result<(), StoreError> {
    let pool = state.store.pool();
    let mut transaction = pool.begin().await?;
    let changed: Vec<(&VerdictKey, &VerdictSum)> =
        now.iter().filter(|(key, sum)| written.and_then(|rows| rows.get(key)) != Some(sum)).collect();
    if let Some(written) = written {
        let gone: Vec<&VerdictKey> = written.keys().filter(|key| !now.contains_key(key)).collect();
        for keys in gone.chunks(AT_ONCE) {
            let mut query = QueryBuilder::<Postgres>::new(
                "DELETE FROM audit_verdicts WHERE (policy_uid, direction, src_namespace, src_pod, src_ip, dst_namespace,
                 dst_pod, dst_ip, dst_port, protocol) IN ",
            );
            query.push_tuples(keys, |mut row, key| push_key(&mut row, key));
            query.build().execute(&mut *transaction).await?;
        }
    } else {
        // What another process left: rows that are still true keep their ids.
        let known = sqlx::query("SELECT * FROM audit_verdicts").fetch_all(&mut *transaction).await?;
        let mut untrue = Vec::new();
        for row in &known {
            if !now.contains_key(&key(row)?) {
                untrue.push(row.try_get::<i64, _>("id")?);
            }
        }
        sqlx::query("DELETE FROM audit_verdicts WHERE id = ANY($1)").bind(untrue).execute(&mut *transaction).await?;
    }
    for rows in changed.chunks(AT_ONCE) {
        let mut query = QueryBuilder::<Postgres>::new(
            "INSERT INTO audit_verdicts (policy_uid, direction, src_namespace, src_pod, src_ip, dst_namespace, dst_pod, dst_ip,
             dst_port, protocol, policy_generation, policy_namespace, policy_name, verdict, reason, first_seen, observed_at,
             count) ",
        );
        query.push_values(rows, |mut row, (key, sum)| {
            push_key(&mut row, key);
            let tally = sum.tally();
            let (first, last) = tally.map_or((Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH), |it| (it.first, it.last));
            row.push_bind(sum.policy_generation)
                .push_bind(sum.policy_namespace.clone())
                .push_bind(sum.policy_name.clone())
                .push_bind(verdict_name(sum.verdict))
                .push_bind(sum.reason.clone())
                .push_bind(At(first))
                .push_bind(At(last))
                .push_bind(signed(tally.map_or(0, |tally| tally.connections)));
        });
        query.push(
            " ON CONFLICT (policy_uid, direction, src_namespace, src_pod, src_ip, dst_namespace, dst_pod, dst_ip, dst_port,
             protocol) DO UPDATE SET policy_generation = EXCLUDED.policy_generation,
             policy_namespace = EXCLUDED.policy_namespace, policy_name = EXCLUDED.policy_name, verdict = EXCLUDED.verdict,
             reason = EXCLUDED.reason, first_seen = EXCLUDED.first_seen, observed_at = EXCLUDED.observed_at,
             count = EXCLUDED.count",
        );
        query.build().execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn push_key(row: &mut sqlx::query_builder::Separated<'_, Postgres, &'static str>, key: &VerdictKey) {
    row.push_bind(key.policy_uid.clone())
        .push_bind(key.direction.to_string())
        .push_bind(key.src_namespace.clone())
        .push_bind(key.src_pod.clone())
        .push_bind(key.src_ip.to_string())
        .push_bind(key.dst_namespace.clone())
        .push_bind(key.dst_pod.clone())
        .push_bind(key.dst_ip.to_string())
        .push_bind(i32::from(key.dst_port))
        .push_bind(key.protocol.to_string());
}

pub(crate) fn verdict_name(verdict: VerdictName) -> &'static str {
    match verdict {
        VerdictName::Allow => "Allow",
        VerdictName::WouldDeny => "WouldDeny",
        VerdictName::Unknown => "Unknown",
    }
}

fn wrong(problem: impl Into<String>) -> StoreError {
    StoreError::Content { table: "audit_verdicts", problem: problem.into() }
}

fn key(row: &sqlx::postgres::PgRow) -> Result<VerdictKey, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let address = |column: &str| -> Result<IpAddr, StoreError> {
        text(column)?.parse().map_err(|_| wrong(format!("column {column} holds no address")))
    };
    Ok(VerdictKey {
        policy_uid: text("policy_uid")?,
        direction: direction(&text("direction")?).ok_or_else(|| wrong("column direction holds none"))?,
        src_namespace: text("src_namespace")?,
        src_pod: text("src_pod")?,
        src_ip: address("src_ip")?,
        dst_namespace: text("dst_namespace")?,
        dst_pod: text("dst_pod")?,
        dst_ip: address("dst_ip")?,
        dst_port: u16::try_from(row.try_get::<i32, _>("dst_port")?)
            .map_err(|_| wrong("column dst_port holds no port"))?,
        protocol: protocol(&text("protocol")?).ok_or_else(|| wrong("column protocol holds none"))?,
    })
}

fn direction(text: &str) -> Option<Direction> {
    Direction::BOTH.into_iter().find(|direction| direction.to_string() == text)
}

fn protocol(text: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.to_string() == text)
}

/// `GET /audit/verdicts`, newest first.
///
/// # Errors
/// [`Refusal`]: 400 a filter makes no sense, 503 the database does not answer.
pub async fn list(
    Shared(state): Shared<Arc<State>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<VerdictRow>>, Refusal> {
    let filter = filter(query.as_deref().unwrap_or_default())?;
    let rows = select(&state, filter).await.map_err(|error| {
        state.health.waits_for(POSTGRES, error.to_string());
        Refusal::unavailable("the database does not answer; ask again")
    })?;
    Ok(Json(rows))
}

#[derive(Debug, Default)]
struct Filter {
    texts: Vec<(&'static str, String)>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    before_id: Option<i64>,
    limit: Option<i64>,
}

fn filter(query: &str) -> Result<Filter, Refusal> {
    let mut filter = Filter::default();
    for (name, value) in foretell_service::query::pairs(query) {
        let one_of = |allowed: &[&str]| {
            if allowed.contains(&value.as_str()) {
                return Ok(value.clone());
            }
            Err(Refusal::bad_request(format!("{name}: {value:?} is none of {}", allowed.join(", "))))
        };
        let bad = |expected: &str| Refusal::bad_request(format!("{name}: {value:?} is no {expected}"));
        match name.as_str() {
            "policy" => filter.texts.push(("policy_name", value)),
            "namespace" => filter.texts.push(("policy_namespace", value)),
            "policy_uid" => filter.texts.push(("policy_uid", value)),
            "verdict" => filter.texts.push(("verdict", one_of(&["Allow", "WouldDeny"])?)),
            "direction" => filter.texts.push(("direction", one_of(&["Ingress", "Egress"])?)),
            "since" => filter.since = Some(value.parse().map_err(|_| bad("time, such as 2026-11-21T12:00:00Z"))?),
            "until" => filter.until = Some(value.parse().map_err(|_| bad("time, such as 2026-11-21T12:00:00Z"))?),
            "before_id" => filter.before_id = Some(value.parse().map_err(|_| bad("number"))?),
            "limit" => filter.limit = Some(value.parse().map_err(|_| bad("number"))?),
            _ => {}
        }
    }
    Ok(filter)
}

async fn select(state: &State, filter: Filter) -> Result<Vec<VerdictRow>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT * FROM audit_verdicts WHERE true");
    for (column, value) in filter.texts {
        query.push(format!(" AND {column} = ")).push_bind(value);
    }
    if let Some(since) = filter.since {
        query.push(" AND observed_at >= ").push_bind(At(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND observed_at <= ").push_bind(At(until));
    }
    if let Some(id) = filter.before_id {
        // In the order of the answer: what comes after the row of this id.
        query
            .push(" AND (observed_at, id) < (SELECT observed_at, id FROM audit_verdicts WHERE id = ")
            .push_bind(id)
            .push(")");
    }
    let limit = filter.limit.unwrap_or(LIMIT.0).clamp(1, LIMIT.1);
    query.push(" ORDER BY observed_at DESC, id DESC LIMIT ").push_bind(limit);
    let rows = query.build().fetch_all(state.store.pool()).await?;
    rows.iter().map(answer).collect()
}

fn answer(row: &sqlx::postgres::PgRow) -> Result<VerdictRow, StoreError> {
    let key = key(row)?;
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(VerdictRow {
        id: row.try_get("id")?,
        policy_uid: key.policy_uid,
        policy_generation: row.try_get("policy_generation")?,
        policy_namespace: row.try_get("policy_namespace")?,
        policy_name: row.try_get("policy_name")?,
        direction: key.direction,
        src_namespace: some(key.src_namespace),
        src_pod: some(key.src_pod),
        src_ip: key.src_ip.to_string(),
        dst_namespace: some(key.dst_namespace),
        dst_pod: some(key.dst_pod),
        dst_ip: key.dst_ip.to_string(),
        dst_port: key.dst_port,
        protocol: key.protocol,
        reason: row.try_get("reason")?,
        verdict: row.try_get("verdict")?,
        observed_at: row.try_get::<At, _>("observed_at")?.0,
        first_seen: row.try_get::<At, _>("first_seen")?.0,
        count: unsigned(row.try_get("count")?),
    })
}
