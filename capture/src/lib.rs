//! The node agent records the TCP, UDP and SCTP flows of a node's pods with eBPF and writes them as NDJSON.
//!
//! A pair of `cgroup_skb` programs is attached to one cgroup v2 folder, by default kubelet's `kubepods`. They never drop or
//! change a packet. The kernel sums packets by (cgroup, remote address, server's port, protocol, role). The agent reads the
//! sums once per window and finds the pods by their cgroups. It counts and reports everything that was lost.
//!
//! The modules, in the order in which data passes through them: [`probe`] loads and attaches the programs, [`record`] reads
//! the kernel's records, [`aggregate`] turns sums into the flows of a [`window`], [`registry`] and [`pod`] find the local pod,
//! [`output`] writes, [`ship`] sends. [`agent`] runs these steps window by window.
//!
//! # What is counted
//!
//! - **TCP.** A SYN determines direction and port. Retransmissions are not counted. At the client, SYN+ACK establishes a
//!   connection and RST refuses it. At the listener, the client's ACK establishes it, so a half-open scan is unanswered. A
//!   closed port has no socket, so only the client sees the refusal. Packets are added to a tally in the socket's storage, as
//!   a hash lookup per packet would cost four times as much. The tally is moved into the table at once for the first eight
//!   packets of every 25 jiffies and when the connection ends; the rest of a dense burst follows with the next packet.
//!   Connections and outcomes never lag.
//! - **UDP** is one connection per flow and window, established after any packet in the other direction. The sender of the
//!   first packet is the client, as in connection tracking. Two ends that both use a fixed port are one flow, from the first
//!   sender. An ICMP port unreachable message leaves the flow unanswered.
//! - **SCTP.** INIT opens, ABORT refuses, any other answer establishes.
//! - **Packets and bytes** are of both directions, as the pod's network stack has them: the segments of offloaded packets are
//!   counted individually, their bytes with one header. If a flow has several outcomes in one window, it has a line for each
//!   outcome, and the first line has all packets.
//! - **An attempt without an answer** is written when it is three seconds old (or one window, if that is shorter), so that the
//!   end of a window does not make an attempt unanswered.
//! - **Connections older than the agent** count once, as established, when they next send a packet. The end with a listener on
//!   its port is the server. If there is no listener, and the ports do not look like those of a client and a server, the flow
//!   is marked as guessed. For two minutes after the start, the first datagrams between such ports are also marked as guessed.
//! - **Skipped traffic**: loopback addresses, multicast and broadcast (counted in the log), every protocol other than TCP, UDP
//!   and SCTP, and the copies of TCP and UDP packets that raw sockets receive.
//! - **A flow that is idle for five minutes** is forgotten in the kernel and in the agent. A packet in the microseconds between
//!   the last reading and the removal is not counted; the next packet of the flow is.
//!
//! # Reported losses
//!
//! | cause | meaning | missing data |
//! |---|---|---|
//! | `ring_full` | a new flow did not fit into the ring buffer | nothing, unless its pod or its entry is gone at the end of the window |
//! | `table_full` | the kernel could not make an entry | those packets |
//! | `evicted` | the kernel removed an entry that was not idle | packets since the previous window; announced flows are written without an outcome |
//! | `aggregate_full` | more distinct flows than `--max-flows` in one window | those flows |
//! | `unparsable` | a header could not be read | those packets |
//! | `fragments` | fragments without ports | their bytes; the first fragment identifies the flow |
//! | `queue_full` | the evaluator was unavailable until the queue (`--queue-bytes`) was full | those flows, and the fact that the node was observed |
//! | `refused` | the evaluator refused the batch | those flows |
//! | `unattributed` | the cgroup was removed before it could be looked up | the pod's UID; the address is known |
//!
//! # Requirements
//!
//! Linux 5.8 with cgroup v2; `CAP_BPF`, `CAP_PERFMON` and `CAP_NET_ADMIN`; and the host's network namespace, to read the host's
//! addresses. `CAP_DAC_READ_SEARCH` makes the lookup of a new pod cheaper. Building needs clang.
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
mod tracked_flow;
pub mod window;
