//! The table of flows: the rows of the window.

use foretell_objects::model::flow::Endpoint;
use foretell_policy::cluster::traffic::Tally;
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, Transaction};

use crate::store::column::{Columns, address, direction, outcome, outcome_text, protocol, signed};
use crate::store::error::StoreError;
use crate::store::time::At;
use crate::window::{RowKey, Window};

/// Adds all rows to a window.
pub(super) async fn read(pool: &PgPool, window: &mut Window) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT hour, node, observed, src_ip, src_uid, src_namespace, src_pod, dst_ip, dst_uid, dst_namespace, dst_pod,
             protocol, port, outcome, guessed, connections, packets, bytes, first_seen, last_seen
         FROM flows",
    );
    for row in rows.fetch_all(pool).await? {
        let (key, tally) = flow(&row)?;
        window.add(key, tally);
    }
    Ok(())
}

/// Adds sums to the rows.
pub(super) async fn add(
    transaction: &mut Transaction<'_, Postgres>,
    rows: &[(RowKey, Tally)],
) -> Result<(), StoreError> {
    let texts = |text: fn(&RowKey) -> String| -> Vec<String> { rows.iter().map(|(key, _)| text(key)).collect() };
    let numbers = |number: fn(&Tally) -> u64| -> Vec<i64> { rows.iter().map(|(_, sum)| signed(number(sum))).collect() };
    let times = |time: fn(&(RowKey, Tally)) -> Timestamp| -> Vec<At> { rows.iter().map(|row| At(time(row))).collect() };
    sqlx::query(
        "INSERT INTO flows AS known (hour, node, observed, src_ip, src_uid, src_namespace, src_pod, dst_ip, dst_uid,
             dst_namespace, dst_pod, protocol, port, outcome, guessed, connections, packets, bytes, first_seen, last_seen)
         SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
             $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::integer[], $14::text[], $15::boolean[],
             $16::bigint[], $17::bigint[], $18::bigint[], $19::timestamptz[], $20::timestamptz[])
         ON CONFLICT (hour, node, observed, src_ip, src_uid, src_namespace, src_pod, dst_ip, dst_uid, dst_namespace,
             dst_pod, protocol, port, outcome, guessed)
         DO UPDATE SET connections = known.connections + EXCLUDED.connections, packets = known.packets + EXCLUDED.packets,
             bytes = known.bytes + EXCLUDED.bytes, first_seen = least(known.first_seen, EXCLUDED.first_seen),
             last_seen = greatest(known.last_seen, EXCLUDED.last_seen)",
    )
    .bind(times(|row| row.0.hour))
    .bind(texts(|key| key.node.clone()))
    .bind(texts(|key| key.observed.map(|it| it.to_string()).unwrap_or_default()))
    .bind(texts(|key| key.src.ip.to_string()))
    .bind(texts(|key| key.src.pod_uid.clone().unwrap_or_default()))
    .bind(texts(|key| key.src.namespace.clone().unwrap_or_default()))
    .bind(texts(|key| key.src.pod.clone().unwrap_or_default()))
    .bind(texts(|key| key.dst.ip.to_string()))
    .bind(texts(|key| key.dst.pod_uid.clone().unwrap_or_default()))
    .bind(texts(|key| key.dst.namespace.clone().unwrap_or_default()))
    .bind(texts(|key| key.dst.pod.clone().unwrap_or_default()))
    .bind(texts(|key| key.protocol.to_string()))
    .bind(rows.iter().map(|(key, _)| i32::from(key.port)).collect::<Vec<_>>())
    .bind(texts(|key| key.outcome.map(outcome_text).unwrap_or_default().to_owned()))
    .bind(rows.iter().map(|(key, _)| key.guessed).collect::<Vec<_>>())
    .bind(numbers(|sum| sum.connections))
    .bind(numbers(|sum| sum.packets))
    .bind(numbers(|sum| sum.bytes))
    .bind(times(|row| row.1.first))
    .bind(times(|row| row.1.last))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn flow(row: &PgRow) -> Result<(RowKey, Tally), StoreError> {
    let columns = Columns { table: "flows", row };
    let endpoint = |side: &str| -> Result<Endpoint, StoreError> {
        Ok(Endpoint {
            ip: columns.parsed(&format!("{side}_ip"), address)?,
            pod_uid: columns.optional(&format!("{side}_uid"))?,
            namespace: columns.optional(&format!("{side}_namespace"))?,
            pod: columns.optional(&format!("{side}_pod"))?,
        })
    };
    let key = RowKey {
        hour: columns.time("hour")?,
        node: columns.text("node")?,
        observed: columns.parsed_optional("observed", direction)?,
        src: endpoint("src")?,
        dst: endpoint("dst")?,
        protocol: columns.parsed("protocol", protocol)?,
        port: columns.port("port")?,
        outcome: columns.parsed_optional("outcome", outcome)?,
        guessed: columns.flag("guessed")?,
    };
    let tally = Tally {
        connections: columns.count("connections")?,
        packets: columns.count("packets")?,
        bytes: columns.count("bytes")?,
        first: columns.time("first_seen")?,
        last: columns.time("last_seen")?,
    };
    Ok((key, tally))
}
