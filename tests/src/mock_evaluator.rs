//! A mock evaluator with one recording: it answers `POST /v1/preview` over TLS, with the real engine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use foretell_objects::manifest::documents as manifest;
use foretell_objects::model::flow::Line;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read;
use foretell_policy::cluster::evidence::{FileWatch, Watch};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::traffic::Traffic;
use foretell_policy::judge::judgement::{Inputs, judge};
use foretell_policy::report::data::Report;
use foretell_policy::report::preview::Preview;
use jiff::{SignedDuration, Timestamp};

/// A certificate for `localhost`, and its key.
pub struct Certificate {
    /// The certificate as PEM; it is self-signed.
    pub certificate: String,
    /// The key as PEM.
    pub key: String,
}

impl Certificate {
    /// Creates a certificate.
    #[must_use]
    pub fn make() -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    /// The TLS configuration of a server with this certificate.
    #[must_use]
    pub fn server_config(&self) -> RustlsConfig {
        let config = foretell_service::tls::server_config(self.certificate.as_bytes(), self.key.as_bytes(), "the test");
        RustlsConfig::from_config(config.unwrap())
    }
}

/// Objects and traffic of a cluster.
pub struct Recording {
    objects: Vec<Object>,
    cluster: Cluster,
    traffic: Traffic,
    watch: Watch,
    at: Timestamp,
    from: Timestamp,
}

impl Recording {
    /// The recording of the demo.
    #[must_use]
    pub fn demo() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/recorded");
        Self::read(&folder.join("snapshot.yaml"), &folder.join("flows.ndjson"))
    }

    fn read(snapshot: &PathBuf, flows: &PathBuf) -> Self {
        let text = std::fs::read_to_string(snapshot).unwrap();
        let documents = manifest::documents(&text).into_iter();
        let objects: Vec<Object> =
            documents.filter_map(|document| read::read(document.value.unwrap(), &Origin::Cluster).unwrap()).collect();
        let mut cluster = Cluster::build(&objects);
        let text = std::fs::read_to_string(flows).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| Line::parse(line.as_bytes()).unwrap()).collect();
        let ends =
            lines.iter().filter_map(|line| if let Line::Report(report) = line { Some(report.end) } else { None });
        let at = ends.max().unwrap();
        let from = at - SignedDuration::from_hours(7 * 24);
        let (mut traffic, mut watch, mut file) = (Traffic::default(), Watch::default(), FileWatch::default());
        for line in lines {
            match line {
                Line::Flow(flow) => {
                    file.add_flow(&flow, at);
                    traffic.add(&flow, &cluster, from, at);
                }
                Line::Report(report) => {
                    file.add_report(&report, from, at);
                    cluster.add_node_addresses(&report.node, &report.addresses);
                }
            }
        }
        watch.add_file(file);
        Self { objects, cluster, traffic, watch, at, from }
    }

    fn judge(&self, preview: Preview) -> Result<Report, String> {
        let Preview { base, head, exceptions_on_base_only, min_window_seconds, ranges, cni, change, .. } = preview;
        let change = change.read().map_err(|error| error.to_string())?;
        Ok(judge(&Inputs {
            cluster: &self.cluster,
            snapshot: &self.objects,
            change: &change,
            traffic: &self.traffic,
            watch: &self.watch,
            base,
            head,
            at: self.at,
            from: self.from,
            min_window: min_window_seconds.map(|seconds| SignedDuration::from_secs(seconds.into())),
            exceptions_on_base_only,
            bad_lines: 0,
            dialect: cni.unwrap_or_default(),
            ranges,
        }))
    }
}

/// A running mock evaluator.
pub struct MockEvaluator {
    previews: Arc<AtomicUsize>,
    handle: Handle<SocketAddr>,
}

impl MockEvaluator {
    /// Starts one on this port.
    #[must_use]
    pub fn start(port: u16, certificate: &Certificate, recording: Arc<Recording>) -> Self {
        foretell_service::kubernetes::use_one_tls_provider();
        let (previews, handle) = (Arc::new(AtomicUsize::new(0)), Handle::new());
        let counted = Arc::clone(&previews);
        let preview = async move |Json(preview): Json<Preview>| -> Response {
            counted.fetch_add(1, Ordering::Relaxed);
            match recording.judge(preview) {
                Ok(report) => Json(report).into_response(),
                Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
            }
        };
        let routes = Router::new().route("/v1/preview", post(preview));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = axum_server::bind_rustls(address, certificate.server_config()).handle(handle.clone());
        tokio::spawn(async move { server.serve(routes.into_make_service()).await });
        Self { previews, handle }
    }

    /// The number of previews that it was asked for.
    #[must_use]
    pub fn previews(&self) -> usize {
        self.previews.load(Ordering::Relaxed)
    }
}

impl Drop for MockEvaluator {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}
