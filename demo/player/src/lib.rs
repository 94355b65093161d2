//! Plays the traffic of a small shop on one machine and records it with the capture agent.
//!
//! Each pod is a process in a cgroup laid out as kubelet's, in a network namespace of the play's own in which `lo` carries
//! every address. The processes listen and call as the scenario says, with real sockets; the agent sees them as it would see
//! the pods of a node. What comes out is what a cluster would give: a snapshot and a file of flows.
//!
//! What it does not do: Service addresses. Callers dial pods, so that no address translation is needed.

pub mod act;
pub mod args;
pub mod call;
pub mod capture;
pub mod cast;
pub mod cgroup;
pub mod curtain;
pub mod needs;
pub mod network;
pub mod part;
pub mod play;
pub mod pod;
pub mod recording;
pub mod run;
pub mod scenario;
pub mod serve;
pub mod stop;
pub mod template;
pub mod troupe;
