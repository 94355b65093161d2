//! Watches the API server and applies the events to [`crate::objects`].

use std::sync::Arc;
use std::time::Duration;

use foretell_objects::resource::object::Kind;
use foretell_policy::snapshot::api_resource::{Detail, Presence, Resource, Version};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Error};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::objects::WatchEvent;
use crate::state::State;

/// Pause before a failed watch starts again.
const RETRY: Duration = Duration::from_secs(2);
/// Pause before a resource that is not served is tried again.
const NOT_SERVED_RETRY: Duration = Duration::from_secs(5);

/// Watches one resource until it is asked to stop.
///
/// # Errors
/// None: failures are reported in health and tried again.
pub async fn watch(
    state: Arc<State>,
    client: Client,
    resource: Resource,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let versions = versions(&resource);
    let mut tried = 0;
    loop {
        let Some(version) = versions.get(tried).copied() else { return Ok(()) };
        let events = events(client.clone(), &resource, version);
        let ended = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            ended = follow(&state, &resource, events) => ended,
        };
        let pause = match ended {
            Ended::NotServed if tried + 1 < versions.len() => {
                tried += 1;
                continue;
            }
            Ended::NotServed => {
                tried = 0;
                set_not_served(&state, &resource);
                NOT_SERVED_RETRY
            }
            Ended::RetryAfter(pause) => pause,
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

type Events = futures::stream::BoxStream<'static, Result<Event<Value>, watcher::Error>>;

/// The versions that the engine reads, the newest first.
fn versions(resource: &Resource) -> Vec<&'static str> {
    match resource.version {
        Version::Exactly(version) => vec![version],
        Version::Preferred { .. } => resource.read_as().map(Kind::api_versions).unwrap_or_default().to_vec(),
    }
}

/// Why a watch ended.
enum Ended {
    /// The API server does not serve this version.
    NotServed,
    /// It must be started again after this time.
    RetryAfter(Duration),
}

fn events(client: Client, resource: &Resource, api_version: &'static str) -> Events {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = GroupVersionKind::gvk(group, version, resource.kind);
    let served = ApiResource::from_gvk_with_plural(&kind, resource.plural);
    let config = watcher::Config::default();
    match resource.detail {
        Detail::Whole => {
            let api: Api<DynamicObject> = Api::all_with(client, &served);
            valued(watcher(api, config), *resource, api_version)
        }
        Detail::Metadata => {
            let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &served);
            valued(watcher(api, config), *resource, api_version)
        }
    }
}

fn valued<K: Serialize + Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
    resource: Resource,
    api_version: &'static str,
) -> Events {
    let value = move |object: &K| {
        let mut value = serde_json::to_value(object).unwrap_or_default();
        // A list of metadata has the kind `PartialObjectMetadata`.
        value["apiVersion"] = api_version.into();
        value["kind"] = resource.kind.into();
        value
    };
    let events = events.map(move |event| {
        event.map(|event| match event {
            Event::Init => Event::Init,
            Event::InitApply(object) => Event::InitApply(value(&object)),
            Event::InitDone => Event::InitDone,
            Event::Apply(object) => Event::Apply(value(&object)),
            Event::Delete(object) => Event::Delete(value(&object)),
        })
    });
    events.boxed()
}

/// Follows until the watch fails.
async fn follow(state: &State, resource: &Resource, mut events: Events) -> Ended {
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => return handle(state, resource, &error),
        };
        let event = match event {
            Event::Init => WatchEvent::ListBegins,
            Event::InitApply(object) => WatchEvent::Listed(object),
            Event::InitDone => WatchEvent::ListEnds,
            Event::Apply(object) => WatchEvent::Applied(object),
            Event::Delete(object) => WatchEvent::Deleted(object),
        };
        if matches!(event, WatchEvent::ListEnds) {
            state.health.set_ready(resource.plural);
        }
        if state.objects().apply(resource, event, Timestamp::now()) {
            state.changed.notify_one();
        }
    }
    Ended::RetryAfter(RETRY)
}

/// Our own kinds must be installed. Those of admin policies need not be.
fn set_not_served(state: &State, resource: &Resource) {
    state.objects().set_not_served(resource);
    match resource.version {
        Version::Exactly(_) => {
            let problem = "the CustomResourceDefinition is not installed; run kubectl apply -f manifests/crds";
            state.health.set_waiting(resource.plural, problem);
        }
        Version::Preferred { .. } => state.health.set_ready(resource.plural),
    }
    state.changed.notify_one();
}

fn handle(state: &State, resource: &Resource, error: &watcher::Error) -> Ended {
    match status_code(error) {
        404 if resource.presence == Presence::IfInstalled => Ended::NotServed,
        // The API server ends old watches. A new list follows, and the objects stay known meanwhile.
        410 => Ended::RetryAfter(Duration::ZERO),
        _ => {
            state.health.set_waiting(resource.plural, error.to_string());
            Ended::RetryAfter(RETRY)
        }
    }
}

/// The HTTP status of an answer; 0: there was none.
fn status_code(error: &watcher::Error) -> u16 {
    match error {
        watcher::Error::InitialListFailed(Error::Api(status))
        | watcher::Error::WatchStartFailed(Error::Api(status)) => status.code,
        _ => 0,
    }
}
