//! The part of an API server that a snapshot needs, over plain HTTP on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// Date of the server's answers.
pub(crate) const DATE: &str = "Sat, 21 Nov 2026 12:00:00 GMT";

/// Status and body of an answer.
pub(crate) type Answer = (u16, Value);

#[derive(Default)]
struct State {
    lists: BTreeMap<String, Vec<Value>>,
    groups: Value,
    group_resources: BTreeMap<String, Vec<String>>,
    date: String,
    replaced: Vec<(String, Answer)>,
    silent: BTreeSet<String>,
    requests: Vec<Request>,
    ended: bool,
}

/// A request that the server received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// A server, until it is dropped.
pub(crate) struct ApiServer {
    pub(crate) url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl ApiServer {
    /// Starts a cluster without objects but the Namespace kube-system.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State { date: DATE.to_owned(), groups: json!([]), ..State::default() };
        let server = Self { url, state: Arc::new((Mutex::new(state), Condvar::new())) };
        server.list("/api/v1/namespaces", &[json!({"metadata": {"name": "kube-system", "uid": "cluster-one"}})]);
        for path in [
            "/api/v1/nodes",
            "/api/v1/services",
            "/api/v1/pods",
            "/apis/discovery.k8s.io/v1/endpointslices",
            "/apis/apps/v1/statefulsets",
            "/apis/apps/v1/daemonsets",
            "/apis/apps/v1/replicasets",
            "/apis/batch/v1/cronjobs",
            "/apis/batch/v1/jobs",
            "/apis/networking.k8s.io/v1/networkpolicies",
        ] {
            server.list(path, &[]);
        }
        let shared = Arc::clone(&server.state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.0.lock().unwrap().ended {
                    return;
                }
                let (shared, Ok(stream)) = (Arc::clone(&shared), stream) else { continue };
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    /// Sets the objects of a list.
    pub(crate) fn list(&self, path: &str, objects: &[Value]) {
        self.state().lists.insert(path.to_owned(), objects.to_vec());
    }

    /// Defines a group: its versions, the preferred one first, and the resources of each.
    pub(crate) fn define(&self, group: &str, versions: &[(&str, &[&str])]) {
        let mut state = self.state();
        let named: Vec<Value> = versions
            .iter()
            .map(|(version, _)| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
            .collect();
        let group_entry = json!({"name": group, "versions": named, "preferredVersion": named[0]});
        state.groups.as_array_mut().unwrap().push(group_entry);
        for (version, plurals) in versions {
            let resources = plurals.iter().map(|plural| (*plural).to_owned()).collect();
            state.group_resources.insert(format!("/apis/{group}/{version}"), resources);
            for plural in *plurals {
                state.lists.entry(format!("/apis/{group}/{version}/{plural}")).or_default();
            }
        }
    }

    /// Sets the clock.
    pub(crate) fn at(&self, date: &str) {
        date.clone_into(&mut self.state().date);
    }

    /// Answers the next request whose path and query begin with `path` with an error, once.
    pub(crate) fn once(&self, path: &str, status: u16, message: &str) {
        self.state().replaced.push((path.to_owned(), refusal(status, message)));
    }

    /// Never answers a request for this path.
    pub(crate) fn silent(&self, path: &str) {
        self.state().silent.insert(path.to_owned());
    }

    /// Waits until there were so many requests for a path.
    pub(crate) fn wait_for(&self, path: &str, times: usize) {
        let too_few = |state: &mut State| state.requests.iter().filter(|request| request.path == path).count() < times;
        let limit = Duration::from_mins(1);
        let (_guard, waited) = self.state.1.wait_timeout_while(self.state(), limit, too_few).unwrap();
        assert!(!waited.timed_out(), "no request for {path}");
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// A kubeconfig for this server.
    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters: [{{name: c, cluster: {{server: \"{}\"}}}}]\n\
             users: [{{name: u, user: {{token: hunter2}}}}]\n\
             contexts: [{{name: here, context: {{cluster: c, user: u}}}}, {{name: broken, context: {{cluster: none, user: u}}}}]\n",
            self.url
        )
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.state().ended = true;
        // One more connection, so that the listener sees that it has ended.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

fn refusal(status: u16, message: &str) -> Answer {
    (status, json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status, "message": message}))
}

/// One request a connection.
fn serve(stream: &TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let (answer, date) = {
        let mut state = shared.0.lock().unwrap();
        state.requests.push(Request { path: path.to_owned(), query: query.to_owned(), headers });
        shared.1.notify_all();
        if state.silent.contains(path) {
            drop(shared.1.wait_while(state, |state| !state.ended).unwrap());
            return;
        }
        (state.answer(&target, path, query), state.date.clone())
    };
    let (status, body) = (answer.0, answer.1.to_string());
    let length = body.len();
    let _ = write!(
        &mut &*stream,
        "HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

impl State {
    fn answer(&mut self, target: &str, path: &str, query: &str) -> Answer {
        if let Some(place) = self.replaced.iter().position(|(prefix, _)| target.starts_with(prefix)) {
            return self.replaced.remove(place).1;
        }
        if path == "/apis" {
            return (200, json!({"kind": "APIGroupList", "groups": self.groups}));
        }
        if let Some(plurals) = self.group_resources.get(path) {
            let resources: Vec<Value> = plurals.iter().map(|plural| json!({"name": plural})).collect();
            return (200, json!({"kind": "APIResourceList", "resources": resources}));
        }
        let Some(objects) = self.lists.get(path) else { return refusal(404, "the server could not find it") };
        let parameter = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let from: usize = parameter("continue").map_or(0, |token| token.trim_end_matches("%3D").parse().unwrap());
        let to =
            parameter("limit").map_or(objects.len(), |limit| objects.len().min(from + limit.parse::<usize>().unwrap()));
        let next = if to < objects.len() { format!("{to}=") } else { String::new() };
        let items = if objects.is_empty() { Value::Null } else { json!(objects[from..to]) };
        (200, json!({"kind": "ThingList", "apiVersion": "v1", "metadata": {"continue": next}, "items": items}))
    }
}
