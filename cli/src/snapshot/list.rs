//! Lists objects, page by page.

use std::time::Duration;

use foretell_objects::resource::kept::strip;
use foretell_policy::snapshot::api_resource::{Detail, Resource};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::connection::Connection;
use super::request::{RequestError, get};

/// Objects per page, as in kubectl.
const PAGE: usize = 500;

/// How often a list is read by pages if it expires between two of them. After that it is requested in one piece, which cannot
/// expire.
const PAGED_ATTEMPTS: usize = 3;

/// The Namespace whose UID identifies the cluster.
const KUBE_SYSTEM: &str = "kube-system";

const WHOLE: &str = "application/json";

/// A server that cannot send metadata alone sends whole objects. The snapshot keeps the same fields of them.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Everything but RFC 3986's unreserved characters: `continue` is an opaque token, in practice base64.
const NOT_IN_A_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The user may not list a kind, and a snapshot without it would give wrong answers.
    #[error(
        "{server}: you may not list {resource} in all namespaces, and a snapshot without them gives wrong answers; ask an administrator to apply manifests/snapshot (kubectl apply -k) and to bind its ClusterRole to you (the server says: {message})"
    )]
    Forbidden {
        /// URL of the API server.
        server: String,
        /// `pods`, `replicasets.apps`
        resource: String,
        /// The server's message.
        message: String,
    },
    /// The server lacks a kind of Kubernetes.
    #[error(
        "{server}: does not serve {resource} as {api_version}, which Kubernetes has since 1.21; upgrade the cluster"
    )]
    NotServed {
        /// URL of the API server.
        server: String,
        /// `endpointslices`
        resource: String,
        /// `discovery.k8s.io/v1`
        api_version: String,
    },
    /// The answer is not a list.
    #[error("{server}: the list of {resource} has no items; check that this is the URL of an API server")]
    NoList {
        /// URL of the API server.
        server: String,
        /// `pods`
        resource: String,
    },
    /// A request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// The objects of one kind.
#[derive(Default)]
pub(super) struct ObjectList {
    /// The objects, with the fields that a snapshot keeps.
    pub(super) objects: Vec<Value>,
    /// UID of the Namespace that identifies the cluster, if the list has it.
    pub(super) cluster: Option<String>,
}

/// Lists all objects of a resource.
pub(super) async fn list(
    connection: &Connection,
    resource: &Resource,
    api_version: &str,
    timeout: Duration,
) -> Result<ObjectList, ListError> {
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
) -> Result<ObjectList, ListError> {
    let root = if resource.group().is_empty() { "api" } else { "apis" };
    let path = format!("/{root}/{api_version}/{}", resource.plural);
    let accept = match resource.detail {
        Detail::Whole => WHOLE,
        Detail::Metadata => METADATA,
    };
    let mut listed = ObjectList::default();
    let mut next = page.map_or_else(|| path.clone(), |page| format!("{path}?limit={page}"));
    loop {
        let answer = get(connection, &next, accept, timeout).await;
        let mut body = answer.map_err(|error| list_error(error, connection, resource, api_version))?.body;
        let items = match body["items"].take() {
            Value::Array(items) => items,
            // Go writes an empty list as null.
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
            // Items may lack apiVersion and kind, and metadata alone is of kind PartialObjectMetadata.
            item["apiVersion"] = api_version.into();
            item["kind"] = resource.kind.into();
            listed.objects.push(strip(item, resource.read_as()));
        }
        match (page, body["metadata"]["continue"].as_str().unwrap_or_default()) {
            (_, "") => return Ok(listed),
            (None, token) => next = format!("{path}?continue={}", utf8_percent_encode(token, NOT_IN_A_QUERY)),
            (Some(page), token) => {
                next = format!("{path}?limit={page}&continue={}", utf8_percent_encode(token, NOT_IN_A_QUERY));
            }
        }
    }
}

fn list_error(error: RequestError, connection: &Connection, resource: &Resource, api_version: &str) -> ListError {
    let server = connection.server.clone();
    match error {
        RequestError::Forbidden { message, .. } => ListError::Forbidden { server, resource: name(resource), message },
        RequestError::NotFound { .. } => {
            ListError::NotServed { server, resource: name(resource), api_version: api_version.to_owned() }
        }
        other => other.into(),
    }
}

/// The resource as kubectl names it: `pods`, `replicasets.apps`.
fn name(resource: &Resource) -> String {
    match resource.group() {
        "" => resource.plural.to_owned(),
        group => format!("{}.{group}", resource.plural),
    }
}
