//! The tables of node reports: watched spans, lost events and the nodes' own addresses.

use foretell_objects::model::flow::NodeReport;
use sqlx::{PgPool, Postgres, Transaction};

use crate::store::column::{Columns, address, signed};
use crate::store::error::StoreError;
use crate::store::time::At;
use crate::window::{Span, Window, hour, microseconds};

/// Adds all rows to a window.
pub(super) async fn read(pool: &PgPool, window: &mut Window) -> Result<(), StoreError> {
    let spans = sqlx::query("SELECT node, span_start, span_end FROM watched ORDER BY node, span_start");
    for row in spans.fetch_all(pool).await? {
        let columns = Columns { table: "watched", row: &row };
        let (start, end) = (columns.time("span_start")?, columns.time("span_end")?);
        window.add_span(Span { node: columns.text("node")?, start, end });
    }
    for row in sqlx::query("SELECT node, hour, cause, count FROM lost").fetch_all(pool).await? {
        let columns = Columns { table: "lost", row: &row };
        let (node, cause) = (columns.text("node")?, columns.text("cause")?);
        window.add_lost(&node, columns.time("hour")?, &cause, columns.count("count")?);
    }
    for row in sqlx::query("SELECT node, address FROM node_addresses").fetch_all(pool).await? {
        let columns = Columns { table: "node_addresses", row: &row };
        window.add_address(&columns.text("node")?, columns.parsed("address", address)?);
    }
    Ok(())
}

/// Adds a report.
pub(super) async fn add(transaction: &mut Transaction<'_, Postgres>, report: &NodeReport) -> Result<(), StoreError> {
    let (start, end) = (At(microseconds(report.start)), At(microseconds(report.end)));
    // A span that begins where another one of the node ended extends that one.
    let extended = sqlx::query(
        "UPDATE watched SET span_end = greatest(span_end, $3)
         WHERE node = $1 AND span_start <= $2 AND span_end >= $2",
    )
    .bind(&report.node)
    .bind(start)
    .bind(end)
    .execute(&mut **transaction)
    .await?;
    if extended.rows_affected() == 0 {
        sqlx::query("INSERT INTO watched (node, span_start, span_end) VALUES ($1, $2, $3)")
            .bind(&report.node)
            .bind(start)
            .bind(end)
            .execute(&mut **transaction)
            .await?;
    }
    for (cause, count) in &report.lost {
        sqlx::query(
            "INSERT INTO lost AS known (node, hour, cause, count) VALUES ($1, $2, $3, $4)
             ON CONFLICT (node, hour, cause) DO UPDATE SET count = known.count + EXCLUDED.count",
        )
        .bind(&report.node)
        .bind(At(hour(report.end)))
        .bind(cause)
        .bind(signed(*count))
        .execute(&mut **transaction)
        .await?;
    }
    sqlx::query(
        "INSERT INTO node_addresses (node, address, seen) SELECT $1, address, $3 FROM unnest($2::text[]) AS address
         ON CONFLICT (node, address) DO UPDATE SET seen = EXCLUDED.seen",
    )
    .bind(&report.node)
    .bind(report.addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    .bind(end)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
