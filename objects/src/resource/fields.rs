//! The fields of each kind that the engine reads, in one table.
//!
//! The table defines in which fields a fault makes an object invalid ([`checked`]), which fields a snapshot keeps of a live object
//! ([`kept_of_live`]), and which fields are kept of a manifest that is judged elsewhere ([`kept_of_manifest`]). The typed readers of
//! the same fields are in [`reads`](crate::resource::reads).

use std::sync::LazyLock;

use crate::resource::object::Kind;

/// A path into an object. `*` is any item of a list; a key that ends in `/*` is any key with this prefix.
pub(crate) type Path = &'static [&'static str];

/// A field, with everything below it.
#[derive(Clone, Copy)]
struct Field {
    path: Path,
    /// The parts of the field that are kept; if empty, all of it.
    parts: &'static [Path],
    source: Source,
}

/// The source of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A manifest states the field.
    Manifest,
    /// A manifest states the field, and only revisions are compared by it: it is not kept of a live object.
    ManifestOnly,
    /// A server writes the field. A fault in it never makes an object invalid.
    Server,
    /// A manifest states the field and the engine does not read it, but a fault in it makes the object invalid.
    CheckedOnly,
}

const fn stated(path: Path) -> Field {
    Field { path, parts: &[], source: Source::Manifest }
}

const fn stated_parts(path: Path, parts: &'static [Path]) -> Field {
    Field { path, parts, source: Source::Manifest }
}

const fn observed(path: Path) -> Field {
    Field { path, parts: &[], source: Source::Server }
}

const fn compared_only(path: Path) -> Field {
    Field { path, parts: &[], source: Source::ManifestOnly }
}

const fn checked_only(path: Path) -> Field {
    Field { path, parts: &[], source: Source::CheckedOnly }
}

const NAME: Path = &["metadata", "name"];
const NAMESPACE: Path = &["metadata", "namespace"];
const LABELS: Path = &["metadata", "labels"];

/// The fields that are kept of objects of every kind.
const KEPT_OF_ALL: [Path; 5] =
    [&["apiVersion"], &["kind"], NAME, NAMESPACE, &["metadata", "annotations", "foretell.dev/*"]];

const CONTAINER_PORTS: &[Path] = &[&["*", "name"], &["*", "containerPort"], &["*", "protocol"]];

/// The fields of a pod that selectors and ports of policies see. A pod template states the same fields for future pods.
const POD_IDENTITY: &[Field] = &[
    stated(LABELS),
    stated(&["spec", "hostNetwork"]),
    stated_parts(&["spec", "containers", "*", "ports"], CONTAINER_PORTS),
    stated_parts(&["spec", "initContainers", "*", "ports"], CONTAINER_PORTS),
    stated(&["spec", "initContainers", "*", "restartPolicy"]),
];
const CONTROLLER: &[Field] = &[
    observed(&["metadata", "ownerReferences", "*", "kind"]),
    observed(&["metadata", "ownerReferences", "*", "name"]),
    observed(&["metadata", "ownerReferences", "*", "controller"]),
];
const POD: &[Field] = &[
    stated(&["spec", "nodeName"]),
    observed(&["metadata", "uid"]),
    // The cgroup of a static pod is named after it.
    observed(&["metadata", "annotations", "kubernetes.io/config.hash"]),
    // The addresses on secondary networks, by its present and by its former name.
    observed(&["metadata", "annotations", "k8s.v1.cni.cncf.io/network-status"]),
    observed(&["metadata", "annotations", "k8s.v1.cni.cncf.io/networks-status"]),
    observed(&["status", "phase"]),
    observed(&["status", "startTime"]),
    observed(&["status", "podIP"]),
    observed(&["status", "podIPs", "*", "ip"]),
    observed(&["status", "hostIP"]),
    observed(&["status", "hostIPs", "*", "ip"]),
    observed(&["status", "conditions", "*", "type"]),
    observed(&["status", "conditions", "*", "status"]),
    observed(&["status", "containerStatuses", "*", "state", "terminated", "finishedAt"]),
    observed(&["status", "initContainerStatuses", "*", "state", "terminated", "finishedAt"]),
];
const NAMESPACES: &[Field] = &[stated(LABELS)];
const NODE: &[Field] = &[
    // Admin policies select nodes by their labels.
    stated(LABELS),
    stated(&["spec", "podCIDR"]),
    stated(&["spec", "podCIDRs"]),
    observed(&["status", "addresses", "*", "type"]),
    observed(&["status", "addresses", "*", "address"]),
    observed(&["status", "nodeInfo", "kubeletVersion"]),
];
const SERVICE: &[Field] = &[
    stated(&["spec", "type"]),
    stated(&["spec", "selector"]),
    stated(&["spec", "clusterIP"]),
    stated(&["spec", "clusterIPs"]),
    stated(&["spec", "externalIPs"]),
    stated_parts(
        &["spec", "ports"],
        &[&["*", "name"], &["*", "protocol"], &["*", "port"], &["*", "targetPort"], &["*", "nodePort"]],
    ),
    compared_only(&["spec", "externalName"]),
    stated(&["spec", "externalTrafficPolicy"]),
    stated(&["spec", "internalTrafficPolicy"]),
    stated(&["spec", "publishNotReadyAddresses"]),
    observed(&["status", "loadBalancer", "ingress", "*", "ip"]),
    observed(&["status", "loadBalancer", "ingress", "*", "ipMode"]),
];
const ENDPOINT_SLICE: &[Field] = &[
    stated_parts(LABELS, &[&["kubernetes.io/service-name"]]),
    stated(&["addressType"]),
    stated(&["endpoints", "*", "addresses"]),
    stated_parts(&["endpoints", "*", "conditions"], &[&["ready"]]),
    stated_parts(&["endpoints", "*", "targetRef"], &[&["kind"], &["namespace"], &["name"]]),
    stated_parts(&["ports"], &[&["*", "name"], &["*", "protocol"], &["*", "port"]]),
];
const ENDPOINTS: &[Field] = &[
    stated_parts(LABELS, &[&["endpointslice.kubernetes.io/skip-mirror"]]),
    stated(&["subsets", "*", "addresses", "*", "ip"]),
    stated_parts(&["subsets", "*", "ports"], &[&["*", "name"], &["*", "protocol"], &["*", "port"]]),
];
const POLICY: &[Field] = &[stated(&["spec"]), checked_only(LABELS), checked_only(&["metadata", "annotations"])];
/// What is kept of a policy of a CNI's or mesh's own kind: what [`OtherPolicy`](crate::resource::other_policy::OtherPolicy) reads.
const OTHER_POLICY: [Path; 4] =
    [&["spec"], &["specs"], &["metadata", "labels", "kuma.io/*"], &["metadata", "annotations", "istio.io/*"]];

/// The fields of a kind, without its name and its pod template.
fn fields(kind: Kind) -> Vec<Field> {
    match kind {
        Kind::Namespace => NAMESPACES.to_vec(),
        Kind::Node => NODE.to_vec(),
        Kind::Pod => [POD_IDENTITY, POD, CONTROLLER].concat(),
        Kind::Service => SERVICE.to_vec(),
        Kind::EndpointSlice => ENDPOINT_SLICE.to_vec(),
        Kind::Endpoints => ENDPOINTS.to_vec(),
        kind if kind.is_workload() => CONTROLLER.to_vec(),
        _ => POLICY.to_vec(),
    }
}

/// The path of the pod template of a workload.
fn template_place(kind: Kind) -> Option<Path> {
    match kind {
        Kind::CronJob => Some(&["spec", "jobTemplate", "spec", "template"]),
        kind if kind.is_workload() => Some(&["spec", "template"]),
        _ => None,
    }
}

/// The paths of one kind, derived from the table.
struct Derived {
    checked: Vec<Vec<&'static str>>,
    kept_of_live: Vec<Vec<&'static str>>,
    kept_of_manifest: Vec<Vec<&'static str>>,
}

impl Derived {
    fn of(kind: Kind) -> Self {
        let fields = fields(kind);
        let template = template_place(kind);
        let names = [NAME, NAMESPACE].into_iter().take(if kind.is_namespaced() { 2 } else { 1 });
        let stated = fields.iter().filter(|field| field.source != Source::Server).map(|field| field.path.to_vec());
        let of_template =
            template.into_iter().flat_map(|place| POD_IDENTITY.iter().map(move |field| below(place, field.path)));
        let checked = names.map(<[_]>::to_vec).chain(stated).chain(of_template).collect();

        let of_all = KEPT_OF_ALL.iter().map(|path| path.to_vec());
        let kept_of_live: Vec<_> = of_all.chain(fields.iter().flat_map(Field::kept)).collect();
        let identity = POD_IDENTITY.iter().map(|field| field.path);
        let place = template.or((kind == Kind::Pod).then_some(&[]));
        let of_template = place.into_iter().flat_map(|place| identity.clone().map(move |path| below(place, path)));
        let compared = fields.iter().filter(|field| field.source == Source::ManifestOnly);
        let compared = compared.map(|field| field.path.to_vec());
        let kept_of_manifest = kept_of_live.iter().cloned().chain(of_template).chain(compared).collect();
        Self { checked, kept_of_live, kept_of_manifest }
    }
}

impl Field {
    fn kept(&self) -> Vec<Vec<&'static str>> {
        match (self.source, self.parts) {
            (Source::CheckedOnly | Source::ManifestOnly, _) => Vec::new(),
            (_, []) => vec![self.path.to_vec()],
            (_, parts) => parts.iter().map(|part| below(self.path, part)).collect(),
        }
    }
}

fn below(place: Path, path: Path) -> Vec<&'static str> {
    [place, path].concat()
}

fn derived(kind: Kind) -> &'static Derived {
    static DERIVED: LazyLock<Vec<Derived>> = LazyLock::new(|| Kind::ALL.into_iter().map(Derived::of).collect());
    // The list has one entry for each kind, in the order of the kinds.
    &DERIVED[kind as usize]
}

/// The paths in which a fault makes an object of a kind invalid. Faults elsewhere do not, because newer API versions add fields and
/// webhooks complete templates.
pub(crate) fn checked(kind: Kind) -> &'static [Vec<&'static str>] {
    &derived(kind).checked
}

/// The paths that a snapshot keeps of a live object. `kind` is `None` for a policy of a kind that the engine does not evaluate.
pub(crate) fn kept_of_live(kind: Option<Kind>) -> &'static [Vec<&'static str>] {
    static OF_OTHER_POLICIES: LazyLock<Vec<Vec<&'static str>>> =
        LazyLock::new(|| KEPT_OF_ALL.iter().chain(&OTHER_POLICY).map(|path| path.to_vec()).collect());
    kind.map_or(&OF_OTHER_POLICIES, |kind| &derived(kind).kept_of_live)
}

/// The paths that are kept of a manifest: those of a live object, and those of its pod template.
pub(crate) fn kept_of_manifest(kind: Kind) -> &'static [Vec<&'static str>] {
    &derived(kind).kept_of_manifest
}
