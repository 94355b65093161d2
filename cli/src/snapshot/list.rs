//! Whole lists of objects, page by page.

use std::fmt::Write as _;
use std::time::Duration;

use foretell_policy::snapshot::api_resource::{Detail, Resource};
use foretell_policy::snapshot::kept::strip;
use serde_json::Value;

use super::connection::Connection;
use super::request::{RequestError, get};

/// How many objects are asked for at a time, as kubectl does.
const PAGE: usize = 500;

/// How often a list is begun again by pages, that changed so much that the server forgot where it began. After that it is asked
/// for in one piece, which cannot expire.
const PAGED_ATTEMPTS: usize = 3;

/// The Namespace whose UID tells one cluster from another.
const KUBE_SYSTEM: &str = "kube-system";

const WHOLE: &str = "application/json";

/// A server that cannot part metadata from the rest sends all of it, of which the same is kept.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// A list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A snapshot without it would give wrong answers.
    #[error(
        "{server}: may not list {resource} of all namespaces, and a snapshot without them gives wrong answers: let an administrator apply manifests/snapshot (kubectl apply -k) and bind its ClusterRole to you (the server says: {message})"
    )]
    Forbidden {
        /// Which API server.
        server: String,
        /// `pods`, `replicasets.apps`
        resource: String,
        /// What the server says.
        message: String,
    },
    /// A part of Kubernetes that this one has not.
    #[error("{server}: does not serve {resource} as {api_version}, which every Kubernetes since 1.21 does: upgrade it")]
    NotServed {
        /// Which API server.
        server: String,
        /// `endpointslices`
        resource: String,
        /// `discovery.k8s.io/v1`
        api_version: String,
    },
    /// The answer is no list.
    #[error("{server}: the answer to a list of {resource} holds no items; is this the URL of an API server?")]
    NoList {
        /// Which API server.
        server: String,
        /// `pods`
        resource: String,
    },
    /// A request was not answered.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// A list.
#[derive(Default)]
pub(super) struct Listed {
    /// Its objects, with what a snapshot keeps of them.
    pub(super) objects: Vec<Value>,
    /// The UID of the Namespace that no two clusters share, where it is among them.
    pub(super) cluster: Option<String>,
}

/// All objects of a resource, less what a snapshot does not keep.
pub(super) async fn list(
    connection: &Connection,
    resource: &Resource,
    api_version: &str,
    timeout: Duration,
) -> Result<Listed, ListError> {
    for _ in 0..PAGED_ATTEMPTS {
        match pages(connection, resource, api_version, Some(PAGE), timeout).await {
            Err(ListError::Request(RequestError::Expired { .. })) => {}
            other => return other,
        }
    }
    pages(connection, resource, api_version, None, timeout).await
}

async fn pages(
    connection: &Connection,
    resource: &Resource,
    api_version: &str,
    page: Option<usize>,
    timeout: Duration,
) -> Result<Listed, ListError> {
    let root = if resource.group().is_empty() { "api" } else { "apis" };
    let path = format!("/{root}/{api_version}/{}", resource.plural);
    let accept = match resource.detail {
        Detail::Whole => WHOLE,
        Detail::Metadata => METADATA,
    };
    let mut listed = Listed::default();
    let mut next = page.map_or_else(|| path.clone(), |page| format!("{path}?limit={page}"));
    loop {
        let answer = get(connection, &next, accept, timeout).await;
        let mut body = answer.map_err(|error| explained(error, connection, resource, api_version))?.body;
        let items = match body["items"].take() {
            Value::Array(items) => items,
            // What Go writes for an empty list.
            Value::Null if body["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => Vec::new(),
            _ => {
                let (server, resource) = (connection.server.clone(), name(resource));
                return Err(ListError::NoList { server, resource });
            }
        };
        for mut item in items {
            if resource.kind == "Namespace" && item["metadata"]["name"] == KUBE_SYSTEM {
                listed.cluster = item["metadata"]["uid"].as_str().map(str::to_owned);
            }
            // Items of a list need not say what they are; metadata alone says that it is metadata.
            item["apiVersion"] = api_version.into();
            item["kind"] = resource.kind.into();
            listed.objects.push(strip(item, resource.read_as()));
        }
        match (page, body["metadata"]["continue"].as_str().unwrap_or_default()) {
            (_, "") => return Ok(listed),
            (None, token) => next = format!("{path}?continue={}", escaped(token)),
            (Some(page), token) => next = format!("{path}?limit={page}&continue={}", escaped(token)),
        }
    }
}

fn explained(error: RequestError, connection: &Connection, resource: &Resource, api_version: &str) -> ListError {
    let server = connection.server.clone();
    match error {
        RequestError::Forbidden { message, .. } => ListError::Forbidden { server, resource: name(resource), message },
        RequestError::NotFound { .. } => {
            ListError::NotServed { server, resource: name(resource), api_version: api_version.to_owned() }
        }
        other => other.into(),
    }
}

/// As kubectl writes it: `pods`, `replicasets.apps`.
fn name(resource: &Resource) -> String {
    match resource.group() {
        "" => resource.plural.to_owned(),
        group => format!("{}.{group}", resource.plural),
    }
}

/// A token as part of a query: servers make them of base64, and nothing promises that they will.
fn escaped(token: &str) -> String {
    let mut text = String::with_capacity(token.len());
    for byte in token.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
