-- What the evaluator must not forget when it is started anew.

-- Which batches were counted: the last one of each run of each agent. Batches of a run come in order.
CREATE TABLE agents (
    agent text NOT NULL,
    boot text NOT NULL,
    sequence bigint NOT NULL,
    seen timestamptz NOT NULL,
    PRIMARY KEY (agent, boot)
);

-- Sums of flows, an hour of each. An absent text is empty: no two rows may differ in an absent value alone.
CREATE TABLE flows (
    hour timestamptz NOT NULL,
    node text NOT NULL,
    observed text NOT NULL,
    src_ip text NOT NULL,
    src_uid text NOT NULL,
    src_namespace text NOT NULL,
    src_pod text NOT NULL,
    dst_ip text NOT NULL,
    dst_uid text NOT NULL,
    dst_namespace text NOT NULL,
    dst_pod text NOT NULL,
    protocol text NOT NULL,
    port integer NOT NULL,
    outcome text NOT NULL,
    guessed boolean NOT NULL,
    connections bigint NOT NULL,
    packets bigint NOT NULL,
    bytes bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (hour, node, observed, src_ip, src_uid, src_namespace, src_pod, dst_ip, dst_uid, dst_namespace, dst_pod,
        protocol, port, outcome, guessed)
);

-- Spans that an agent watched, apart from one another, and what it lost in them.
CREATE TABLE watched (
    node text NOT NULL,
    span_start timestamptz NOT NULL,
    span_end timestamptz NOT NULL,
    PRIMARY KEY (node, span_start)
);
CREATE TABLE lost (
    node text NOT NULL,
    hour timestamptz NOT NULL,
    cause text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (node, hour, cause)
);
CREATE TABLE node_addresses (
    node text NOT NULL,
    address text NOT NULL,
    seen timestamptz NOT NULL,
    PRIMARY KEY (node, address)
);

-- The cluster as it was last seen, and pods that have gone: who had an address when.
CREATE TABLE objects (
    kind text NOT NULL,
    namespace text NOT NULL,
    name text NOT NULL,
    uid text NOT NULL,
    object jsonb NOT NULL,
    PRIMARY KEY (kind, namespace, name, uid)
);
CREATE TABLE seen (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    taken timestamptz NOT NULL
);

-- Verdicts of audit policies, by the ends of the flows. Ids grow with first sight.
CREATE TABLE audit_verdicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy_uid text NOT NULL,
    policy_generation bigint NOT NULL,
    policy_namespace text NOT NULL,
    policy_name text NOT NULL,
    direction text NOT NULL,
    src_namespace text NOT NULL,
    src_pod text NOT NULL,
    src_ip text NOT NULL,
    dst_namespace text NOT NULL,
    dst_pod text NOT NULL,
    dst_ip text NOT NULL,
    dst_port integer NOT NULL,
    protocol text NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    first_seen timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    count bigint NOT NULL,
    UNIQUE (policy_uid, direction, src_namespace, src_pod, src_ip, dst_namespace, dst_pod, dst_ip, dst_port, protocol)
);
CREATE INDEX audit_verdicts_newest ON audit_verdicts (observed_at DESC, id DESC);
CREATE INDEX audit_verdicts_of_policy ON audit_verdicts (policy_namespace, policy_name, observed_at DESC);
