//! Watches the API server and tells [`crate::objects`].

use std::sync::Arc;
use std::time::Duration;

use foretell_policy::snapshot::resource::{Detail, Presence, RESOURCES as ALL, Resource, Version};
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

/// The kinds that are watched. The admin tiers' are read by nobody yet.
pub const RESOURCES: [Resource; 14] = {
    let mut watched = [ALL[0]; 14];
    let mut index = 0;
    while index < watched.len() {
        watched[index] = ALL[index];
        index += 1;
    }
    watched
};

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
    loop {
        let events = events(client.clone(), &resource);
        let rest = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            rest = follow(&state, &resource, events) => rest,
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(rest) => {}
        }
    }
}

type Events = futures::stream::BoxStream<'static, Result<Event<Value>, watcher::Error>>;

fn events(client: Client, resource: &Resource) -> Events {
    let Version::Exactly(api_version) = resource.version else { return futures::stream::empty().boxed() };
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

/// Follows until the watch fails, and says how long to rest.
async fn follow(state: &State, resource: &Resource, mut events: Events) -> Duration {
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
    REST
}

fn explain(state: &State, resource: &Resource, error: &watcher::Error) -> Duration {
    let code = match error {
        watcher::Error::InitialListFailed(Error::Api(status))
        | watcher::Error::WatchStartFailed(Error::Api(status)) => status.code,
        _ => 0,
    };
    match code {
        404 if resource.presence == Presence::IfInstalled => {
            state.objects().not_served(resource);
            let definition = "its CustomResourceDefinition is not installed: kubectl apply -f manifests/crds";
            state.health.waits_for(resource.plural, definition);
            state.changed.notify_one();
            NOT_SERVED_REST
        }
        // The API server lets a watch end now and then; what was listed is begun anew, and nothing is missing meanwhile.
        410 => Duration::ZERO,
        _ => {
            state.health.waits_for(resource.plural, error.to_string());
            REST
        }
    }
}
