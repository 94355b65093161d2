//! Finds out which of a snapshot's resources an API server serves.

use std::collections::BTreeMap;
use std::time::Duration;

use foretell_policy::snapshot::api_resource::{Presence, RESOURCES, Resource, Version, other_policies};
use jiff::Timestamp;
use serde_json::Value;

use super::connection::Connection;
use super::request::{RequestError, get};

const JSON: &str = "application/json";

/// The resources that can be listed.
pub(super) struct Discovery {
    /// Time of the request, by the server's clock. Everything that is listed later existed then or is newer.
    pub(super) at: Timestamp,
    /// The resources, each with its `apiVersion`.
    pub(super) resources: Vec<(Resource, String)>,
    /// Kinds that this cluster does not define.
    pub(super) missing: Vec<String>,
}

/// Requests the API groups of the server.
pub(super) async fn discover(connection: &Connection, timeout: Duration) -> Result<Discovery, RequestError> {
    let groups = get(connection, "/apis", JSON, timeout).await?;
    let at = groups.date.unwrap_or_else(Timestamp::now);
    let groups: BTreeMap<&str, &Value> =
        items(&groups.body["groups"]).filter_map(|group| Some((group["name"].as_str()?, group))).collect();
    let mut served = Served { connection, timeout, groups, plurals_of: BTreeMap::new() };
    let (mut resources, mut missing) = (Vec::new(), Vec::new());
    for resource in RESOURCES {
        match served.version_of(&resource).await? {
            Some(api_version) => resources.push((resource, api_version)),
            None => missing.push(resource.kind.to_owned()),
        }
    }
    // A cluster has the kinds of its own CNI. It is not worth mentioning that it has no others.
    for groups in other_policies() {
        for resource in groups {
            if let Some(api_version) = served.version_of(&resource).await? {
                resources.push((resource, api_version));
                break;
            }
        }
    }
    Ok(Discovery { at, resources, missing })
}

/// What a server serves, as far as it was requested.
struct Served<'a> {
    connection: &'a Connection,
    timeout: Duration,
    groups: BTreeMap<&'a str, &'a Value>,
    /// The plural names of resources, by `apiVersion`.
    plurals_of: BTreeMap<String, Vec<String>>,
}

impl Served<'_> {
    /// The `apiVersion` in which a resource can be listed. `None`: the cluster does not define it.
    async fn version_of(&mut self, resource: &Resource) -> Result<Option<String>, RequestError> {
        let group = self.groups.get(resource.group()).copied();
        let wanted: Vec<&str> = match resource.version {
            Version::Exactly(version) if resource.presence == Presence::Always => {
                return Ok(Some(version.to_owned()));
            }
            Version::Exactly(version) => served_versions(group).filter(|served| *served == version).collect(),
            // In order of preference. A kind may be missing from the group's preferred version.
            Version::Preferred { .. } => served_versions(group).collect(),
        };
        for api_version in wanted {
            if !self.plurals_of.contains_key(api_version) {
                let plurals = plurals(self.connection, api_version, self.timeout).await?;
                self.plurals_of.insert(api_version.to_owned(), plurals);
            }
            if self.plurals_of[api_version].iter().any(|plural| plural == resource.plural) {
                return Ok(Some(api_version.to_owned()));
            }
        }
        Ok(None)
    }
}

fn served_versions(group: Option<&Value>) -> impl Iterator<Item = &str> {
    let versions = group.and_then(|group| group["versions"].as_array());
    versions.into_iter().flatten().filter_map(|version| version["groupVersion"].as_str())
}

async fn plurals(connection: &Connection, api_version: &str, timeout: Duration) -> Result<Vec<String>, RequestError> {
    let answer = get(connection, &format!("/apis/{api_version}"), JSON, timeout).await?;
    Ok(items(&answer.body["resources"]).filter_map(|it| it["name"].as_str()).map(str::to_owned).collect())
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}
