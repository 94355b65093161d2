//! The kinds of Kubernetes objects that the engine reads, in one table that defines their names, versions and types. A new kind is
//! one line in the table.

use std::fmt;

use k8s_openapi::api::networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::resource::admin::{AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy};
use crate::resource::audit::{AuditClusterNetworkPolicy, AuditNetworkPolicy};
use crate::resource::exception::AuditException;
use crate::resource::kubernetes;

pub mod api_error;
pub mod fault;
pub mod id;
pub mod origin;
pub(crate) mod path;

/// Whether objects of a kind belong to a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Namespaced,
    ClusterScoped,
}

/// What a kind is for. It decides how strictly its objects are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Part of the cluster: pods and what they depend on. Newer API versions add fields and webhooks fill templates in, so
    /// unknown fields are ignored.
    ClusterState,
    /// A controller of pods, which has a pod template. It is read in the same way as cluster state.
    Workload,
    /// The built-in policy. A manifest is read strictly: an unknown field is an error.
    BuiltInPolicy,
    /// A policy or exception that is a custom resource, read strictly.
    CustomPolicy,
    /// A policy of the network-policy-api project, which is a custom resource in a tier of its own, read strictly.
    AdminPolicy,
}

/// Decodes the type of a kind from JSON. [`Object::decode_with`] calls the method that fits the kind.
pub(crate) trait Decoder {
    /// The error if the JSON does not fit the type.
    type Error;

    /// Reads a type and ignores unknown fields.
    fn decode<T: DeserializeOwned>(self) -> Result<T, Self::Error>;

    /// Reads a type whose unknown fields may be errors.
    fn decode_strictly<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}

/// One line for each kind: its name, its type, the `apiVersion`s that are read (the first is the one that is written), whether it has
/// a namespace, its class, and the decoder's method that reads it.
macro_rules! kinds {
    ($($kind:ident, $type:ty, $versions:expr, $extent:ident, $class:ident, $decode:ident;)*) => {
        /// The kinds that the engine reads. All others are ignored.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the kind of its name")]
        pub enum Kind {
            $($kind,)*
        }

        /// A typed object.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the kind of its name")]
        pub enum Object {
            $($kind(Box<$type>),)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: [Self; [$(Self::$kind,)*].len()] = [$(Self::$kind,)*];

            /// The value of `kind` in a manifest.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)*
                }
            }

            /// The values of `apiVersion` that are read: several versions where they have one schema.
            #[must_use]
            pub const fn api_versions(self) -> &'static [&'static str] {
                match self {
                    $(Self::$kind => $versions,)*
                }
            }

            const fn extent(self) -> Extent {
                match self {
                    $(Self::$kind => Extent::$extent,)*
                }
            }

            const fn class(self) -> Class {
                match self {
                    $(Self::$kind => Class::$class,)*
                }
            }
        }

        impl Object {
            /// Decodes an object of a kind.
            pub(crate) fn decode_with<D: Decoder>(kind: Kind, decoder: D) -> Result<Self, D::Error> {
                Ok(match kind {
                    $(Kind::$kind => Self::$kind(Box::new(decoder.$decode::<$type>()?)),)*
                })
            }

            /// Its JSON, without `apiVersion` and `kind`.
            pub(crate) fn to_json(&self) -> Result<Value, serde_json::Error> {
                match self {
                    $(Self::$kind(object) => serde_json::to_value(object),)*
                }
            }

            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)*
                }
            }

            /// Its `metadata`.
            #[must_use]
            pub fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Self::$kind(object) => &object.metadata,)*
                }
            }

            pub(crate) fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self {
                    $(Self::$kind(object) => &mut object.metadata,)*
                }
            }
        }
    };
}

const V1: &[&str] = &["v1"];
const APPS: &[&str] = &["apps/v1"];
const BATCH: &[&str] = &["batch/v1"];
const KGUARDIAN: &[&str] = &["kguardian.dev/v1alpha1"];
const NETWORK_POLICY_API: &[&str] = &["policy.networking.k8s.io/v1alpha1"];
const CLUSTER_NETWORK_POLICY: &[&str] = &["policy.networking.k8s.io/v1beta1", "policy.networking.k8s.io/v1alpha2"];

kinds! {
    Namespace, kubernetes::Namespace, V1, ClusterScoped, ClusterState, decode;
    Node, kubernetes::Node, V1, ClusterScoped, ClusterState, decode;
    Pod, kubernetes::Pod, V1, Namespaced, ClusterState, decode;
    Service, kubernetes::Service, V1, Namespaced, ClusterState, decode;
    EndpointSlice, kubernetes::EndpointSlice, &["discovery.k8s.io/v1"], Namespaced, ClusterState, decode;
    Endpoints, kubernetes::Endpoints, V1, Namespaced, ClusterState, decode;
    Deployment, kubernetes::Controller, APPS, Namespaced, Workload, decode;
    StatefulSet, kubernetes::Controller, APPS, Namespaced, Workload, decode;
    DaemonSet, kubernetes::Controller, APPS, Namespaced, Workload, decode;
    ReplicaSet, kubernetes::Controller, APPS, Namespaced, Workload, decode;
    ReplicationController, kubernetes::Controller, V1, Namespaced, Workload, decode;
    Job, kubernetes::Controller, BATCH, Namespaced, Workload, decode;
    CronJob, kubernetes::CronJob, BATCH, Namespaced, Workload, decode;
    NetworkPolicy, networking::v1::NetworkPolicy, &["networking.k8s.io/v1"], Namespaced, BuiltInPolicy, decode_strictly;
    AuditNetworkPolicy, AuditNetworkPolicy, KGUARDIAN, Namespaced, CustomPolicy, decode_strictly;
    AuditClusterNetworkPolicy, AuditClusterNetworkPolicy, KGUARDIAN, ClusterScoped, CustomPolicy, decode_strictly;
    AuditException, AuditException, &["foretell.dev/v1alpha1"], Namespaced, CustomPolicy, decode_strictly;
    AdminNetworkPolicy, AdminNetworkPolicy, NETWORK_POLICY_API, ClusterScoped, AdminPolicy, decode_strictly;
    BaselineAdminNetworkPolicy, BaselineAdminNetworkPolicy, NETWORK_POLICY_API, ClusterScoped, AdminPolicy, decode_strictly;
    ClusterNetworkPolicy, ClusterNetworkPolicy, CLUSTER_NETWORK_POLICY, ClusterScoped, AdminPolicy, decode_strictly;
}

impl Kind {
    /// The value of `apiVersion` that is written.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        self.api_versions()[0]
    }

    /// Whether its objects belong to a namespace.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        self.extent() == Extent::Namespaced
    }

    /// Whether it is a policy or an exception. A manifest of such a kind is read strictly: an unknown field is an error.
    pub(crate) fn is_strict(self) -> bool {
        !matches!(self.class(), Class::ClusterState | Class::Workload)
    }

    /// Whether it is a controller of pods, which has a pod template.
    #[must_use]
    pub fn is_workload(self) -> bool {
        self.class() == Class::Workload
    }

    /// Whether it is a custom resource.
    #[must_use]
    pub const fn is_custom(self) -> bool {
        matches!(self.class(), Class::CustomPolicy | Class::AdminPolicy)
    }

    /// Whether it is a policy of the network-policy-api project, which belongs to a tier of its own.
    #[must_use]
    pub fn is_admin_tier(self) -> bool {
        self.class() == Class::AdminPolicy
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
