//! The cluster of the tests: two nodes, a few pods of a small shop, and what a test adds.
//!
//! Manifests are YAML that never passed an API server. A flow is `SRC -> DST PROTOCOL PORT`, where an end is an address or the
//! name of a pod, which stands for its first address.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::{Direction, Flow, Line};
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::engine::backends::Backend;
use foretell_policy::engine::end_decision::EndDecision;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::index::Index;
use foretell_policy::engine::index::batch::{BatchVerdicts, FlowKey};
use foretell_policy::engine::live::Live;
use foretell_policy::engine::pair::Pair;
use foretell_policy::engine::verdict::Verdict;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::evaluate;
use foretell_policy::explain::evaluation::{VerdictLine, VerdictName};
use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::policy::network_policy::Policy;
use foretell_policy::policy::tier::MatchedRule;
use serde_json::{Value, json};

/// `web` and `cart` are in one namespace; another `web` is in `data`.
const SHOP: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: data, labels: {team: data}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.1.1.0/24, podCIDRs: [10.1.1.0/24, 'fd00:1::/64']},
 status: {addresses: [{type: InternalIP, address: 192.168.0.1}, {type: Hostname, address: n1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {podCIDR: 10.1.2.0/24},
 status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, uid: uid-web, labels: {app: web, tier: front}}
spec:
  nodeName: n1
  containers: [{name: web, image: web, ports: [{name: http, containerPort: 8080}, {containerPort: 9000}]}]
status: {phase: Running, podIP: 10.1.1.1, podIPs: [{ip: 10.1.1.1}, {ip: 'fd00:1::1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, uid: uid-cart, labels: {app: cart, tier: back}}
spec:
  nodeName: n2
  containers: [{name: cart, image: cart, ports: [{name: http, containerPort: 9090}]}]
status: {phase: Running, podIP: 10.1.2.2, podIPs: [{ip: 10.1.2.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: data, uid: uid-db, labels: {app: db}}
spec:
  nodeName: n1
  containers: [{name: db, image: db, ports: [{name: sql, containerPort: 5432, protocol: TCP}]}]
status: {phase: Running, podIP: 10.1.1.3, podIPs: [{ip: 10.1.1.3}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other-web, namespace: data, uid: uid-other-web, labels: {app: web}}
spec: {nodeName: n2, containers: [{name: web, image: web}]}
status: {phase: Running, podIP: 10.1.2.4, podIPs: [{ip: 10.1.2.4}]}
---
apiVersion: v1
kind: Pod
metadata: {name: agent-1, namespace: kube-system, uid: uid-agent-1, labels: {app: web}}
spec: {nodeName: n1, hostNetwork: true, containers: [{name: agent, image: agent}]}
status: {phase: Running, podIP: 192.168.0.1, hostIP: 192.168.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: agent-2, namespace: kube-system, uid: uid-agent-2, labels: {app: web}}
spec: {nodeName: n2, hostNetwork: true, containers: [{name: agent, image: agent}]}
status: {phase: Running, podIP: 192.168.0.2, hostIP: 192.168.0.2}
";

/// The time of flows unless a test states another.
const NOW: &str = "2026-11-21T12:00:00Z";

pub(crate) struct Scenario {
    objects: Vec<Object>,
    reports: Vec<(&'static str, Vec<IpAddr>)>,
    pod_ranges: Vec<&'static str>,
    dialect: Dialect,
}

pub(crate) fn shop() -> Scenario {
    empty().and(SHOP)
}

/// A cluster without objects.
pub(crate) fn empty() -> Scenario {
    Scenario { objects: Vec::new(), reports: Vec::new(), pod_ranges: Vec::new(), dialect: Dialect::UPSTREAM }
}

/// An audit policy `it` in `shop`.
pub(crate) fn audit(spec: &str) -> String {
    format!(
        "apiVersion: kguardian.dev/v1alpha1\nkind: AuditNetworkPolicy\nmetadata: {{name: it, namespace: shop}}\nspec: {spec}\n"
    )
}

pub(crate) fn audit_cluster(spec: &str) -> String {
    format!(
        "apiVersion: kguardian.dev/v1alpha1\nkind: AuditClusterNetworkPolicy\nmetadata: {{name: it}}\nspec: {spec}\n"
    )
}

/// The ingress verdict of an audit policy of the shop on a flow.
pub(crate) fn ingress(spec: &str, flow: &str) -> String {
    shop().and(&audit(spec)).verdicts(flow, Direction::Ingress)
}

/// The egress verdict of an audit policy of the shop on a flow.
pub(crate) fn egress(spec: &str, flow: &str) -> String {
    shop().and(&audit(spec)).verdicts(flow, Direction::Egress)
}

impl Scenario {
    /// Adds manifests, separated by `---`.
    pub(crate) fn and(mut self, manifests: &str) -> Self {
        for document in manifests.split("\n---\n") {
            let value: Value = serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"));
            let object = read(value, &Origin::Cluster).unwrap_or_else(|error| panic!("{error}\n{document}"));
            self.objects.push(object.unwrap_or_else(|| panic!("no object:\n{document}")));
        }
        self
    }

    /// Adds addresses of a node that its agent reported.
    pub(crate) fn reported(mut self, node: &'static str, addresses: &[&str]) -> Self {
        self.reports.push((node, addresses.iter().map(|ip| ip.parse().unwrap()).collect()));
        self
    }

    pub(crate) fn pod_range(mut self, range: &'static str) -> Self {
        self.pod_ranges.push(range);
        self
    }

    /// Reads policies as this enforcer does, in the form of `--cni`.
    pub(crate) fn under(mut self, cni: &str) -> Self {
        self.dialect = cni.parse().unwrap_or_else(|error| panic!("{error}"));
        self
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::build(&self.objects);
        for (node, addresses) in &self.reports {
            cluster.add_node_addresses(node, addresses);
        }
        for range in &self.pod_ranges {
            cluster.add_pod_range(range.parse().unwrap());
        }
        cluster
    }

    pub(crate) fn world<'c>(&self, cluster: &'c Cluster) -> World<'c> {
        let admin_policies = self.objects.iter().filter_map(AdminPolicy::of).map(Arc::new).collect();
        let identities = Arc::new(Identities::as_recorded(cluster));
        World::in_dialect(self.dialect, cluster, identities, self.policies()).with_admin_policies(admin_policies)
    }

    /// The decision about a flow at its subject's end; for a Service the first decision that does not allow it, if there is one.
    pub(crate) fn decide(&self, flow: &str, direction: Direction) -> String {
        let cluster = self.cluster();
        let world = self.world(&cluster);
        let flow = self.flow(flow);
        let ends = cluster.resolve(&flow);
        let backends = world.view().backends(&ends, flow.protocol, flow.port, flow.start);
        let decisions: Vec<EndDecision> = backends
            .iter()
            .map(|backend| {
                let Backend { end: dst, port, dialled } = *backend;
                let pair = Pair { src: ends.src, dst, protocol: flow.protocol, port, dialled };
                world.decide(&pair, direction)
            })
            .collect();
        let worst = decisions.iter().find(|decision| !decision.passes()).unwrap_or(&decisions[0]);
        describe(&world, worst)
    }

    pub(crate) fn policies(&self) -> Vec<Arc<Policy>> {
        self.objects.iter().filter_map(Policy::of).map(Arc::new).collect()
    }

    /// The verdicts on a flow in a direction, one on each line.
    pub(crate) fn verdicts(&self, flow: &str, direction: Direction) -> String {
        self.verdicts_of(&self.flow(flow), direction)
    }

    pub(crate) fn verdicts_of(&self, flow: &Flow, direction: Direction) -> String {
        self.evaluate(flow, |line| (line.direction == direction).then(|| brief(line)))
    }

    /// The message of the only verdict in a direction.
    pub(crate) fn message(&self, flow: &str, direction: Direction) -> String {
        self.evaluate(&self.flow(flow), |line| {
            (line.direction == direction).then(|| line.message.clone().unwrap_or_default())
        })
    }

    /// The verdicts as `foretell evaluate` prints them.
    pub(crate) fn lines(&self, flow: &str) -> Vec<Value> {
        let text = self.evaluate(&self.flow(flow), |line| Some(serde_json::to_string(line).unwrap()));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn unresolved(&self, flow: &str) -> Vec<Direction> {
        let cluster = self.cluster();
        evaluate(&self.world(&cluster), &self.flow(flow), 0).unresolved_subjects
    }

    fn evaluate(&self, flow: &Flow, show: impl Fn(&VerdictLine<'_>) -> Option<String>) -> String {
        let cluster = self.cluster();
        let world = self.world(&cluster);
        let evaluated = evaluate(&world, flow, 0);
        self.check_batch_verdicts(&world, flow, &evaluated.lines);
        evaluated.lines.iter().filter_map(show).collect::<Vec<_>>().join("\n")
    }

    /// Checks that batch verdicts are the same, in a world and in a live cluster.
    fn check_batch_verdicts(&self, world: &World<'_>, flow: &Flow, lines: &[VerdictLine<'_>]) {
        let Some(key) = FlowKey::of(flow) else { return };
        let expected = lines_of(lines);
        let mut verdicts = BatchVerdicts::default();
        world.judge(&[key], &mut verdicts);
        assert_eq!(lines_of_batch(&verdicts, world.index()), expected, "in a batch, {flow:?}");
        if let Some(live) = self.live() {
            verdicts.clear();
            live.judge(&[key], &mut verdicts);
            assert_eq!(
                lines_of_batch(&verdicts, live.view().index),
                expected,
                "in a batch of a live cluster, {flow:?}"
            );
        }
    }

    /// The same cluster as a [`Live`]; `None` if it depends on a dialect or on facts that objects do not contain.
    pub(crate) fn live(&self) -> Option<Live> {
        let is_all = self.dialect == Dialect::UPSTREAM && self.reports.is_empty() && self.pod_ranges.is_empty();
        is_all.then(|| Live::build(&self.objects))
    }

    /// `web -> 203.0.113.9 TCP 443`
    pub(crate) fn flow(&self, text: &str) -> Flow {
        let [src, _, dst, protocol, port] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let end = |text: &str| json!({"ip": text.parse().unwrap_or_else(|_| self.address_of(text))});
        flow(&json!({"src": end(src), "dst": end(dst), "protocol": protocol, "port": port.parse::<u16>().unwrap()}))
    }

    fn address_of(&self, name: &str) -> IpAddr {
        let cluster = self.cluster();
        let mut pods = cluster.pods();
        pods.find(|(_, pod)| pod.name == name).unwrap_or_else(|| panic!("no pod {name}")).1.addresses[0]
    }
}

/// The verdicts on a flow, by direction and in the order of policies, without messages.
fn lines_of(lines: &[VerdictLine<'_>]) -> Vec<String> {
    let of = |direction| lines.iter().filter(move |line| line.direction == direction && line.admin_policies.is_none());
    Direction::BOTH
        .into_iter()
        .flat_map(of)
        .map(|line| {
            let VerdictLine { policy, direction, verdict, rule, exempt, reason, .. } = line;
            format!("{policy} {direction}: {verdict:?} {rule:?} {exempt:?} {reason:?}")
        })
        .collect()
}

fn lines_of_batch(verdicts: &BatchVerdicts, index: &Index) -> Vec<String> {
    assert_eq!(
        verdicts.answers(),
        [Direction::Egress, Direction::Ingress].map(|direction| verdicts.of(0, direction)).concat()
    );
    let of_direction = |direction| verdicts.of(0, direction).iter().map(move |answer| (direction, answer));
    Direction::BOTH
        .into_iter()
        .flat_map(of_direction)
        .map(|(direction, (policy, answer))| {
            assert_eq!(answer.denies(), matches!(answer.verdict(), Verdict::WouldDeny(_)), "{answer:?}");
            let policy = &index.policy(*policy).reference;
            let (verdict, rule, exempt, reason) = match answer.verdict() {
                Verdict::Allow { rule, .. } => (VerdictName::Allow, Some(rule), None, None),
                Verdict::Exempt(exemption) => (VerdictName::Allow, None, Some(exemption), None),
                Verdict::WouldDeny(reason) => (VerdictName::WouldDeny, None, None, Some(reason.name())),
            };
            format!("{policy} {direction}: {verdict:?} {rule:?} {exempt:?} {reason:?}")
        })
        .collect()
}

/// `open`, `exempt`, `allowed by NetworkPolicy shop/it 0`, `denied by …`, `Admin AdminNetworkPolicy it 0 Deny`, `unknown by …`.
fn describe(world: &World<'_>, decision: &EndDecision) -> String {
    let rule = |taken: &MatchedRule| {
        let policy = world.tiers().policy(taken.by.policy);
        format!("{} {} {:?}", policy.reference.name, taken.by.rule, taken.action)
    };
    match decision {
        EndDecision::Open => "open".to_owned(),
        EndDecision::Exempt(exemption) => format!("exempt {exemption}"),
        EndDecision::Allowed { policy, rule, .. } => {
            format!("allowed by {} {rule}", world.policy(*policy).reference.name)
        }
        EndDecision::AllowedAtOtherEnd { policy, rule } => {
            format!("allowed at the other end by {} {rule}", world.policy(*policy).reference.name)
        }
        EndDecision::Denied(by) => format!("denied by {}", world.policy(by[0].0).reference.name),
        EndDecision::Ruled(ruling) => {
            let tied = ruling.tied.map(|tied| format!(", tied with {}", rule(&tied)));
            format!("{}: {}{}", ruling.tier, rule(&ruling.matched), tied.unwrap_or_default())
        }
        EndDecision::ByPolicy(ruling) => format!("{}: {} {:?}", ruling.tier, ruling.policy.name, ruling.permission),
        EndDecision::Unknown(undecidable) => {
            let (tier, doubt) = undecidable.first().unwrap();
            format!("unknown: {tier}: {}, else {}", rule(&doubt.matched), describe(world, &undecidable.otherwise))
        }
    }
}

/// A line of a flow file; its times are `NOW` unless it states others.
pub(crate) fn flow(line: &Value) -> Flow {
    let mut line = line.clone();
    for key in ["start", "end"] {
        line.as_object_mut().unwrap().entry(key).or_insert_with(|| json!(NOW));
    }
    match Line::parse(line.to_string().as_bytes()).unwrap() {
        Line::Flow(flow) => *flow,
        Line::Report(report) => panic!("{report:?}"),
    }
}

/// `allow 0`, `allow 0, enforcers differ`, `exempt node`, `deny NoRules`.
fn brief(line: &VerdictLine<'_>) -> String {
    let mut text = match line.verdict {
        VerdictName::WouldDeny => format!("deny {}", line.reason.unwrap()),
        VerdictName::Unknown => "unknown".to_owned(),
        VerdictName::Allow => match (line.rule, line.exempt) {
            (Some(rule), None) => format!("allow {rule}"),
            (None, Some(exemption)) => format!("exempt {exemption}"),
            both => panic!("an allow by {both:?}"),
        },
    };
    if line.verdict == VerdictName::Allow && line.message.is_some() {
        write!(text, ", enforcers differ").unwrap();
    }
    text
}

/// The verdicts of policies that do not apply: none.
pub(crate) const NOTHING: &str = "";
