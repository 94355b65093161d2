//! The database: what must survive a restart.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use foretell_policy::cluster::traffic::Tally;
use foretell_policy::model::flow::{Direction, Endpoint, NodeReport, Outcome, Protocol};
use foretell_policy::snapshot::text::Snapshot;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Row as _, Transaction};

use crate::objects::{Key, key_of};
use crate::store::time::At;
use crate::window::{RowKey, Span, Window, hour, microseconds};

pub mod time;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections at once. One for batches, one for who asks, one for what is kept, and one to spare.
const CONNECTIONS: u32 = 4;
/// How long a connection is waited for: a request has more to do than that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL cannot be read. It is not repeated: it holds a password.
    #[error("--database-url: {0}; write postgres://USER:PASSWORD@HOST/DATABASE")]
    Url(String),
    /// The tables are of another version.
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Anything else.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// A value in a table is none that was written there.
    #[error("table {table}: {problem}")]
    Content {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// The database.
#[derive(Debug)]
pub struct Store {
    pool: PgPool,
    /// What is in the table of objects, so that only what changed is written.
    kept: Mutex<Option<BTreeMap<Key, Value>>>,
}

/// A batch, summed.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The agent, which is its node's name.
    pub agent: String,
    /// Which run of it.
    pub boot: String,
    /// Its number in this run.
    pub sequence: i64,
    /// Sums of its flows.
    pub rows: Vec<(RowKey, Tally)>,
    /// Its reports.
    pub reports: Vec<NodeReport>,
}

/// What was kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// The window.
    pub window: Window,
    /// The cluster as it was seen last.
    pub history: Option<Snapshot>,
}

impl Store {
    /// It does not connect yet: the database need not be there.
    ///
    /// # Errors
    /// [`StoreError::Url`].
    pub fn new(url: &str) -> Result<Self, StoreError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(StoreError::Url("is no URL of a Postgres".to_owned()));
        }
        let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Url(error.to_string()))?;
        Ok(Self::at(options))
    }

    /// As [`Store::new`], by what a connection is made of.
    #[must_use]
    pub fn at(options: PgConnectOptions) -> Self {
        let options = options.application_name("foretell-evaluator");
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        Self { pool: pool.connect_lazy_with(options), kept: Mutex::default() }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Brings the tables up to date and reads what was kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(&self) -> Result<Kept, StoreError> {
        MIGRATIONS.run(&self.pool).await?;
        Ok(Kept { window: self.window().await?, history: self.history().await? })
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    async fn window(&self) -> Result<Window, StoreError> {
        let mut window = Window::default();
        for row in sqlx::query("SELECT * FROM flows").fetch_all(&self.pool).await? {
            let (key, tally) = flow(&row)?;
            window.add(key, tally);
        }
        for row in sqlx::query("SELECT * FROM watched ORDER BY node, span_start").fetch_all(&self.pool).await? {
            let (start, end) = (row.try_get::<At, _>("span_start")?.0, row.try_get::<At, _>("span_end")?.0);
            window.add_span(Span { node: row.try_get("node")?, start, end });
        }
        for row in sqlx::query("SELECT * FROM lost").fetch_all(&self.pool).await? {
            let (node, cause): (String, String) = (row.try_get("node")?, row.try_get("cause")?);
            window.add_lost(&node, row.try_get::<At, _>("hour")?.0, &cause, unsigned(row.try_get("count")?));
        }
        for row in sqlx::query("SELECT * FROM node_addresses").fetch_all(&self.pool).await? {
            let (node, address): (String, String) = (row.try_get("node")?, row.try_get("address")?);
            window.add_address(&node, parsed("node_addresses", &address)?);
        }
        Ok(window)
    }

    async fn history(&self) -> Result<Option<Snapshot>, StoreError> {
        let taken = sqlx::query("SELECT taken FROM seen").fetch_optional(&self.pool).await?;
        let rows = sqlx::query("SELECT object FROM objects").fetch_all(&self.pool).await?;
        let objects: Vec<Value> = rows.iter().map(|row| row.try_get("object")).collect::<Result<_, _>>()?;
        let kept = objects.iter().map(|object| (key_of(object), object.clone())).collect();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        let Some(taken) = taken else { return Ok(None) };
        let taken = taken.try_get::<At, _>("taken")?.0;
        Ok(Some(Snapshot { taken, cluster: None, server: String::new(), not_served: Vec::new(), objects }))
    }

    /// Counts a batch, unless it was counted before. It is in the database when this returns.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is counted then.
    pub async fn count(&self, batch: &Batch) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let counted = sqlx::query(
            "INSERT INTO agents AS known (agent, boot, sequence, seen) VALUES ($1, $2, $3, now())
             ON CONFLICT (agent, boot) DO UPDATE SET sequence = EXCLUDED.sequence, seen = now()
             WHERE known.sequence < EXCLUDED.sequence",
        )
        .bind(&batch.agent)
        .bind(&batch.boot)
        .bind(batch.sequence)
        .execute(&mut *transaction)
        .await?;
        if counted.rows_affected() == 0 {
            return Ok(false);
        }
        add_rows(&mut transaction, &batch.rows).await?;
        for report in &batch.reports {
            add_report(&mut transaction, report).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Keeps the cluster as it was seen.
    ///
    /// # Errors
    /// [`StoreError`]: the next call keeps what this one did not.
    pub async fn save_objects(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let now: BTreeMap<Key, Value> =
            snapshot.objects.iter().map(|object| (key_of(object), object.clone())).collect();
        let Some(before) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return Ok(()) };
        let gone: Vec<&Key> = before.keys().filter(|key| !now.contains_key(key)).collect();
        let changed: Vec<(&Key, &Value)> = now.iter().filter(|(key, object)| before.get(key) != Some(object)).collect();
        let mut transaction = self.pool.begin().await?;
        let texts = |text: fn(&Key) -> &String| -> (Vec<&str>, Vec<&str>) {
            (
                gone.iter().map(|key| text(key).as_str()).collect(),
                changed.iter().map(|(key, _)| text(key).as_str()).collect(),
            )
        };
        let (kinds, namespaces, names, uids) =
            (texts(|key| &key.kind), texts(|key| &key.namespace), texts(|key| &key.name), texts(|key| &key.uid));
        if !gone.is_empty() {
            sqlx::query(
                "DELETE FROM objects USING unnest($1::text[], $2::text[], $3::text[], $4::text[])
                 AS gone (kind, namespace, name, uid)
                 WHERE (objects.kind, objects.namespace, objects.name, objects.uid)
                     = (gone.kind, gone.namespace, gone.name, gone.uid)",
            )
            .bind(&kinds.0)
            .bind(&namespaces.0)
            .bind(&names.0)
            .bind(&uids.0)
            .execute(&mut *transaction)
            .await?;
        }
        if !changed.is_empty() {
            let objects: Vec<&Value> = changed.iter().map(|(_, object)| *object).collect();
            sqlx::query(
                "INSERT INTO objects (kind, namespace, name, uid, object)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
                 ON CONFLICT (kind, namespace, name, uid) DO UPDATE SET object = EXCLUDED.object",
            )
            .bind(&kinds.1)
            .bind(&namespaces.1)
            .bind(&names.1)
            .bind(&uids.1)
            .bind(objects)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("INSERT INTO seen (taken) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET taken = EXCLUDED.taken")
            .bind(At(snapshot.taken))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }

    /// Forgets what was seen before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_before(&self, oldest: Timestamp) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM flows WHERE last_seen < $1",
            "DELETE FROM watched WHERE span_end < $1",
            "DELETE FROM lost WHERE hour + interval '1 hour' < $1",
            "DELETE FROM agents WHERE seen < $1",
        ] {
            sqlx::query(statement).bind(At(oldest)).execute(&self.pool).await?;
        }
        Ok(())
    }
}

async fn add_rows(transaction: &mut Transaction<'_, Postgres>, rows: &[(RowKey, Tally)]) -> Result<(), StoreError> {
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
    .bind(texts(|key| key.outcome.map(outcome_name).unwrap_or_default().to_owned()))
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

async fn add_report(transaction: &mut Transaction<'_, Postgres>, report: &NodeReport) -> Result<(), StoreError> {
    let (start, end) = (At(microseconds(report.start)), At(microseconds(report.end)));
    // A span that begins where one of the node's ended goes on with it.
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

fn flow(row: &sqlx::postgres::PgRow) -> Result<(RowKey, Tally), StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let some = |column: &str| text(column).map(|text| Some(text).filter(|text| !text.is_empty()));
    let wrong = |column: &str, value: &str| StoreError::Content {
        table: "flows",
        problem: format!("column {column} holds {value:?}"),
    };
    let observed = text("observed")?;
    let outcome = text("outcome")?;
    let protocol = text("protocol")?;
    let port: i32 = row.try_get("port")?;
    let endpoint = |side: &str| -> Result<Endpoint, StoreError> {
        Ok(Endpoint {
            ip: parsed("flows", &text(&format!("{side}_ip"))?)?,
            pod_uid: some(&format!("{side}_uid"))?,
            namespace: some(&format!("{side}_namespace"))?,
            pod: some(&format!("{side}_pod"))?,
        })
    };
    let key = RowKey {
        hour: row.try_get::<At, _>("hour")?.0,
        node: text("node")?,
        observed: match observed.as_str() {
            "" => None,
            "Ingress" => Some(Direction::Ingress),
            "Egress" => Some(Direction::Egress),
            other => return Err(wrong("observed", other)),
        },
        src: endpoint("src")?,
        dst: endpoint("dst")?,
        protocol: [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
            .into_iter()
            .find(|known| known.to_string() == protocol)
            .ok_or_else(|| wrong("protocol", &protocol))?,
        port: u16::try_from(port).map_err(|_| wrong("port", &port.to_string()))?,
        outcome: match outcome.as_str() {
            "" => None,
            "established" => Some(Outcome::Established),
            "refused" => Some(Outcome::Refused),
            "unanswered" => Some(Outcome::Unanswered),
            other => return Err(wrong("outcome", other)),
        },
        guessed: row.try_get("guessed")?,
    };
    let tally = Tally {
        connections: unsigned(row.try_get("connections")?),
        packets: unsigned(row.try_get("packets")?),
        bytes: unsigned(row.try_get("bytes")?),
        first: row.try_get::<At, _>("first_seen")?.0,
        last: row.try_get::<At, _>("last_seen")?.0,
    };
    Ok((key, tally))
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Established => "established",
        Outcome::Refused => "refused",
        Outcome::Unanswered => "unanswered",
    }
}

fn parsed<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Content { table, problem: format!("{text:?} is no address") })
}

/// Counts stay far below what a signed number holds.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
