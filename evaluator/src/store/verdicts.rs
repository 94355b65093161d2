//! The table `audit_verdicts`: the verdicts of audit policies on the traffic of the window. Its columns are kguardian's.

use foretell_service::contract::VerdictRow;
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::query_builder::Separated;
use sqlx::{PgPool, Postgres, QueryBuilder, Transaction};

use crate::judge::verdicts::{VerdictKey, VerdictSum, Verdicts, verdict_text};
use crate::store::column::{Columns, address, direction, present, protocol, signed};
use crate::store::error::StoreError;
use crate::store::time::At;

/// Rows in one statement. Postgres accepts 65,535 parameters, and a row has 18.
const CHUNK: usize = 1000;

/// Which rows to read. All conditions must hold.
#[derive(Debug, Default, PartialEq)]
pub struct VerdictFilter {
    /// Columns with the text that they must have.
    pub equal: Vec<(&'static str, String)>,
    /// Last seen at this time or later.
    pub since: Option<Timestamp>,
    /// Last seen at this time or earlier.
    pub until: Option<Timestamp>,
    /// Only rows that follow the row with this id, in the order of the answer.
    pub before_id: Option<i64>,
    /// Most rows.
    pub limit: i64,
}

/// Makes the table equal to `after`. `before` is what the table is known to hold; `None`: that is not known.
///
/// # Errors
/// [`StoreError`]: the table is unchanged.
pub(crate) async fn write(pool: &PgPool, before: Option<&Verdicts>, after: &Verdicts) -> Result<(), StoreError> {
    let mut transaction = pool.begin().await?;
    match before {
        Some(before) => delete(&mut transaction, &gone(before, after)).await?,
        None => delete_unknown(&mut transaction, after).await?,
    }
    for rows in changed(before, after).chunks(CHUNK) {
        insert(&mut transaction, rows).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn gone<'a>(before: &'a Verdicts, after: &Verdicts) -> Vec<&'a VerdictKey> {
    before.keys().filter(|key| !after.contains_key(key)).collect()
}

fn changed<'a>(before: Option<&Verdicts>, after: &'a Verdicts) -> Vec<(&'a VerdictKey, &'a VerdictSum)> {
    after.iter().filter(|(key, sum)| before.and_then(|rows| rows.get(key)) != Some(sum)).collect()
}

async fn delete(transaction: &mut Transaction<'_, Postgres>, keys: &[&VerdictKey]) -> Result<(), StoreError> {
    for keys in keys.chunks(CHUNK) {
        let mut query = QueryBuilder::<Postgres>::new(
            "DELETE FROM audit_verdicts WHERE (policy_uid, direction, src_namespace, src_pod, src_ip, dst_namespace,
             dst_pod, dst_ip, dst_port, protocol) IN ",
        );
        query.push_tuples(keys, |mut row, key| push_key(&mut row, key));
        query.build().execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Deletes the rows that another process wrote and that no longer hold. The others keep their ids.
async fn delete_unknown(transaction: &mut Transaction<'_, Postgres>, after: &Verdicts) -> Result<(), StoreError> {
    let known = sqlx::query(
        "SELECT id, policy_uid, direction, src_namespace, src_pod, src_ip, dst_namespace, dst_pod, dst_ip, dst_port,
             protocol
         FROM audit_verdicts",
    );
    let mut outdated = Vec::new();
    for row in &known.fetch_all(&mut **transaction).await? {
        if !after.contains_key(&key(row)?) {
            outdated.push(Columns { table: "audit_verdicts", row }.integer("id")?);
        }
    }
    sqlx::query("DELETE FROM audit_verdicts WHERE id = ANY($1)").bind(outdated).execute(&mut **transaction).await?;
    Ok(())
}

async fn insert(
    transaction: &mut Transaction<'_, Postgres>,
    rows: &[(&VerdictKey, &VerdictSum)],
) -> Result<(), StoreError> {
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
            .push_bind(verdict_text(sum.verdict))
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
    query.build().execute(&mut **transaction).await?;
    Ok(())
}

fn push_key(row: &mut Separated<'_, Postgres, &'static str>, key: &VerdictKey) {
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

/// The rows that a filter selects, the most recently seen first.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn select(pool: &PgPool, filter: VerdictFilter) -> Result<Vec<VerdictRow>, StoreError> {
    let mut query = selecting(filter);
    let rows = query.build().fetch_all(pool).await?;
    rows.iter().map(verdict_row).collect()
}

fn selecting(filter: VerdictFilter) -> QueryBuilder<Postgres> {
    let VerdictFilter { equal, since, until, before_id, limit } = filter;
    let mut query = QueryBuilder::new(
        "SELECT id, policy_uid, policy_generation, policy_namespace, policy_name, direction, src_namespace, src_pod,
             src_ip, dst_namespace, dst_pod, dst_ip, dst_port, protocol, reason, verdict, observed_at, first_seen, count
         FROM audit_verdicts WHERE true",
    );
    for (column, value) in equal {
        query.push(format!(" AND {column} = ")).push_bind(value);
    }
    if let Some(since) = since {
        query.push(" AND observed_at >= ").push_bind(At(since));
    }
    if let Some(until) = until {
        query.push(" AND observed_at <= ").push_bind(At(until));
    }
    if let Some(id) = before_id {
        query
            .push(" AND (observed_at, id) < (SELECT observed_at, id FROM audit_verdicts WHERE id = ")
            .push_bind(id)
            .push(")");
    }
    query.push(" ORDER BY observed_at DESC, id DESC LIMIT ").push_bind(limit);
    query
}

fn key(row: &PgRow) -> Result<VerdictKey, StoreError> {
    let columns = Columns { table: "audit_verdicts", row };
    Ok(VerdictKey {
        policy_uid: columns.text("policy_uid")?,
        direction: columns.parsed("direction", direction)?,
        src_namespace: columns.text("src_namespace")?,
        src_pod: columns.text("src_pod")?,
        src_ip: columns.parsed("src_ip", address)?,
        dst_namespace: columns.text("dst_namespace")?,
        dst_pod: columns.text("dst_pod")?,
        dst_ip: columns.parsed("dst_ip", address)?,
        dst_port: columns.port("dst_port")?,
        protocol: columns.parsed("protocol", protocol)?,
    })
}

fn verdict_row(row: &PgRow) -> Result<VerdictRow, StoreError> {
    let key = key(row)?;
    let columns = Columns { table: "audit_verdicts", row };
    Ok(VerdictRow {
        id: columns.integer("id")?,
        policy_uid: key.policy_uid,
        policy_generation: columns.integer("policy_generation")?,
        policy_namespace: columns.text("policy_namespace")?,
        policy_name: columns.text("policy_name")?,
        direction: key.direction,
        src_namespace: present(key.src_namespace),
        src_pod: present(key.src_pod),
        src_ip: key.src_ip.to_string(),
        dst_namespace: present(key.dst_namespace),
        dst_pod: present(key.dst_pod),
        dst_ip: key.dst_ip.to_string(),
        dst_port: key.dst_port,
        protocol: key.protocol,
        reason: columns.text("reason")?,
        verdict: columns.text("verdict")?,
        observed_at: columns.time("observed_at")?,
        first_seen: columns.time("first_seen")?,
        count: columns.count("count")?,
    })
}
