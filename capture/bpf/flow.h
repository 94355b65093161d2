/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The maps and records that the programs share with the agent. src/record.rs reads the same bytes. The assertions below fix
 * the layout on this side; a test in src/record.rs compares its own sizes, offsets and flags with them. */
#pragma once
#include "uapi.h"

/* Which end of the connection is the local one. */
enum role { LOCAL_IS_CLIENT = 0, LOCAL_IS_SERVER = 1 };

/* The client's port is not part of the key: a client that connects a thousand times makes one entry. */
struct flow_key {
	u64 cgroup;
	u8 remote[16]; /* IPv4 mapped into IPv6 */
	u16 port;      /* the server's, in host order */
	u8 protocol;
	u8 role;
	u32 pad;
};

/* Sums since the entry was created. The agent subtracts the values of its previous reading. */
struct flow {
	u64 created;         /* ktime; a different value means that the entry was evicted and created again */
	u64 last;            /* ktime of its last packet */
	u64 window_first[2]; /* ktime of the first packet in the newest even and odd window */
	u64 client_packets;  /* sent by the client */
	u64 server_packets;  /* sent by the server */
	u64 bytes;
	u64 opened; /* TCP and SCTP: connection attempts without retransmissions */
	u64 established;
	u64 refused;
	u64 last_opening; /* client's port and initial number of the last attempt */
	u32 window;
	u32 flags;
	u8 local[16];
};
#define FLOW_EMITTED 1 /* its event is in the ring buffer */
#define FLOW_GUESSED 2 /* it is a guess which end is the server */
#define FLOW_RESUMED 4 /* created by a connection that an earlier, evicted or idle entry has counted */

/* Announces a new key, so that the agent looks up its cgroup while the cgroup still exists. */
struct event {
	struct flow_key key;
	u8 local[16];
	u64 time;
	u64 bytes;
};

/* Packet counts in a TCP socket's storage, so that a data packet needs no hash lookup. */
struct tally {
	u64 packets, bytes;
	u64 since; /* jiffies since when `moves` counts */
	u64 moves; /* how often the tally was moved into the flow table */
};
struct connection {
	struct flow_key key;
	u8 local[16];
	struct tally tallies[2]; /* by hook: each has one writer, so no atomic operation is needed */
	u32 opening;
	u32 flags;
};
#define CONNECTION_ANSWERED 1 /* its established or refused answer is counted */
#define CONNECTION_CLOSING 2
#define CONNECTION_GUESSED 4
#define CONNECTION_ESTABLISHED 8

/* Indexes of the map `counts`. */
enum count { RING_FULL = 0, TABLE_FULL = 1, UNPARSABLE = 2, FRAGMENTS = 3, MULTICAST = 4, COUNTS };

struct control {
	u32 window; /* number of the current window */
	u32 pad;
	u64 settled; /* ktime from which the first datagram of a flow counts as a request */
};

#define ASSERT_OFFSET(type, field, offset) _Static_assert(__builtin_offsetof(type, field) == offset, "see src/record.rs")
_Static_assert(sizeof(struct flow_key) == 32, "see src/record.rs");
_Static_assert(sizeof(struct flow) == 112, "see src/record.rs");
_Static_assert(sizeof(struct event) == 64, "see src/record.rs");
_Static_assert(sizeof(struct control) == 16, "see src/probe.rs");
ASSERT_OFFSET(struct flow_key, cgroup, 0);
ASSERT_OFFSET(struct flow_key, remote, 8);
ASSERT_OFFSET(struct flow_key, port, 24);
ASSERT_OFFSET(struct flow_key, protocol, 26);
ASSERT_OFFSET(struct flow_key, role, 27);
ASSERT_OFFSET(struct flow, created, 0);
ASSERT_OFFSET(struct flow, last, 8);
ASSERT_OFFSET(struct flow, window_first, 16);
ASSERT_OFFSET(struct flow, client_packets, 32);
ASSERT_OFFSET(struct flow, server_packets, 40);
ASSERT_OFFSET(struct flow, bytes, 48);
ASSERT_OFFSET(struct flow, opened, 56);
ASSERT_OFFSET(struct flow, established, 64);
ASSERT_OFFSET(struct flow, refused, 72);
ASSERT_OFFSET(struct flow, window, 88);
ASSERT_OFFSET(struct flow, flags, 92);
ASSERT_OFFSET(struct flow, local, 96);
ASSERT_OFFSET(struct event, local, 32);
ASSERT_OFFSET(struct event, time, 48);
ASSERT_OFFSET(struct event, bytes, 56);
ASSERT_OFFSET(struct control, window, 0);
ASSERT_OFFSET(struct control, settled, 8);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct control);
} control SEC(".maps");

INLINE void count(u32 index)
{
	u64 *n = bpf_map_lookup_elem(&counts, &index);
	if (n)
		++*n;
}
