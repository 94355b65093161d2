//! Reads the files of two revisions as entries, one for each document, with the revisions that contain it.

use memchr::memmem;
use serde_json::Value;

use crate::change::revisions::{ChangeBuilder, ChartFile, NotJudged, Place, RENDER_TO_JUDGE, Undecided, Versions};
use foretell_objects::manifest::document::Document;
use foretell_objects::manifest::documents::documents;
use foretell_objects::manifest::kinds;
use foretell_objects::manifest::kinds::POLICY_KINDS;
use foretell_objects::manifest::written::written;
use foretell_objects::model::other_policies::OtherPolicyKind;
use foretell_objects::resource::contained::{ContainedPolicy, contained};
use foretell_objects::resource::custom_workload::CustomWorkload;
use foretell_objects::resource::object::fault::{FieldError, ObjectError};
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::other_policy::OtherPolicy;
use foretell_objects::resource::{admin, read};

/// Largest size in bytes of a file that is parsed. All manifests of a cluster in one file have a few megabytes.
const MAX_SIZE: usize = 16 << 20;

/// The file name in places of documents that `--render` printed.
const RENDERED: &str = "(rendered)";

/// A document at one revision, or an unchanged one at both.
#[derive(Debug)]
pub(super) struct DocumentEntry {
    pub(super) key: DocumentKey,
    pub(super) place: Place,
    pub(super) side: Revisions,
    pub(super) reading: ReadDocument,
}

/// The identity of a document. Documents with equal keys describe the same object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DocumentKey {
    /// API group, only for kinds that are not read: a NetworkPolicy of Calico is not one of Kubernetes.
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The revisions that contain an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revisions {
    Base,
    Merged,
    Both,
}

/// The content of a document.
#[derive(Debug)]
pub(super) enum ReadDocument {
    Object(Object),
    /// An invalid object of a kind that is read.
    Refused {
        error: ObjectError,
        raw: Value,
    },
    /// An object of a kind that is not read, and that makes pods.
    Workload(CustomWorkload),
    /// A policy of a CNI's or mesh's own kind, such as Calico's.
    OtherPolicy(OtherPolicy),
    /// An object of another kind that contains policies, and that may make pods as well.
    Holder {
        policies: Vec<ContainedPolicy>,
        workload: Option<CustomWorkload>,
    },
    /// An object that generates manifests: a kustomization, a Helm release, an Argo CD Application.
    Generator {
        raw: Value,
        names_policy: bool,
    },
}

/// Why a file cannot be read.
struct Unreadable {
    what: String,
    fault: Fault,
}

/// The kind of problem, which decides how to fix it.
enum Fault {
    Broken,
    Template,
    TooLarge,
}

impl ChangeBuilder {
    /// Adds a file. `path` is relative to the root of the tree, with `/`.
    pub fn file(&mut self, path: &str, versions: Versions<'_>) {
        if base_name(path) == "Chart.yaml" {
            self.charts.insert(folder(path).to_owned());
        }
        match versions {
            Versions::Same(text) => {
                if let Ok(entries) = self.read(path, text, Revisions::Both) {
                    self.entries.extend(entries);
                }
            }
            Versions::Changed { base, merged } => self.changed(path, base, merged),
            Versions::TooLarge => self.undecided.push(Undecided {
                places: vec![path.to_owned()],
                what: "the change touches a file that is too large to read".to_owned(),
                fix: "split it, or leave it out with --path".to_owned(),
            }),
        }
    }

    /// Adds the output of a `--render` command at the two revisions. If a document of it cannot be read, the change is
    /// undecided.
    pub fn rendered(&mut self, base: &[u8], merged: &[u8]) {
        for (text, side, revision) in [(base, Revisions::Base, "base"), (merged, Revisions::Merged, "merged")] {
            match self.read(RENDERED, text, side) {
                Ok(entries) => self.entries.extend(entries),
                Err(unreadable) => self.undecided.push(Undecided {
                    places: vec![RENDERED.to_owned()],
                    what: format!("the output at the {revision} revision {}", unreadable.what),
                    fix: "make sure that the command of --render prints only manifests".to_owned(),
                }),
            }
        }
    }

    fn changed(&mut self, path: &str, base: Option<&[u8]>, merged: Option<&[u8]>) {
        let read = |text: Option<&[u8]>, side| text.map_or(Ok(Vec::new()), |text| self.read(path, text, side));
        let error = match (read(base, Revisions::Base), read(merged, Revisions::Merged)) {
            (Ok(at_base), Ok(at_merged)) if at_base.is_empty() && at_merged.is_empty() => {
                return self.changed_without_objects(path, base, merged);
            }
            (Ok(at_base), Ok(at_merged)) => return self.entries.extend(at_base.into_iter().chain(at_merged)),
            // Prefer the error of the merged tree, which the author of the change can fix.
            (_, Err(error)) | (Err(error), _) => error,
        };
        let texts = [base, merged].into_iter().flatten();
        let texts: Vec<_> = texts.map(String::from_utf8_lossy).collect();
        if texts.iter().any(|text| kinds::seems_to_hold_policy(text)) {
            let what = format!("the change touches a file that seems to contain a policy and {}", error.what);
            self.undecided.push(Undecided { places: vec![path.to_owned()], what, fix: error.fix(path) });
        } else if path.contains("templates/") || texts.iter().any(|text| kinds::may_hold_objects(text.as_bytes())) {
            let why = format!("{}; {RENDER_TO_JUDGE}", error.what);
            self.not_judged.push(NotJudged { file: path.to_owned(), why });
        }
    }

    /// A changed file without objects matters only if it may be a file of a Helm chart.
    fn changed_without_objects(&mut self, path: &str, base: Option<&[u8]>, merged: Option<&[u8]>) {
        if !is_chart_file(path) {
            return;
        }
        let texts: Vec<_> = [base, merged].map(|text| text.map(String::from_utf8_lossy)).into_iter().collect();
        let parsed: Vec<_> = texts.iter().map(|text| text.as_deref().map(documents)).collect();
        if parsed[0] != parsed[1] {
            let names_policy = texts.iter().flatten().any(|text| kinds::seems_to_hold_policy(text));
            self.chart_files.push(ChartFile { path: path.to_owned(), names_policy });
        }
    }

    /// The entries of a file. If one of its documents cannot be read, none is used, so that no file is judged in part.
    fn read(&self, path: &str, text: &[u8], side: Revisions) -> Result<Vec<DocumentEntry>, Unreadable> {
        let unreadable = |what: String, fault| Unreadable { what, fault };
        if is_template_name(path) {
            return Err(Unreadable::template());
        }
        let has_placeholders = ["{{", "${"].iter().any(|mark| memmem::find(text, mark.as_bytes()).is_some());
        if !is_kustomization(path) && !has_placeholders && !kinds::may_hold_objects(text) {
            return Ok(Vec::new());
        }
        if text.len() > MAX_SIZE && path != RENDERED {
            return Err(unreadable(format!("is larger than {} MiB", MAX_SIZE >> 20), Fault::TooLarge));
        }
        let text = str::from_utf8(text).map_err(|_| unreadable("is not UTF-8".to_owned(), Fault::Broken))?;
        let mut entries = Vec::new();
        for Document { number, item, value } in documents(text) {
            let value = value.map_err(|error| {
                // A template is not YAML before it is rendered.
                if text.contains("{{") || text.contains("{%") {
                    let what = format!(
                        "is a template, which cannot be read before it is rendered (document {number}, {error})"
                    );
                    unreadable(what, Fault::Template)
                } else {
                    unreadable(format!("cannot be read: document {number}, {error}"), Fault::Broken)
                }
            })?;
            if has_placeholders && is_filled_in_later(&value) {
                return Err(Unreadable::template());
            }
            let place = Place { file: path.to_owned(), document: number, item };
            entries.extend(entry(&self.origin, place, side, value, text));
        }
        Ok(entries)
    }
}

impl Unreadable {
    fn template() -> Self {
        Self { what: "is a template, which cannot be read before it is rendered".to_owned(), fault: Fault::Template }
    }

    fn fix(&self, path: &str) -> String {
        match self.fault {
            Fault::Broken => "fix the file".to_owned(),
            Fault::TooLarge => "split it".to_owned(),
            Fault::Template => {
                let chart = path.split_once("templates/").map(|(chart, _)| shown(chart.trim_end_matches('/')));
                render_fix(&chart.map_or("COMMAND".to_owned(), |chart| format!("helm template {chart}")))
            }
        }
    }
}

/// The entry of a document of `file`, which is its whole text. `None`: it is of a kind that does not matter here.
fn entry(origin: &Origin, place: Place, side: Revisions, value: Value, file: &str) -> Option<DocumentEntry> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let key = |group: &str| DocumentKey {
        group: group.to_owned(),
        kind: kind.clone(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
    };
    let is_ours =
        ["", "networking.k8s.io", "extensions", "kguardian.dev", "foretell.dev", admin::GROUP].contains(&group);

    if is_generator(group, &kind) || is_kustomization(&place.file) {
        // The place is part of the identity: kustomizations in different files are different objects.
        let key = DocumentKey { name: format!("{} {}", place.file, place.item), ..key(group) };
        let (raw, names_policy) = (without_images(&value), kinds::names_policy(&value));
        return Some(DocumentEntry { key, place, side, reading: ReadDocument::Generator { raw, names_policy } });
    }
    if let Some(policy) = OtherPolicy::read(&value, default_namespace(origin)) {
        let (namespace, name) = (policy.namespace.clone(), policy.name.clone());
        let key = DocumentKey { namespace, name, ..key(group) };
        return Some(DocumentEntry { key, place, side, reading: ReadDocument::OtherPolicy(policy) });
    }
    let (key, reading) = match read::read(value.clone(), origin) {
        Ok(Some(object)) => {
            let id = object.id();
            let key =
                DocumentKey { group: String::new(), kind: id.kind.to_string(), namespace: id.namespace, name: id.name };
            (key, ReadDocument::Object(object))
        }
        Ok(None) if is_ours && POLICY_KINDS.contains(&kind.as_str()) => {
            let problem = format!("`{api_version}` is not a known version of {kind}: check the apiVersion");
            let error = ObjectError {
                object: format!("{kind} {}", text("/metadata/name")),
                faults: vec![FieldError::new("apiVersion", problem)],
            };
            (in_namespace(key(""), origin), ReadDocument::Refused { error, raw: value })
        }
        Ok(None) => {
            let workload = CustomWorkload::read(&value, origin);
            match contained(&value) {
                policies if policies.is_empty() => {
                    (in_namespace(key(group), origin), ReadDocument::Workload(workload?))
                }
                policies => (key(group), ReadDocument::Holder { policies, workload }),
            }
        }
        Err(error) => {
            let error = error.quoting(|pointer| written(file, place.document, &place.item, pointer));
            (in_namespace(key(""), origin), ReadDocument::Refused { error, raw: value })
        }
    };
    Some(DocumentEntry { key, place, side, reading })
}

/// Sets the namespace that an invalid object would have if it were valid.
fn in_namespace(mut key: DocumentKey, origin: &Origin) -> DocumentKey {
    if Kind::ALL.into_iter().any(|kind| kind.name() == key.kind && !kind.is_namespaced()) {
        key.namespace.clear();
    } else if key.namespace.is_empty() {
        default_namespace(origin).clone_into(&mut key.namespace);
    }
    key
}

/// The namespace of objects that do not name one.
fn default_namespace(origin: &Origin) -> &str {
    match origin {
        Origin::Manifest { default_namespace } => default_namespace,
        Origin::Cluster => "",
    }
}

fn is_generator(group: &str, kind: &str) -> bool {
    match group {
        "kustomize.config.k8s.io" => true,
        "kustomize.toolkit.fluxcd.io" => kind == "Kustomization",
        "helm.toolkit.fluxcd.io" => kind == "HelmRelease",
        "helm.cattle.io" => kind.starts_with("HelmChart"),
        "argoproj.io" => kind.starts_with("Application"),
        _ => false,
    }
}

/// A generator without its images and metadata, which do not affect policies.
fn without_images(value: &Value) -> Value {
    let mut value = value.clone();
    if let Value::Object(fields) = &mut value {
        fields.remove("images");
        fields.remove("metadata");
    }
    value
}

/// Whether a template or Flux fills in the identity of an object, its labels or a policy's spec before it is applied.
fn is_filled_in_later(value: &Value) -> bool {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, group) = (text("kind"), text("apiVersion").split_once('/').map_or("", |(group, _)| group));
    if OtherPolicyKind::find(group, kind).is_some() {
        // It is compared as it is written, and not evaluated.
        return false;
    }
    let paths: &[&str] = if POLICY_KINDS.contains(&kind) {
        &["/kind", "/metadata", "/spec"]
    } else {
        &[
            "/kind",
            "/metadata/name",
            "/metadata/namespace",
            "/metadata/labels",
            "/spec/template/metadata/labels",
            "/spec/selector",
        ]
    };
    paths.iter().filter_map(|path| value.pointer(path)).any(has_placeholder)
}

fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{") || text.contains("${"),
        Value::Array(elements) => elements.iter().any(has_placeholder),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains("{{") || has_placeholder(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

pub(super) fn render_fix(command: &str) -> String {
    format!("render it: --render '{command}'")
}

/// A folder for display; the root is `.`.
pub(super) fn shown(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

pub(super) fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn extension(path: &str) -> &str {
    base_name(path).rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_template_name(path: &str) -> bool {
    ["tpl", "gotmpl", "tmpl"].contains(&extension(path))
}

fn is_kustomization(path: &str) -> bool {
    ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&base_name(path))
}

fn is_chart_file(path: &str) -> bool {
    let name = base_name(path);
    name == "Chart.yaml" || (name.starts_with("values") && ["yaml", "yml"].contains(&extension(path)))
}
