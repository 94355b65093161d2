//! The cluster's objects, as the watchers tell of them, and pods that have gone.

use std::collections::{BTreeMap, BTreeSet};

use foretell_policy::cluster::pod::GONE_AT;
use foretell_policy::resource::object::origin::Origin;
use foretell_policy::resource::object::{Kind, Object};
use foretell_policy::resource::read::read;
use foretell_policy::snapshot::api_resource::Resource;
use foretell_policy::snapshot::gone::add_gone;
use foretell_policy::snapshot::kept::strip;
use foretell_policy::snapshot::text::Snapshot;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What makes an object the same one: kind, namespace, name, and the UID, which matters for pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `Pod`
    pub kind: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID, or empty.
    pub uid: String,
}

/// What is told of an audit policy beside its spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPolicy {
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its status as it stands there.
    pub status: Value,
}

/// What a watcher tells.
#[derive(Clone, Debug)]
pub enum News {
    /// A list begins: what it does not name is gone.
    Begin,
    /// An object of the list.
    Listed(Value),
    /// The list is complete.
    Complete,
    /// An object was made or changed.
    Applied(Value),
    /// An object was deleted.
    Deleted(Value),
}

/// The objects.
#[derive(Debug, Default)]
pub struct Objects {
    live: BTreeMap<Key, Value>,
    /// By kind: what a list that is under way has named so far.
    listing: BTreeMap<&'static str, BTreeMap<Key, Value>>,
    listed: BTreeSet<&'static str>,
    audited: BTreeMap<(String, String, String), AuditPolicy>,
    /// Deleted since the last snapshot, with the time.
    deleted: Vec<Value>,
    /// The cluster as it was last seen, with those that had gone by then.
    history: Option<Snapshot>,
}

impl Objects {
    /// Tells what was seen before this process was started.
    pub fn remember(&mut self, history: Option<Snapshot>) {
        self.history = history;
    }

    /// Takes in what a watcher tells of its kind. Gives back whether anything changed that is judged by.
    pub fn hear(&mut self, resource: &Resource, news: News, now: Timestamp) -> bool {
        match news {
            News::Begin => {
                self.listing.insert(resource.kind, BTreeMap::new());
                false
            }
            News::Listed(object) => {
                let (key, object) = self.take_in(resource, object);
                self.listing.entry(resource.kind).or_default().insert(key, object);
                false
            }
            News::Complete => self.complete(resource),
            News::Applied(object) => {
                let (key, object) = self.take_in(resource, object);
                let former = self.live.insert(key.clone(), object);
                former.as_ref() != self.live.get(&key)
            }
            News::Deleted(object) => {
                let (key, mut object) = self.take_in(resource, object);
                self.audited.remove(&(key.kind.clone(), key.namespace.clone(), key.name.clone()));
                self.live.remove(&key);
                object["metadata"]["annotations"][GONE_AT] = json!(now.to_string());
                self.deleted.push(object);
                true
            }
        }
    }

    /// The resource's kind is not served: there is none of it.
    pub fn not_served(&mut self, resource: &Resource) {
        self.listing.remove(resource.kind);
        self.complete(resource);
    }

    fn complete(&mut self, resource: &Resource) -> bool {
        let listed = self.listing.remove(resource.kind).unwrap_or_default();
        let before: Vec<Key> = self.live.keys().filter(|key| key.kind == resource.kind).cloned().collect();
        let mut changed = self.listed.insert(resource.kind);
        for key in before {
            // When it went nobody saw: the history tells when it was last there.
            if !listed.contains_key(&key) {
                self.live.remove(&key);
                changed = true;
            }
        }
        self.audited.retain(|(kind, namespace, name), policy| {
            let uid = policy.uid.clone();
            let key = Key { kind: kind.clone(), namespace: namespace.clone(), name: name.clone(), uid };
            kind != resource.kind || listed.contains_key(&key)
        });
        for (key, object) in listed {
            changed |= self.live.get(&key) != Some(&object);
            self.live.insert(key, object);
        }
        changed
    }

    /// Notes what is kept nowhere else, and gives back the object with what the engine reads.
    fn take_in(&mut self, resource: &Resource, mut object: Value) -> (Key, Value) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = Key {
            kind: resource.kind.to_owned(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
        };
        if matches!(resource.read_as(), Some(Kind::AuditNetworkPolicy | Kind::AuditClusterNetworkPolicy)) {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
            let policy = AuditPolicy { uid: key.uid.clone(), generation, status: object["status"].take() };
            self.audited.insert((key.kind.clone(), key.namespace.clone(), key.name.clone()), policy);
        }
        (key, strip(object, resource.read_as()))
    }

    /// The kinds of which nothing is known yet.
    #[must_use]
    pub fn unlisted(&self, resources: &[Resource]) -> Vec<&'static str> {
        let unknown = resources.iter().filter(|resource| !self.listed.contains(resource.kind));
        unknown.map(|resource| resource.plural).collect()
    }

    /// What is known of audit policies, by kind, namespace and name.
    #[must_use]
    pub fn audited(&self) -> &BTreeMap<(String, String, String), AuditPolicy> {
        &self.audited
    }

    /// The cluster now, with the pods that went in the last `keep`. To be asked only when every kind was listed: what is not
    /// known yet would be taken for gone.
    pub fn snapshot(&mut self, now: Timestamp, keep: SignedDuration) -> Snapshot {
        let mut snapshot = Snapshot {
            taken: now,
            cluster: None,
            server: String::new(),
            not_served: Vec::new(),
            objects: self.live.values().cloned().collect(),
        };
        let deleted = std::mem::take(&mut self.deleted);
        let mut former = self.history.take().unwrap_or_else(|| Snapshot {
            taken: now,
            cluster: None,
            server: String::new(),
            not_served: Vec::new(),
            objects: Vec::new(),
        });
        former.objects.extend(deleted);
        add_gone(&mut snapshot, former, keep);
        self.history = Some(snapshot.clone());
        snapshot
    }
}

/// An object that the engine refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which.
    pub key: Key,
    /// What is wrong with it.
    pub problem: String,
}

/// The objects as the engine takes them, and those that it refuses: the rest of the cluster is judged without them.
#[must_use]
pub fn typed(snapshot: &Snapshot) -> (Vec<Object>, Vec<Unreadable>) {
    let (mut objects, mut unreadable) = (Vec::new(), Vec::new());
    for object in &snapshot.objects {
        match read(object.clone(), &Origin::Cluster) {
            Ok(Some(object)) => objects.push(object),
            Ok(None) => {}
            Err(error) => unreadable.push(Unreadable { key: key_of(object), problem: error.to_string() }),
        }
    }
    (objects, unreadable)
}

/// An object's identity.
#[must_use]
pub fn key_of(object: &Value) -> Key {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Key {
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        uid: text("/metadata/uid"),
    }
}
