//! The table of the cluster's objects, and the time at which they were last seen.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use foretell_policy::snapshot::text::Snapshot;
use serde_json::Value;
use sqlx::{PgPool, Row as _};

use crate::objects::Key;
use crate::store::error::StoreError;
use crate::store::time::At;

/// The content of the table, so that only changes are written. `None`: it was not read yet.
#[derive(Debug, Default)]
pub(super) struct ObjectTable(Mutex<Option<Content>>);

type Content = BTreeMap<Key, Value>;

impl ObjectTable {
    /// The objects when they were last stored.
    pub(super) async fn read(&self, pool: &PgPool) -> Result<Option<Snapshot>, StoreError> {
        let taken = sqlx::query("SELECT taken FROM seen").fetch_optional(pool).await?;
        let rows = sqlx::query("SELECT object FROM objects").fetch_all(pool).await?;
        let objects: Vec<Value> = rows.iter().map(|row| row.try_get("object")).collect::<Result<_, _>>()?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(content(&objects));
        let Some(taken) = taken else { return Ok(None) };
        let taken = taken.try_get::<At, _>("taken")?.0;
        Ok(Some(Snapshot { taken, cluster: None, server: String::new(), not_served: Vec::new(), objects }))
    }

    /// Writes the differences to the table, once it was read.
    pub(super) async fn save(&self, pool: &PgPool, snapshot: &Snapshot) -> Result<(), StoreError> {
        let after = content(&snapshot.objects);
        let Some(before) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return Ok(()) };
        let Differences { gone, changed } = differences(&before, &after);
        let mut transaction = pool.begin().await?;
        if !gone.is_empty() {
            let [kinds, namespaces, names, uids] = columns(&gone);
            sqlx::query(
                "DELETE FROM objects USING unnest($1::text[], $2::text[], $3::text[], $4::text[])
                 AS gone (kind, namespace, name, uid)
                 WHERE (objects.kind, objects.namespace, objects.name, objects.uid)
                     = (gone.kind, gone.namespace, gone.name, gone.uid)",
            )
            .bind(kinds)
            .bind(namespaces)
            .bind(names)
            .bind(uids)
            .execute(&mut *transaction)
            .await?;
        }
        if !changed.is_empty() {
            let (keys, objects): (Vec<&Key>, Vec<&Value>) = changed.into_iter().unzip();
            let [kinds, namespaces, names, uids] = columns(&keys);
            sqlx::query(
                "INSERT INTO objects (kind, namespace, name, uid, object)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
                 ON CONFLICT (kind, namespace, name, uid) DO UPDATE SET object = EXCLUDED.object",
            )
            .bind(kinds)
            .bind(namespaces)
            .bind(names)
            .bind(uids)
            .bind(objects)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("INSERT INTO seen (taken) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET taken = EXCLUDED.taken")
            .bind(At(snapshot.taken))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(after);
        Ok(())
    }
}

fn content(objects: &[Value]) -> Content {
    objects.iter().map(|object| (Key::of(object), object.clone())).collect()
}

#[derive(Debug, PartialEq)]
struct Differences<'a> {
    gone: Vec<&'a Key>,
    /// New objects are among them.
    changed: Vec<(&'a Key, &'a Value)>,
}

fn differences<'a>(before: &'a Content, after: &'a Content) -> Differences<'a> {
    Differences {
        gone: before.keys().filter(|key| !after.contains_key(key)).collect(),
        changed: after.iter().filter(|(key, object)| before.get(key) != Some(object)).collect(),
    }
}

/// The columns of the primary key.
fn columns<'a>(keys: &[&'a Key]) -> [Vec<&'a str>; 4] {
    let column = |text: fn(&Key) -> &String| keys.iter().map(|key| text(key).as_str()).collect();
    [column(|key| &key.kind), column(|key| &key.namespace), column(|key| &key.name), column(|key| &key.uid)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, uid: &str, phase: &str) -> Value {
        let metadata = json!({"namespace": "shop", "name": name, "uid": uid});
        json!({"kind": "Pod", "metadata": metadata, "status": {"phase": phase}})
    }

    #[test]
    fn only_new_changed_and_deleted_objects_are_written() {
        let before = content(&[pod("a", "1", "Running"), pod("b", "2", "Running"), pod("c", "3", "Running")]);
        let after = content(&[pod("a", "1", "Running"), pod("b", "2", "Failed"), pod("c", "4", "Running")]);
        let found = differences(&before, &after);
        let [kinds, namespaces, names, uids] = columns(&found.gone);
        assert_eq!((kinds, namespaces, names, uids), (vec!["Pod"], vec!["shop"], vec!["c"], vec!["3"]));
        let changed: Vec<_> = found.changed.iter().map(|(key, _)| (key.name.as_str(), key.uid.as_str())).collect();
        assert_eq!(changed, [("b", "2"), ("c", "4")], "a pod of the same name is another object");
        assert_eq!(differences(&after, &after), Differences { gone: Vec::new(), changed: Vec::new() });
    }
}
