//! The way to an API server: kubeconfig as kubectl finds it, or a pod's service account.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use kube::client::AuthError;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::proxy;

/// An API server that does not even take a connection is not waited for any longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// There is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Neither a kubeconfig nor a pod's environment.
    #[error(
        "no cluster is named: there is no kubeconfig at {} and this is no pod; name a file with --kubeconfig or KUBECONFIG",
        default.display()
    )]
    NoKubeconfig {
        /// Where it would be.
        default: PathBuf,
    },
    /// The kubeconfig cannot be used.
    #[error("{source_name}: {}", problem(.error))]
    Kubeconfig {
        /// Which one.
        source_name: String,
        /// Why.
        error: KubeconfigError,
    },
    /// The context does not exist.
    #[error("{source_name}: there is no context {name:?}: it holds {}", contexts.join(", "))]
    NoSuchContext {
        /// Which kubeconfig.
        source_name: String,
        /// What was asked for.
        name: String,
        /// What there is.
        contexts: Vec<String>,
    },
    /// The kubeconfig names no context.
    #[error("{source_name}: no context is current: choose one with --context or kubectl config use-context; it holds {}", contexts.join(", "))]
    NoContext {
        /// Which kubeconfig.
        source_name: String,
        /// What there is.
        contexts: Vec<String>,
    },
    /// A pod without what the kubelet gives to pods.
    #[error(
        "this pod's service account cannot be used: {0}; mount its token (automountServiceAccountToken), or name a file with --kubeconfig"
    )]
    InCluster(#[from] InClusterError),
    /// The proxy's address is none.
    #[error("HTTPS_PROXY is no URL: write it as http://proxy.example:3128")]
    Proxy,
    /// The credentials could not be had.
    #[error("{source_name}: {problem}")]
    Credentials {
        /// Where they are named.
        source_name: String,
        /// Why not.
        problem: String,
    },
}

/// A client and what it talks to.
pub struct Connection {
    /// The client.
    pub client: Client,
    /// URL of the API server, without anybody's name or password.
    pub server: String,
    /// The program that gives credentials, where one does.
    pub plugin: Option<String>,
}

/// Finds the cluster as kubectl does: the named kubeconfig, those in `KUBECONFIG`, `~/.kube/config`, the pod's own.
///
/// # Errors
/// [`ConnectionError`]. Nothing is sent yet, but a credential plugin may be run.
pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Connection, ConnectionError> {
    let (mut config, source_name) = match read(kubeconfig)? {
        Some((kubeconfig, source_name)) => (with_context(kubeconfig, context, &source_name).await?, source_name),
        None => (Config::incluster()?, "the pod's service account".to_owned()),
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let server = url(&config.cluster_url);
    let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    let client = Client::try_from(config).map_err(|error| ConnectionError::Credentials {
        source_name,
        problem: credentials_problem(&error, plugin.as_deref()),
    })?;
    Ok(Connection { client, server, plugin })
}

/// `None`: this is a pod, and nothing else is named.
fn read(named: Option<&Path>) -> Result<Option<(Kubeconfig, String)>, ConnectionError> {
    let failed = |source_name: String| move |error| ConnectionError::Kubeconfig { source_name, error };
    if let Some(path) = named {
        let source_name = path.display().to_string();
        return Ok(Some((Kubeconfig::read_from(path).map_err(failed(source_name.clone()))?, source_name)));
    }
    // As kubectl does: of several files those that do not exist are passed over.
    let listed = env::var_os("KUBECONFIG").filter(|value| !value.is_empty());
    let paths: Vec<PathBuf> = match &listed {
        Some(value) => env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => vec![default_path()],
    };
    let existing: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    let mut merged: Option<Kubeconfig> = None;
    for path in &existing {
        let source_name = path.display().to_string();
        let read = Kubeconfig::read_from(path).map_err(failed(source_name.clone()))?;
        merged = Some(match merged {
            None => read,
            Some(before) => before.merge(read).map_err(failed(source_name))?,
        });
    }
    match merged {
        Some(merged) => {
            let all: Vec<String> = existing.iter().map(|path| path.display().to_string()).collect();
            Ok(Some((merged, all.join(", "))))
        }
        None if env::var_os("KUBERNETES_SERVICE_HOST").is_some() => Ok(None),
        None => Err(ConnectionError::NoKubeconfig { default: paths.into_iter().next().unwrap_or_else(default_path) }),
    }
}

fn default_path() -> PathBuf {
    env::home_dir().unwrap_or_default().join(".kube").join("config")
}

async fn with_context(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
    source_name: &str,
) -> Result<Config, ConnectionError> {
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
    let source_name = source_name.to_owned();
    let Some(name) = context.map(str::to_owned).or(current) else {
        return Err(ConnectionError::NoContext { source_name, contexts });
    };
    if !contexts.contains(&name) {
        return Err(ConnectionError::NoSuchContext { source_name, name, contexts });
    }
    let cluster = kubeconfig
        .contexts
        .iter()
        .find(|known| known.name == name)
        .and_then(|known| known.context.as_ref())
        .and_then(|context| kubeconfig.clusters.iter().find(|known| known.name == context.cluster));
    let own_proxy = cluster.and_then(|known| known.cluster.as_ref()).and_then(|cluster| cluster.proxy_url.clone());
    let options = KubeConfigOptions { context: Some(name), cluster: None, user: None };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| ConnectionError::Kubeconfig { source_name, error })?;
    if own_proxy.is_none_or(|url| url.is_empty()) {
        config.proxy_url = proxy::of(&config.cluster_url).map_err(|_| ConnectionError::Proxy)?;
    }
    Ok(config)
}

/// Scheme, host, port and path.
fn url(url: &Uri) -> String {
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    format!("{}://{host}{port}{path}", url.scheme_str().unwrap_or("https"))
}

/// What is wrong with a kubeconfig, on one line. A parser shows the lines around a fault, and there may be secrets in them.
fn problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "is not a kubeconfig: its YAML cannot be read".to_owned(),
        KubeconfigError::ReadConfig(error, _) => format!("cannot be read: {error}; check the path"),
        KubeconfigError::ParseProxyUrl(_) => {
            "the proxy's address is no URL: write it as http://proxy.example:3128".to_owned()
        }
        KubeconfigError::LoadContext(name) => format!("context {name:?} is not in it"),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("the cluster {name:?} that the context names is not in it")
        }
        other => other.to_string().replace('\n', " "),
    }
}

/// Why there are no credentials. What a plugin printed on its standard output may be one, and its environment too.
pub(super) fn credentials_problem(error: &kube::Error, plugin: Option<&str>) -> String {
    let kube::Error::Auth(error) = error else { return super::request::one_line(error) };
    let plugin = plugin.unwrap_or("of the kubeconfig");
    match error {
        AuthError::AuthExecStart(error) => {
            format!("the credential plugin {plugin} cannot be started: {error}; install it, and see that it is on PATH")
        }
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
            format!("the credential plugin {plugin} failed ({}): {last}; log in again", out.status)
        }
        AuthError::AuthExecParse(_) => format!("what the credential plugin {plugin} printed is no ExecCredential"),
        other => format!("{}; log in again", other.to_string().replace('\n', " ")),
    }
}
