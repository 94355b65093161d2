//! The node agent: sees the TCP, UDP and SCTP flows of a node's pods through eBPF and writes them as NDJSON.
//!
//! One pair of `cgroup_skb` programs is attached at one cgroup-v2 folder, by default kubelet's `kubepods`. They never drop or
//! change a packet. In the kernel, packets are summed by (cgroup, remote address, server's port, protocol, role); here the
//! sums are read once a window, pods are told by their cgroup, and whatever was lost on the way is counted and reported.
//!
//! The rooms, in the order in which the data passes them: [`probe`] loads and attaches, [`record`] reads what the kernel
//! wrote, [`aggregate`] turns sums into flows, [`registry`] and [`pod`] name the local pod, [`output`] writes, [`ship`] sends;
//! [`agent`] does all that window after window.
//!
//! # What counts as what
//!
//! - **TCP.** A SYN gives direction and port; repetitions are not counted. At the client, SYN+ACK establishes and RST refuses;
//!   at the listener the client's ACK establishes, so that a half-open scan is unanswered. A closed port runs nothing: only
//!   the client sees a refusal. Packets are added to a tally that the socket carries, as a hash lookup a packet would cost
//!   four times as much. A tally is moved into the table at once for the first eight packets of every 25 jiffies and when the
//!   connection ends; the rest of a dense burst follows with the next packet. Connections and outcomes never lag.
//! - **UDP** is one connection a flow and window, established once anything came back. The first packet decides who is the
//!   client, as connection tracking has it; two ends that talk from a fixed port to a fixed port are one flow, the first
//!   sender's. A port unreachable (ICMP) shows as unanswered.
//! - **SCTP**: INIT opens, any answer but ABORT establishes, ABORT refuses.
//! - **Packets and bytes** are both directions', as the pod's network stack holds them: segments of offloaded packets are
//!   counted singly, their bytes with one header. Where a flow has several outcomes in one window it has a line for each, and
//!   the first has all packets.
//! - **An attempt without an answer** is held back until it is three seconds old (a window, if that is shorter), so that a
//!   window's end makes nothing unanswered.
//! - **Connections older than the agent** count once, as established, when they next send; who is the server is told by
//!   whether anybody listens on the local port. It is called a guess where nobody does and the ports do not look like a
//!   client's and a server's. For two minutes after the start first datagrams between such ports are called guesses too.
//! - **Passed over**: loopback addresses, multicast and broadcast (counted in the log), everything but TCP, UDP and SCTP.
//!   The copies that raw sockets are given of others' TCP and UDP are passed over too.
//! - **A flow idle for five minutes** is forgotten in the kernel and here. A packet in the very microseconds between its last
//!   reading and its removal is not counted; the flow's next one is.
//!
//! # What a report says was lost
//!
//! | cause | meaning | what is missing |
//! |---|---|---|
//! | `ring_full` | no room to announce a new flow | nothing, unless its pod is gone or the entry evicted by the window's end |
//! | `table_full` | the kernel could not make an entry | those packets |
//! | `evicted` | the kernel threw out an entry before it was idle | packets since the last window; announced flows are written without outcome |
//! | `aggregate_full` | more distinct flows than `--max-flows` in one window | those flows |
//! | `unparsable` | a header that cannot be read | those packets |
//! | `fragments` | fragments without ports | their bytes; the flow is known by its first fragment |
//! | `queue_full` | the evaluator was away for so long that what was kept for it filled its room | those flows, and that they were watched |
//! | `refused` | the evaluator does not take the batch | those flows |
//! | `unattributed` | the cgroup was gone before it could be looked up | the pod's UID; the address is there |
//!
//! # What it needs
//!
//! Linux 5.8 with cgroup v2, `CAP_BPF`, `CAP_PERFMON` and `CAP_NET_ADMIN`, and the host's network namespace for the host's
//! addresses. `CAP_DAC_READ_SEARCH` makes looking up a new pod cheaper. Building needs clang.
pub mod agent;
pub mod aggregate;
pub mod args;
pub mod clock;
pub mod handle;
pub mod host;
pub mod log;
pub mod mount;
pub mod output;
pub mod pod;
pub mod probe;
pub mod record;
pub mod registry;
pub mod run;
pub mod ship;
mod tracked;
