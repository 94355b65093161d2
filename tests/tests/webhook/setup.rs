//! The webhook on this machine, and a control plane whose API server calls it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use foretell_tests::control_plane::ControlPlane;
use foretell_tests::kubectl::{Ended, Kubectl};
use foretell_tests::machine;
use foretell_tests::patience::until;
use serde_json::{Value, json};

pub(crate) const CONFIGURATIONS: [&str; 2] =
    ["validatingwebhookconfiguration/foretell", "mutatingwebhookconfiguration/foretell"];

/// The webhook on this machine. A box without nodes shares the loopback interface of this machine.
pub(crate) struct Webhook {
    child: Child,
    pub(crate) port: u16,
    log: PathBuf,
    folder: tempfile::TempDir,
}

impl Webhook {
    /// Starts it, with the rights of its service account.
    pub(crate) fn start(kubectl: &Kubectl) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = kubectl.as_account("foretell", "foretell-webhook", folder.path());
        let port = machine::free_port();
        let log = folder.path().join("log");
        let child = machine::built("foretell-webhook")
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .env("KUBECONFIG", kubeconfig)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, port, log, folder }
    }

    /// Makes the API server call this process: an API server uses an `ExternalName` as the host of a webhook. It still checks the
    /// certificate for the name of the Service.
    pub(crate) fn be_reached(&self, kubectl: &Kubectl) {
        kubectl.run(&["delete", "service", "--namespace=foretell", "foretell-webhook"]);
        let metadata = json!({"name": "foretell-webhook", "namespace": "foretell"});
        let spec = json!({"type": "ExternalName", "externalName": "127.0.0.1"});
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}).to_string());
        for configuration in CONFIGURATIONS {
            let webhooks = kubectl.json(&["get", configuration])["webhooks"].as_array().unwrap().len();
            let replace = |path: String, value: Value| json!({"op": "replace", "path": path, "value": value});
            let patch: Vec<Value> = (0..webhooks)
                .flat_map(|number| {
                    let port = format!("/webhooks/{number}/clientConfig/service/port");
                    // `Fail`: if the webhook cannot be reached, the test fails.
                    let policy = format!("/webhooks/{number}/failurePolicy");
                    [replace(port, json!(self.port)), replace(policy, json!("Fail"))]
                })
                .collect();
            kubectl.run(&["patch", configuration, "--type=json", "--patch", &Value::from(patch).to_string()]);
        }
    }

    pub(crate) fn wait_until_it_says(&self, what: &str) {
        until(what, || if self.output().contains(what) { Ok(()) } else { Err(self.output()) });
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("The webhook in {} printed:\n{}", self.folder.path().display(), self.output());
        }
    }
}

fn apply_folder(kubectl: &Kubectl, how: &str, folder: &str) {
    kubectl.run(&["apply", "--server-side", how, machine::root().join(folder).to_str().unwrap()]);
}

/// A control plane with the objects of the manifests.
pub(crate) fn installed() -> Option<ControlPlane> {
    let control_plane = ControlPlane::start()?;
    let kubectl = control_plane.kubectl();
    kubectl.run(&["create", "namespace", "foretell"]);
    kubectl.run(&["create", "namespace", "shop"]);
    apply_folder(kubectl, "--filename", "manifests/crds");
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    apply_folder(kubectl, "--kustomize", "manifests/webhook");
    Some(control_plane)
}

/// The same, with a running webhook that the API server calls.
pub(crate) fn admitted() -> Option<(ControlPlane, Webhook)> {
    let control_plane = installed()?;
    let kubectl = control_plane.kubectl();
    let webhook = Webhook::start(kubectl);
    webhook.be_reached(kubectl);
    until("the API server calls the webhook and trusts it", || {
        let ended =
            create(kubectl, &audit("AuditNetworkPolicy", &json!({"podSelector": {}, "ingress": [{"from": [{}]}]})));
        if ended.stderr.contains("must specify a peer") { Ok(()) } else { Err(ended.stderr + &webhook.output()) }
    });
    Some((control_plane, webhook))
}

pub(crate) fn create(kubectl: &Kubectl, object: &Value) -> Ended {
    kubectl.attempt_with(&["create", "--namespace=shop", "--filename=-"], &object.to_string())
}

pub(crate) fn audit(kind: &str, spec: &Value) -> Value {
    json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": kind, "metadata": {"name": "web"}, "spec": spec})
}

pub(crate) fn enforced(spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"}, "spec": spec})
}

/// The API server through `kubectl proxy`, for requests that kubectl itself does not send.
pub(crate) struct Proxy {
    child: Child,
    address: String,
}

impl Proxy {
    pub(crate) fn start(kubectl: &Kubectl) -> Self {
        let mut child = kubectl.command(&["proxy", "--port=0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("Starting to serve on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, address }
    }

    /// Server-side apply, as GitOps controllers send it.
    pub(crate) fn apply(&self, path: &str, object: &Value) {
        let body = object.to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "PATCH {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/apply-patch+yaml\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
