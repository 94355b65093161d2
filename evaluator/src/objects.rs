//! The cluster's objects as the API server's watches report them, and pods that have gone.

use std::collections::{BTreeMap, BTreeSet};

use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::resource::kept::strip;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::cluster::pod::GONE_AT;
use foretell_policy::snapshot::api_resource::Resource;
use foretell_policy::snapshot::gone::add_gone;
use foretell_policy::snapshot::text::Snapshot;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Identifies an object. The UID distinguishes pods of the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `Pod`
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID; empty if it has none.
    pub uid: String,
}

impl Key {
    /// The key of an object that has its `kind`.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        Self::with_kind(text(object, "/kind"), object)
    }

    fn with_kind(kind: String, object: &Value) -> Self {
        let [namespace, name, uid] =
            ["/metadata/namespace", "/metadata/name", "/metadata/uid"].map(|path| text(object, path));
        Self { kind, namespace, name, uid }
    }

    /// The audit policy that this key identifies; `None`: the object is of another kind.
    #[must_use]
    pub fn audit_policy(&self) -> Option<PolicyRef> {
        let mut kinds = [PolicyKind::AuditNetworkPolicy, PolicyKind::AuditClusterNetworkPolicy].into_iter();
        let kind = kinds.find(|kind| kind.to_string() == self.kind)?;
        Some(PolicyRef { kind, namespace: self.namespace.clone(), name: self.name.clone() })
    }
}

fn text(object: &Value, path: &str) -> String {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// An audit policy's fields that the engine does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPolicy {
    /// UID.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// Status in the API server.
    pub status: Value,
}

/// An event of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// A list begins. Objects that it does not contain no longer exist.
    ListBegins,
    /// An object of the list.
    Listed(Value),
    /// The list is complete.
    ListEnds,
    /// An object was created or changed.
    Applied(Value),
    /// An object was deleted.
    Deleted(Value),
}

/// The objects.
#[derive(Debug, Default)]
pub struct Objects {
    live: BTreeMap<Key, Value>,
    /// The objects so far of each list that is not complete, by kind.
    listing: BTreeMap<&'static str, BTreeMap<Key, Value>>,
    /// Kinds of which a list was complete once.
    listed: BTreeSet<&'static str>,
    audit_policies: BTreeMap<PolicyRef, AuditPolicy>,
    /// Deleted since the last snapshot, each marked with the time.
    deleted: Vec<Value>,
    /// The last snapshot, including the pods that had gone by then.
    history: Option<Snapshot>,
}

impl Objects {
    /// Sets the last snapshot of the previous process.
    pub fn restore(&mut self, history: Option<Snapshot>) {
        self.history = history;
    }

    /// Applies an event of a resource's watch. Returns whether it changes anything that the engine reads.
    pub fn apply(&mut self, resource: &Resource, event: WatchEvent, now: Timestamp) -> bool {
        match event {
            WatchEvent::ListBegins => {
                self.listing.insert(resource.kind, BTreeMap::new());
                false
            }
            WatchEvent::Listed(object) => {
                let (key, object) = self.take_in(resource, object);
                self.listing.entry(resource.kind).or_default().insert(key, object);
                false
            }
            WatchEvent::ListEnds => self.complete(resource),
            WatchEvent::Applied(object) => {
                let (key, object) = self.take_in(resource, object);
                let former = self.live.insert(key.clone(), object);
                former.as_ref() != self.live.get(&key)
            }
            WatchEvent::Deleted(object) => {
                let (key, mut object) = self.take_in(resource, object);
                if let Some(policy) = key.audit_policy() {
                    self.audit_policies.remove(&policy);
                }
                self.live.remove(&key);
                object["metadata"]["annotations"][GONE_AT] = json!(now.to_string());
                self.deleted.push(object);
                true
            }
        }
    }

    /// The cluster does not serve the resource, so it has no objects of it.
    pub fn set_not_served(&mut self, resource: &Resource) {
        self.listing.remove(resource.kind);
        self.complete(resource);
    }

    fn complete(&mut self, resource: &Resource) -> bool {
        let listed = self.listing.remove(resource.kind).unwrap_or_default();
        let before: Vec<Key> = self.live.keys().filter(|key| key.kind == resource.kind).cloned().collect();
        let mut changed = self.listed.insert(resource.kind);
        for key in before {
            // The time of its deletion is unknown. The history knows when it last existed.
            if !listed.contains_key(&key) {
                self.live.remove(&key);
                changed = true;
            }
        }
        self.audit_policies.retain(|reference, policy| {
            let PolicyRef { kind, namespace, name } = reference.clone();
            let key = Key { kind: kind.to_string(), namespace, name, uid: policy.uid.clone() };
            key.kind != resource.kind || listed.contains_key(&key)
        });
        for (key, object) in listed {
            changed |= self.live.get(&key) != Some(&object);
            self.live.insert(key, object);
        }
        changed
    }

    /// Notes what only [`AuditPolicy`] keeps, and reduces the object to what the engine reads.
    fn take_in(&mut self, resource: &Resource, mut object: Value) -> (Key, Value) {
        let key = Key::with_kind(resource.kind.to_owned(), &object);
        if let Some(reference) = key.audit_policy() {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
            let policy = AuditPolicy { uid: key.uid.clone(), generation, status: object["status"].take() };
            self.audit_policies.insert(reference, policy);
        }
        (key, strip(object, resource.read_as()))
    }

    /// Plurals of the resources that were never listed completely.
    #[must_use]
    pub fn unlisted(&self, resources: &[Resource]) -> Vec<&'static str> {
        let unknown = resources.iter().filter(|resource| !self.listed.contains(resource.kind));
        unknown.map(|resource| resource.plural).collect()
    }

    /// The audit policies that exist.
    #[must_use]
    pub fn audit_policies(&self) -> &BTreeMap<PolicyRef, AuditPolicy> {
        &self.audit_policies
    }

    /// The cluster now, including the pods that have gone within `keep`. Every resource must have been listed: an object that
    /// is not listed counts as gone.
    pub fn snapshot(&mut self, now: Timestamp, keep: SignedDuration) -> Snapshot {
        let mut snapshot = Snapshot { objects: self.live.values().cloned().collect(), ..empty(now) };
        let deleted = std::mem::take(&mut self.deleted);
        let mut former = self.history.take().unwrap_or_else(|| empty(now));
        former.objects.extend(deleted);
        add_gone(&mut snapshot, former, keep);
        self.history = Some(snapshot.clone());
        snapshot
    }
}

fn empty(taken: Timestamp) -> Snapshot {
    Snapshot { taken, cluster: None, server: String::new(), not_served: Vec::new(), objects: Vec::new() }
}

/// An object that the engine cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The object's key.
    pub key: Key,
    /// What is wrong with it.
    pub problem: String,
}

/// The objects in the engine's form, and those that it cannot read. The cluster is judged without the latter.
#[must_use]
pub fn typed(snapshot: &Snapshot) -> (Vec<Object>, Vec<Unreadable>) {
    let (mut objects, mut unreadable) = (Vec::new(), Vec::new());
    for object in &snapshot.objects {
        match read(object.clone(), &Origin::Cluster) {
            Ok(Some(object)) => objects.push(object),
            Ok(None) => {}
            Err(error) => unreadable.push(Unreadable { key: Key::of(object), problem: error.to_string() }),
        }
    }
    (objects, unreadable)
}

#[cfg(test)]
mod tests {
    use foretell_policy::snapshot::api_resource::RESOURCES;

    use super::*;

    fn resource(kind: &str) -> &'static Resource {
        static ALL: [Resource; RESOURCES.len()] = RESOURCES;
        ALL.iter().find(|resource| resource.kind == kind).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn pod(name: &str, uid: &str) -> Value {
        let metadata = json!({"namespace": "shop", "name": name, "uid": uid});
        let status = json!({"phase": "Running", "podIP": "10.0.0.1", "startTime": "2026-11-21T10:00:00Z"});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}, "status": status})
    }

    fn policy(generation: i64) -> Value {
        let metadata = json!({"namespace": "shop", "name": "web", "uid": "p", "generation": generation});
        json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy", "metadata": metadata,
            "spec": {"podSelector": {}}, "status": {"observedGeneration": 1}})
    }

    fn reference() -> PolicyRef {
        let [namespace, name] = ["shop", "web"].map(str::to_owned);
        PolicyRef { kind: PolicyKind::AuditNetworkPolicy, namespace, name }
    }

    fn apply(objects: &mut Objects, kind: &str, events: Vec<WatchEvent>) -> Vec<bool> {
        events.into_iter().map(|event| objects.apply(resource(kind), event, now())).collect()
    }

    fn list(objects: &mut Objects, kind: &str, listed: Vec<Value>) -> bool {
        apply(objects, kind, vec![WatchEvent::ListBegins]);
        apply(objects, kind, listed.into_iter().map(WatchEvent::Listed).collect());
        apply(objects, kind, vec![WatchEvent::ListEnds]) == [true]
    }

    fn names(snapshot: &Snapshot) -> Vec<(&str, bool)> {
        let is_gone = |object: &Value| object["metadata"]["annotations"][GONE_AT].is_string();
        snapshot.objects.iter().map(|it| (it["metadata"]["name"].as_str().unwrap(), is_gone(it))).collect()
    }

    #[test]
    fn a_list_counts_once_it_is_complete_and_removes_what_it_does_not_contain() {
        let mut objects = Objects::default();
        apply(&mut objects, "Pod", vec![WatchEvent::ListBegins, WatchEvent::Listed(pod("a", "1"))]);
        assert_eq!(objects.unlisted(&[*resource("Pod")]), ["pods"]);
        assert!(objects.live.is_empty(), "the list is not complete");
        assert_eq!(apply(&mut objects, "Pod", vec![WatchEvent::ListEnds]), [true]);
        assert!(objects.unlisted(&[*resource("Pod")]).is_empty());
        assert_eq!(objects.live.len(), 1);
        assert!(!list(&mut objects, "Pod", vec![pod("a", "1")]), "the same again changes nothing");
        assert!(list(&mut objects, "Pod", vec![pod("b", "2")]));
        assert_eq!(objects.live.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["b"]);
        assert!(list(&mut objects, "Node", Vec::new()), "an empty first list is news as well");
        assert_eq!(objects.live.len(), 1, "a list of another kind removes nothing");
    }

    #[test]
    fn an_event_changes_something_only_if_the_engine_reads_it() {
        let mut objects = Objects::default();
        let annotated = |value: &str| {
            let mut pod = pod("a", "1");
            pod["metadata"]["annotations"] = json!({"example.com/it": value});
            pod
        };
        let mut labelled = pod("a", "1");
        labelled["metadata"]["labels"] = json!({"app": "a"});
        let events = vec![
            WatchEvent::Applied(annotated("1")),
            WatchEvent::Applied(annotated("2")),
            WatchEvent::Applied(labelled),
            WatchEvent::Deleted(pod("a", "1")),
        ];
        assert_eq!(apply(&mut objects, "Pod", events), [true, false, true, true]);
        assert!(objects.live.is_empty());
    }

    #[test]
    fn pods_that_have_gone_stay_for_as_long_as_traffic_counts() {
        let mut objects = Objects::default();
        list(&mut objects, "Pod", vec![pod("a", "1"), pod("b", "2")]);
        let keep = SignedDuration::from_hours(24);
        assert_eq!(names(&objects.snapshot(now(), keep)), [("a", false), ("b", false)]);
        let came_and_went = [WatchEvent::Applied(pod("c", "3")), WatchEvent::Deleted(pod("c", "3"))];
        apply(&mut objects, "Pod", [vec![WatchEvent::Deleted(pod("b", "2"))], came_and_went.into()].concat());
        let hour = SignedDuration::from_hours(1);
        let with_gone = [("a", false), ("b", true), ("c", true)];
        assert_eq!(names(&objects.snapshot(now() + hour, keep)), with_gone);
        assert_eq!(names(&objects.snapshot(now() + keep, keep)), with_gone);
        assert_eq!(names(&objects.snapshot(now() + keep + hour, keep)), [("a", false)]);
    }

    #[test]
    fn a_new_process_knows_the_pods_of_the_one_before_it() {
        let mut objects = Objects::default();
        objects.restore(Some(Snapshot { objects: vec![pod("a", "1")], ..empty(now()) }));
        list(&mut objects, "Pod", vec![pod("a", "2")]);
        let hour = SignedDuration::from_hours(1);
        let snapshot = objects.snapshot(now() + hour, hour);
        assert_eq!(names(&snapshot), [("a", false), ("a", true)]);
    }

    #[test]
    fn an_audit_policy_is_known_by_its_generation_until_it_is_deleted() {
        let mut objects = Objects::default();
        list(&mut objects, "AuditNetworkPolicy", vec![policy(1)]);
        let status = json!({"observedGeneration": 1});
        let known = |generation| AuditPolicy { uid: "p".to_owned(), generation, status: status.clone() };
        assert_eq!(objects.audit_policies(), &BTreeMap::from([(reference(), known(1))]));
        apply(&mut objects, "AuditNetworkPolicy", vec![WatchEvent::Applied(policy(2))]);
        assert_eq!(objects.audit_policies(), &BTreeMap::from([(reference(), known(2))]));
        list(&mut objects, "Pod", vec![pod("a", "1")]);
        assert_eq!(objects.audit_policies().len(), 1, "a list of another kind removes no policy");
        apply(&mut objects, "AuditNetworkPolicy", vec![WatchEvent::Deleted(policy(2))]);
        assert!(objects.audit_policies().is_empty());
        list(&mut objects, "AuditNetworkPolicy", vec![policy(3)]);
        list(&mut objects, "AuditNetworkPolicy", Vec::new());
        assert!(objects.audit_policies().is_empty(), "deleted while nobody watched");
    }

    #[test]
    fn a_resource_that_is_not_served_counts_as_listed_without_objects() {
        let mut objects = Objects::default();
        list(&mut objects, "AuditNetworkPolicy", vec![policy(1)]);
        objects.set_not_served(resource("AuditNetworkPolicy"));
        assert!(objects.live.is_empty() && objects.audit_policies().is_empty());
        assert!(objects.unlisted(&[*resource("AuditNetworkPolicy")]).is_empty());
    }

    #[test]
    fn objects_that_cannot_be_read_are_left_out_and_named() {
        let mut broken = policy(1);
        broken["spec"]["policyTypes"] = json!(["Sideways"]);
        let foreign = json!({"apiVersion": "example.com/v1", "kind": "Other", "metadata": {"name": "it"}});
        let snapshot = Snapshot { objects: vec![pod("a", "1"), broken, foreign], ..empty(now()) };
        let (objects, unreadable) = typed(&snapshot);
        assert_eq!(objects.len(), 1);
        assert_eq!(unreadable.len(), 1);
        assert_eq!(unreadable[0].key.audit_policy(), Some(reference()));
        assert!(unreadable[0].problem.contains("Sideways"), "{}", unreadable[0].problem);
    }
}
