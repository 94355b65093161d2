//! Connects to an API server: with the kubeconfig that kubectl would use, or with a pod's service account.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use foretell_service::errors;
use http::Uri;
use kube::client::AuthError;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::proxy;

/// How long to wait for the TCP connection. `--request-timeout` limits the answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no connection to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is neither a kubeconfig nor the environment of a pod.
    #[error(
        "no cluster is named: there is no kubeconfig at {} and this is not a pod; name a file with --kubeconfig or KUBECONFIG",
        default.display()
    )]
    NoKubeconfig {
        /// Path of the default kubeconfig.
        default: PathBuf,
    },
    /// The kubeconfig cannot be used.
    #[error("{source_name}: {}", problem(.error))]
    Kubeconfig {
        /// Path of the kubeconfig.
        source_name: String,
        /// Problem with it.
        error: KubeconfigError,
    },
    /// The context does not exist.
    #[error("{source_name}: there is no context {name:?}; choose one of {}", contexts.join(", "))]
    NoSuchContext {
        /// Path of the kubeconfig.
        source_name: String,
        /// Name of the context.
        name: String,
        /// Names of the contexts in the kubeconfig.
        contexts: Vec<String>,
    },
    /// The kubeconfig names no context.
    #[error("{source_name}: there is no current context; choose one with --context or kubectl config use-context: {}", contexts.join(", "))]
    NoContext {
        /// Path of the kubeconfig.
        source_name: String,
        /// Names of the contexts in the kubeconfig.
        contexts: Vec<String>,
    },
    /// The pod has no service account token.
    #[error(
        "this pod's service account cannot be used: {0}; mount its token (automountServiceAccountToken), or name a file with --kubeconfig"
    )]
    InCluster(#[from] InClusterError),
    /// The proxy's address is invalid.
    #[error("HTTPS_PROXY or HTTP_PROXY is not a URL; write it as http://proxy.example:3128")]
    Proxy,
    /// The credentials cannot be obtained.
    #[error("{source_name}: {problem}")]
    Credentials {
        /// Path of the kubeconfig.
        source_name: String,
        /// Problem with them.
        problem: String,
    },
}

/// A client and the API server to which it leads.
pub struct Connection {
    /// The client.
    pub client: Client,
    /// URL of the API server, without user name and password.
    pub server: String,
    /// Credential plugin of the kubeconfig, if it has one.
    pub plugin: Option<String>,
}

/// Finds the cluster as kubectl does: the named kubeconfig, those in `KUBECONFIG`, `~/.kube/config`, the pod's service account.
///
/// # Errors
/// [`ConnectionError`]. No request is sent yet, but a credential plugin may run.
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

/// `None`: this is a pod, and no kubeconfig is named.
fn read(named: Option<&Path>) -> Result<Option<(Kubeconfig, String)>, ConnectionError> {
    let failed = |source_name: String| move |error| ConnectionError::Kubeconfig { source_name, error };
    if let Some(path) = named {
        let source_name = path.display().to_string();
        return Ok(Some((Kubeconfig::read_from(path).map_err(failed(source_name.clone()))?, source_name)));
    }
    // As in kubectl, files in KUBECONFIG that do not exist are skipped.
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

/// Problem with a kubeconfig, on one line. A parser's own message shows lines of the file, and they may have secrets.
fn problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "is not a kubeconfig: its YAML cannot be read".to_owned(),
        KubeconfigError::ReadConfig(error, _) => format!("cannot be read: {error}; check the path"),
        KubeconfigError::ParseProxyUrl(_) => {
            "the proxy's address is not a URL; write it as http://proxy.example:3128".to_owned()
        }
        KubeconfigError::LoadContext(name) => format!("there is no context {name:?}"),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("there is no cluster {name:?}, which the context names")
        }
        other => other.to_string().replace('\n', " "),
    }
}

/// Why there are no credentials. The output and the environment of a plugin are not shown: they may have secrets.
pub(super) fn credentials_problem(error: &kube::Error, plugin: Option<&str>) -> String {
    let kube::Error::Auth(error) = error else { return errors::root(error) };
    let plugin = plugin.unwrap_or("of the kubeconfig");
    match error {
        AuthError::AuthExecStart(error) => {
            format!(
                "the credential plugin {plugin} cannot be started: {error}; install it, and check that it is on PATH"
            )
        }
        AuthError::AuthExecRun { out, .. } => {
            let stderr = String::from_utf8_lossy(&out.stderr);
            let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no error message");
            format!("the credential plugin {plugin} failed ({}): {last}; log in again", out.status)
        }
        AuthError::AuthExecParse(_) => format!("the credential plugin {plugin} did not print an ExecCredential"),
        other => format!("{}; log in again", other.to_string().replace('\n', " ")),
    }
}
