//! The tables. `y` is quoted, because YAML 1.1 reads a bare `y` as a boolean.

/// Policies by namespace, then the expectations for each port.
pub(super) type Row =
    (&'static str, &'static [(&'static str, &'static str)], &'static [(&'static str, u16, &'static str)]);

const TO_A: &str = "* -> x/a deny";

/// Every test of `netpol`'s three groups that is about the meaning of policies.
pub(super) const ROWS: &[Row] = &[
    (
        "should support a 'default-deny-ingress' policy",
        &[("x", "{podSelector: {}, policyTypes: [Ingress]}")],
        &[("TCP", 80, "* -> x/* deny"), ("UDP", 80, "* -> x/* deny"), ("SCTP", 80, "* -> x/* deny")],
    ),
    (
        "should support a 'default-deny-all' policy",
        &[("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}")],
        &[("TCP", 80, "* -> x/* deny; x/* -> * deny")],
    ),
    (
        "should enforce policy to allow traffic from pods within server namespace based on PodSelector",
        &[("x", "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}")],
        &[("TCP", 80, "* -> x/a deny; x/b -> x/a allow")],
    ),
    (
        "should enforce policy to allow ingress traffic for a target",
        &[
            ("x", "{podSelector: {}, policyTypes: [Ingress]}"),
            (
                "x",
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}, namespaceSelector: {}}]}]}",
            ),
        ],
        &[("TCP", 80, "* -> x/* deny; * -> x/a allow")],
    ),
    (
        "should enforce policy to allow ingress traffic from pods in all namespaces",
        &[("x", "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {}}]}]}")],
        &[("TCP", 80, "")],
    ),
    (
        "should enforce policy to allow traffic only from a different namespace, based on NamespaceSelector",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}]}]}",
        )],
        &[("TCP", 80, "* -> x/a deny; y/* -> x/a allow")],
    ),
    (
        "should enforce policy based on PodSelector with MatchExpressions",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b]}]}}]}]}",
        )],
        &[("TCP", 80, "* -> x/a deny; x/b -> x/a allow")],
    ),
    (
        "should enforce policy based on NamespaceSelector with MatchExpressions",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: ['y']}]}}]}]}",
        )],
        &[("TCP", 80, "* -> x/a deny; y/* -> x/a allow")],
    ),
    (
        "should enforce policy based on PodSelector or NamespaceSelector",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}}, {podSelector: {matchLabels: {pod: b}}}]}]}",
        )],
        &[("TCP", 80, "x/c -> x/a deny")],
    ),
    (
        "should enforce policy based on PodSelector and NamespaceSelector",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}, podSelector: {matchLabels: {pod: b}}}]}]}",
        )],
        &[("TCP", 80, "* -> x/a deny; y/b -> x/a allow; z/b -> x/a allow")],
    ),
    (
        "should enforce policy based on Multiple PodSelectors and NamespaceSelectors",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}, podSelector: {matchExpressions: [{key: pod, operator: In, values: [b, c]}]}}]}]}",
        )],
        &[("TCP", 80, "x/* -> x/a deny; y/a -> x/a deny; z/a -> x/a deny")],
    ),
    (
        "should enforce policy based on any PodSelectors",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}, {podSelector: {matchLabels: {pod: c}}}]}]}",
        )],
        &[("TCP", 80, "* -> x/a deny; x/b -> x/a allow; x/c -> x/a allow")],
    ),
    (
        "should enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]}",
        )],
        &[("TCP", 80, "* -> x/a deny; y/a -> x/a allow"), ("UDP", 80, "* -> x/a deny; y/a -> x/a allow")],
    ),
    (
        "should enforce policy based on Ports",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: TCP}]}]}",
        )],
        &[("TCP", 81, "* -> x/a deny; y/* -> x/a allow"), ("TCP", 80, TO_A)],
    ),
    (
        "should enforce policy based on Ports (UDP)",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: UDP}]}]}",
        )],
        &[("UDP", 81, "* -> x/a deny; y/* -> x/a allow"), ("UDP", 80, TO_A)],
    ),
    (
        "should enforce policy based on Ports (SCTP)",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81, protocol: SCTP}]}]}",
        )],
        &[("SCTP", 81, "* -> x/a deny; y/* -> x/a allow"), ("SCTP", 80, TO_A)],
    ),
    (
        "should enforce multiple, stacked policies with overlapping podSelectors",
        &[
            (
                "x",
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 81}]}]}",
            ),
            (
                "x",
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: 80}]}]}",
            ),
        ],
        &[("TCP", 81, "* -> x/a deny; y/* -> x/a allow"), ("TCP", 80, "* -> x/a deny; y/* -> x/a allow")],
    ),
    (
        "should support allow-all policy",
        &[("x", "{podSelector: {}, ingress: [{}]}")],
        &[("TCP", 80, ""), ("TCP", 81, "")],
    ),
    (
        "should allow ingress access on one named port",
        &[("x", "{podSelector: {}, ingress: [{ports: [{port: serve-81-tcp}]}]}")],
        &[("TCP", 81, ""), ("TCP", 80, "* -> x/* deny")],
    ),
    (
        "should allow ingress access from namespace on one named port",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: 'y'}}}], ports: [{port: serve-80-tcp, protocol: TCP}]}]}",
        )],
        &[("TCP", 80, "* -> x/a deny; y/* -> x/a allow"), ("TCP", 81, TO_A)],
    ),
    (
        "should allow egress access on one named port",
        &[("x", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: serve-80-tcp}]}]}")],
        &[("TCP", 80, ""), ("TCP", 81, "x/* -> * deny")],
    ),
    (
        "should enforce updated policy",
        &[("x", "{podSelector: {}, policyTypes: [Ingress], ingress: []}")],
        &[("TCP", 81, "* -> x/* deny")],
    ),
    (
        "should deny ingress from pods on other namespaces",
        &[("x", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")],
        &[("TCP", 80, "y/* -> x/* deny; z/* -> x/* deny")],
    ),
    (
        "should deny egress from pods based on PodSelector",
        &[("x", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress]}")],
        &[("TCP", 80, "x/a -> * deny")],
    ),
    (
        "should deny egress from all pods in a namespace",
        &[("x", "{podSelector: {}, policyTypes: [Egress]}")],
        &[("TCP", 80, "x/* -> * deny")],
    ),
    (
        "should work with Ingress, Egress specified together",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress, Ingress], ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}], egress: [{ports: [{port: 80}]}]}",
        )],
        &[
            ("TCP", 80, "* -> x/a deny; x/b -> x/a allow"),
            ("TCP", 81, "* -> x/a deny; x/a -> * deny; x/b -> x/a allow"),
        ],
    ),
    (
        "should support denying of egress traffic on the client side (even if the server explicitly allows this traffic)",
        &[
            (
                "x",
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]}",
            ),
            (
                "y",
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}]}]}",
            ),
            (
                "y",
                "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}]}]}",
            ),
        ],
        &[("TCP", 80, "x/a -> * deny; * -> y/a deny; x/a -> y/a allow; * -> y/b deny")],
    ),
    (
        "should enforce egress policy allowing traffic to a server in a different namespace based on PodSelector and NamespaceSelector",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: 'y'}}, podSelector: {matchLabels: {pod: a}}}]}]}",
        )],
        &[("TCP", 80, "x/a -> * deny; x/a -> y/a allow")],
    ),
    (
        "should enforce ingress policy allowing any port traffic to a server on a specific protocol",
        &[("x", "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{protocol: TCP}]}]}")],
        &[("TCP", 80, ""), ("TCP", 81, ""), ("UDP", 80, TO_A)],
    ),
    (
        "should enforce multiple ingress policies with ingress allow-all policy taking precedence",
        &[("x", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"), ("x", "{podSelector: {}, ingress: [{}]}")],
        &[("TCP", 81, "")],
    ),
    (
        "should enforce multiple egress policies with egress allow-all policy taking precedence",
        &[
            ("x", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}"),
            ("x", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}"),
        ],
        &[("TCP", 81, "")],
    ),
    ("should stop enforcing policies after they are deleted", &[], &[("TCP", 80, "")]),
    (
        "should allow egress access to server in CIDR block",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.2.0.12/32}}]}]}",
        )],
        &[("TCP", 80, "x/a -> * deny; x/a -> y/b allow")],
    ),
    (
        "should enforce except clause while egress access to server in CIDR block",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.2/32]}}]}]}",
        )],
        &[("TCP", 80, "x/a -> x/b deny")],
    ),
    (
        "should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed",
        &[
            (
                "x",
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.2/32]}}]}]}",
            ),
            (
                "x",
                "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.2.0.2/32}}]}]}",
            ),
        ],
        &[("TCP", 80, "")],
    ),
    (
        "should enforce policies to check ingress and egress policies can be controlled independently based on PodSelector",
        &[
            ("x", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{}]}"),
            ("x", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress]}"),
        ],
        &[("TCP", 80, TO_A)],
    ),
    (
        "should not mistakenly treat 'protocol: SCTP' as 'protocol: TCP', even if the plugin doesn't support SCTP",
        &[
            ("x", "{podSelector: {}, policyTypes: [Ingress]}"),
            ("x", "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 81, protocol: SCTP}]}]}"),
        ],
        &[("TCP", 81, "* -> x/* deny")],
    ),
    (
        "should properly isolate pods that are selected by a policy allowing SCTP, even if the plugin doesn't support SCTP",
        &[("x", "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 80, protocol: SCTP}]}]}")],
        &[("TCP", 81, TO_A)],
    ),
    (
        "should not allow access by TCP when a policy specifies only UDP",
        &[("x", "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 81, protocol: UDP}]}]}")],
        &[("TCP", 81, TO_A)],
    ),
    (
        "should enforce policy to allow traffic based on NamespaceSelector with MatchLabels using default ns label",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: 'y'}}}]}]}",
        )],
        &[("TCP", 80, "x/* -> x/a deny; z/* -> x/a deny")],
    ),
    (
        "should enforce policy based on NamespaceSelector with MatchExpressions using default ns label",
        &[(
            "x",
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: ['y']}]}}]}]}",
        )],
        &[("TCP", 80, "x/a -> y/* deny")],
    ),
];

/// The tests that change labels: the expectations before and after, and the change.
pub(super) const RELABELLED: &[(&str, &str, &str, &str, &str)] = &[
    (
        "should allow ingress access from updated namespace",
        "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns2: updated}}}]}]}",
        TO_A,
        "{apiVersion: v1, kind: Namespace, metadata: {name: 'y', labels: {ns: 'y', ns2: updated}}}",
        "* -> x/a deny; y/* -> x/a allow",
    ),
    (
        "should allow ingress access from updated pod",
        "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b, pod2: updated}}}]}]}",
        TO_A,
        "{apiVersion: v1, kind: Pod, metadata: {name: x-b, namespace: x, uid: x-b, labels: {pod: b, pod2: updated}}, spec: {nodeName: n2, containers: []}, status: {phase: Running, podIP: 10.2.0.2}}",
        "* -> x/a deny; x/b -> x/a allow",
    ),
    (
        "should deny ingress access to updated pod",
        "{podSelector: {matchLabels: {target: isolated}}, policyTypes: [Ingress]}",
        "",
        "{apiVersion: v1, kind: Pod, metadata: {name: x-a, namespace: x, uid: x-a, labels: {pod: a, target: isolated}}, spec: {nodeName: n2, containers: []}, status: {phase: Running, podIP: 10.2.0.1}}",
        TO_A,
    ),
];
