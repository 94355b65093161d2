//! The fuzz targets, with the property that each must hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use foretell_objects::manifest::documents::documents;
use foretell_objects::model::flow::Line;
use foretell_objects::resource::cidrs::new_faults;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::change::settings::Settings;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::world::World;
use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::policy::network_policy::Policy;
use foretell_policy::snapshot::text::Snapshot;

/// Keywords of the targets.
pub(crate) const WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "- ",
    "<<: ",
    "&a ",
    "*a",
    "!!binary ",
    "{{ .Values.x }}",
    "null",
    "~",
    "yes",
    "0644",
    "1e999",
    "-1",
    "65536",
    "4294967296",
    "9223372036854775808",
    "\u{feff}",
    "apiVersion: v1\n",
    "kind: List\n",
    "items: []\n",
    "NetworkPolicy",
    "AuditNetworkPolicy",
    "AuditClusterNetworkPolicy",
    "AuditException",
    "AdminNetworkPolicy",
    "ClusterNetworkPolicy",
    "priority: 1001",
    "domainNames: [\"*.a\"]",
    "Pod",
    "namespaceSelector: {}\n",
    "matchExpressions",
    "operator: NotIn",
    "ipBlock",
    "0.0.0.0/0",
    "::/0",
    "::ffff:10.0.0.1/120",
    "10.0.0.0/33",
    "endPort: 1",
    "policyTypes: []",
    "\"port\":",
    "\"src\":{\"ip\":\"::1\"}",
    "\"report\":",
    "\"lost\":{}",
    "\"start\":\"9999-12-31T23:59:59Z\"",
    "\"start\":\"-009999-01-01T00:00:00Z\"",
    "\"UDP\"",
    "exceptions:",
    "requireOnBase: true",
    "foretell.dev/gone-at",
];

/// Every text is read completely. Each object in it compiles, can be evaluated, and is equal after writing and reading it
/// again.
pub(crate) fn manifests(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut objects = Vec::new();
    for document in documents(text) {
        let Ok(value) = document.value else { continue };
        for origin in [Origin::Cluster, Origin::Manifest { default_namespace: "default".to_owned() }] {
            if let Ok(Some(object)) = read(value.clone(), &origin) {
                let written = object.to_manifest().unwrap();
                let again = read(written.clone(), &Origin::Cluster).unwrap().unwrap();
                assert_eq!(again.to_manifest().unwrap(), written);
                for fault in new_faults(&object, &BTreeSet::new()) {
                    assert!(!fault.to_string().is_empty());
                }
                objects.push(object);
            }
        }
    }
    let policies: Vec<Arc<Policy>> = objects.iter().filter_map(Policy::of).map(Arc::new).collect();
    let cluster = Cluster::build(&objects);
    let admin_policies: Vec<Arc<AdminPolicy>> = objects.iter().filter_map(AdminPolicy::of).map(Arc::new).collect();
    let world =
        World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), policies).with_admin_policies(admin_policies);
    assert!(world.policies().count() <= objects.iter().filter(|object| is_policy(object)).count());
}

fn is_policy(object: &Object) -> bool {
    matches!(object, Object::NetworkPolicy(_) | Object::AuditNetworkPolicy(_) | Object::AuditClusterNetworkPolicy(_))
}

/// A valid line is equal after writing and reading it again.
pub(crate) fn flows(input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        match Line::parse(line) {
            Ok(read) => {
                let written = read.to_json().unwrap();
                assert_eq!(Line::parse(written.as_bytes()), Ok(read));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// A valid snapshot is written in canonical order, and reading and writing it again gives the same text.
pub(crate) fn snapshots(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(snapshot) = Snapshot::from_documents(documents(text)) {
        let written = snapshot.into_text();
        let again = Snapshot::from_documents(documents(&written)).unwrap();
        assert!(again.into_text() == written, "{written}");
    }
}

/// Settings are read, or refused with a reason.
pub(crate) fn settings(input: &[u8]) {
    if let Err(error) = Settings::read(input) {
        assert!(!error.to_string().is_empty());
    }
}
