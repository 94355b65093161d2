//! The node agent: sees the TCP, UDP and SCTP flows of a node's pods through eBPF and writes them as NDJSON.
//!
//! One pair of `cgroup_skb` programs is attached at one cgroup-v2 node, by default kubelet's `kubepods`. They never drop or
//! change a packet. In the kernel, packets are summed by (cgroup, remote address, server's port, protocol, role); here the
//! sums are read once a window, pods are told by their cgroup, and whatever was lost on the way is counted and reported.
//!
//! The rooms, in the order in which the data passes them: [`probe`] loads and attaches, [`record`] reads what the kernel
//! wrote, [`aggregate`] turns sums into flows, [`registry`] and [`pod`] name the local pod, [`output`] writes;
//! [`agent`] does all that a window after a window.
pub mod agent;
pub mod aggregate;
pub mod args;
pub mod clock;
pub mod handle;
pub mod host;
pub mod mount;
pub mod output;
pub mod pod;
pub mod probe;
pub mod record;
pub mod registry;
pub mod run;
mod tracked;
