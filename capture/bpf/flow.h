/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What the kernel side keeps. The user side reads the same bytes in src/record.rs: change both together. */
#pragma once
#include "uapi.h"

/* Which end of the connection is the local one. */
enum role { LOCAL_IS_CLIENT = 0, LOCAL_IS_SERVER = 1 };

/* Everything but the client's port: a client that connects a thousand times makes one entry. */
struct flow_key {
	u64 cgroup;
	u8 remote[16]; /* IPv4 mapped into IPv6 */
	u16 port;      /* the server's, in host order */
	u8 protocol;
	u8 role;
	u32 pad;
};

/* Sums since the entry was made. The user side subtracts what it read last time. */
struct flow {
	u64 made;            /* ktime of the entry's making: another value is another entry */
	u64 last;            /* ktime of its last packet */
	u64 window_first[2]; /* ktime of the first packet in the newest even and odd window */
	u64 client_packets;  /* sent by the client, and below by the server */
	u64 server_packets;
	u64 bytes;
	u64 opened; /* TCP and SCTP: attempts, their repetitions left out */
	u64 established;
	u64 refused;
	u64 last_opening; /* client's port and initial number of the last attempt */
	u32 window;
	u32 marks;
	u8 local[16];
};
#define FLOW_EMITTED 1 /* the ring buffer took its event */
#define FLOW_GUESSED 2 /* which end is the server was guessed */
#define FLOW_RESUMED 4 /* made by a connection that an entry thrown out or idle since has counted */

/* A new key, so that its cgroup is looked up while it still exists. */
struct event {
	struct flow_key key;
	u8 local[16];
	u64 time;
	u64 bytes;
};

/* What a TCP socket carries with it, so that a data packet needs no hash lookup. */
struct tally {
	u64 packets, bytes;
	u64 since; /* jiffies from which moves into the flow table are counted */
	u64 moves;
};
struct connection {
	struct flow_key key;
	u8 local[16];
	struct tally tallies[2]; /* by hook: each has one writer, so that no atomic is needed */
	u32 opening;
	u32 marks;
};
#define CONNECTION_ANSWERED 1 /* established or refused: counted already */
#define CONNECTION_CLOSING 2
#define CONNECTION_GUESSED 4
#define CONNECTION_ESTABLISHED 8

enum count { RING_FULL, TABLE_FULL, UNPARSABLE, FRAGMENTS, MULTICAST, COUNTS };

struct control {
	u32 window; /* number of the current window */
	u32 pad;
	u64 settled; /* ktime from which a first datagram is taken for a request */
};

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

INLINE void count(u32 what)
{
	u64 *n = bpf_map_lookup_elem(&counts, &what);
	if (n)
		++*n;
}
