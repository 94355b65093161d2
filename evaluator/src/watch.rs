//! Watches the API server and tells [`crate::objects`].

use std::sync::Arc;
use std::time::Duration;

use foretell_policy::resource::object::Kind;
use foretell_policy::snapshot::api_resource::{Detail, Presence, RESOURCES as ALL, Resource, Version};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Error};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::objects::News;
use crate::state::State;

/// The kinds that are watched: all that a snapshot holds.
pub const RESOURCES: [Resource; ALL.len()] = ALL;

/// How long a watch that failed rests before it is begun again. It is said each time that the reason changes.
const REST: Duration = Duration::from_secs(2);
/// How often a kind that is not served is asked for.
const NOT_SERVED_REST: Duration = Duration::from_secs(5);

/// Watches one kind until it is told to stop.
///
/// # Errors
/// Never: what fails is said and tried again.
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
        // A cluster serves one of them at least, or none.
        let rest = match ended {
            Ended::NotServed if tried + 1 < versions.len() => {
                tried += 1;
                continue;
            }
            Ended::NotServed => {
                tried = 0;
                note_not_served(&state, &resource);
                NOT_SERVED_REST
            }
            Ended::Rests(rest) => rest,
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(rest) => {}
        }
    }
}

type Events = futures::stream::BoxStream<'static, Result<Event<Value>, watcher::Error>>;

/// The versions in which a kind is read, the newest first.
fn versions(resource: &Resource) -> Vec<&'static str> {
    match resource.version {
        Version::Exactly(version) => vec![version],
        Version::Preferred { .. } => resource.read_as().map(Kind::api_versions).unwrap_or_default().to_vec(),
    }
}

/// Why a watch has ended.
enum Ended {
    /// The server does not know the version.
    NotServed,
    /// It is to be begun anew after this time.
    Rests(Duration),
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
        // Metadata alone says that it is metadata.
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
            Err(error) => return explain(state, resource, &error),
        };
        let news = match event {
            Event::Init => News::Begin,
            Event::InitApply(object) => News::Listed(object),
            Event::InitDone => News::Complete,
            Event::Apply(object) => News::Applied(object),
            Event::Delete(object) => News::Deleted(object),
        };
        if matches!(news, News::Complete) {
            state.health.has(resource.plural);
        }
        if state.objects().hear(resource, news, Timestamp::now()) {
            state.changed.notify_one();
        }
    }
    Ended::Rests(REST)
}

/// There is none of a kind that is not served. Ours are to be installed; admin policies need not be.
fn note_not_served(state: &State, resource: &Resource) {
    state.objects().not_served(resource);
    match resource.version {
        Version::Exactly(_) => {
            let definition = "its CustomResourceDefinition is not installed: kubectl apply -f manifests/crds";
            state.health.waits_for(resource.plural, definition);
        }
        Version::Preferred { .. } => state.health.has(resource.plural),
    }
    state.changed.notify_one();
}

fn explain(state: &State, resource: &Resource, error: &watcher::Error) -> Ended {
    let code = match error {
        watcher::Error::InitialListFailed(Error::Api(status))
        | watcher::Error::WatchStartFailed(Error::Api(status)) => status.code,
        _ => 0,
    };
    match code {
        404 if resource.presence == Presence::IfInstalled => Ended::NotServed,
        // The API server lets a watch end now and then; what was listed is begun anew, and nothing is missing meanwhile.
        410 => Ended::Rests(Duration::ZERO),
        _ => {
            state.health.waits_for(resource.plural, error.to_string());
            Ended::Rests(REST)
        }
    }
}
