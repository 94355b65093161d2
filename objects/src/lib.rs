//! Kubernetes objects as the engine reads them: words of the domain, documents, resource types. No I/O.
//!
//! Each module here is a folder and a layer. A layer uses only those that stand before it in this file; `scripts/imports`
//! proves that. It is a crate of its own, so that a change of the engine does not compile the Kubernetes types again.

/// Words of the domain: flows, labels, ports, names of policies, dialects. No Kubernetes types.
pub mod model {
    pub mod cidr;
    pub mod dialect;
    pub mod flow;
    pub mod labels;
    pub mod list;
    pub mod other_policies;
    pub mod policy_ref;
    pub mod port;
    pub mod words;
}

/// Text to documents and back: YAML, JSON, and which documents may hold objects.
pub mod manifest {
    mod descent;
    pub mod document;
    pub mod documents;
    mod json;
    pub mod kinds;
    pub mod write_yaml;
    pub mod written;
    mod yaml;
    pub mod yaml_diff;
}

/// Kubernetes objects: their types, defaults, validation, and which of their fields the engine reads.
pub mod resource {
    pub mod admin;
    pub mod admin_view;
    pub mod audit;
    pub mod canonical;
    pub mod cidrs;
    pub mod contained;
    pub mod crds;
    pub mod custom_workload;
    pub mod defaults;
    pub mod difference;
    pub mod exception;
    mod fields;
    pub mod kept;
    pub mod kubernetes;
    pub mod object;
    pub mod other_policy;
    pub mod read;
    pub mod reads;
    mod relevant_fields;
    mod validation;
}
