//! What a Kubernetes NetworkPolicy would deny: semantics, engine and report. No I/O.
//!
//! Each module here is a folder and a layer. A layer uses only those that stand before it in this file; `scripts/imports`
//! proves that.

/// What was recorded of a cluster: pods over time, addresses, nodes, Services, traffic, and who watched it.
pub mod cluster {
    pub(crate) mod address_table;
    pub mod detected;
    pub mod evidence;
    pub mod inventory;
    pub mod node;
    pub mod ownership;
    pub mod party;
    pub mod pod;
    mod ranges;
    pub mod secondary;
    pub mod service;
    pub mod sum;
    pub mod traffic;
    pub mod workload;
}

/// Compiled policies: a form in which *no rules* and *not restricted* are different variants.
pub mod policy {
    pub mod admin_peer;
    pub mod admin_pods;
    pub mod admin_policy;
    pub mod admin_port;
    pub mod end_kind;
    pub mod exception;
    pub mod flow_question;
    pub mod host_network;
    pub mod network_policy;
    pub mod peer;
    pub mod port;
    pub mod question;
    pub mod service_address;
    pub mod tier;
}

/// The text that keeps a cluster: a live cluster's objects, and pods that are gone.
pub mod snapshot {
    pub mod api_resource;
    pub mod gone;
    pub mod text;
}

/// Policies and identities to verdicts and effects.
pub mod engine {
    pub mod backends;
    pub mod effect;
    pub mod end_decision;
    pub mod identities;
    pub mod index;
    pub mod live;
    pub mod overlay;
    pub mod pair;
    pub mod policy_id;
    pub mod tier;
    pub mod verdict;
    pub mod world;
}

/// Why a verdict is what it is: the nearest rule, the tiers at both ends, sentences.
pub mod explain {
    pub(crate) mod enforcer_note;
    pub mod evaluation;
    pub mod explanation;
    pub mod nearest;
}

/// What a change in Git is: the files of two revisions, as objects.
pub mod change {
    pub mod plan;
    pub mod revisions;
    pub mod settings;
}

/// The answer on a change, as data and as Markdown.
pub mod report {
    pub mod connection;
    pub mod data;
    pub mod denial;
    pub mod dialects;
    pub mod escape;
    pub mod markdown;
    pub mod policies;
    pub mod preview;
    pub mod undecided;
}

/// Whether a change may merge: what it would deny, by which policy, accepted by which exception, and on what evidence.
pub mod judge {
    pub mod assessment;
    pub mod fix;
    pub mod gate;
    pub mod generate;
    pub mod judgement;
}
