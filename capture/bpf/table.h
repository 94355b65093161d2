/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The flow table: find or make an entry, add to it, announce a new one to the agent. */
#pragma once
#include "packet.h"

#define add(place, n) __sync_fetch_and_add(&(place), n)

INLINE void fill_key(struct flow_key *key, struct __sk_buff *skb, const struct packet *p, enum role role)
{
	key->cgroup = bpf_skb_cgroup_id(skb);
	copy(key->remote, p->remote, 16);
	key->port = role == LOCAL_IS_CLIENT ? p->remote_port : p->local_port;
	key->protocol = p->protocol;
	key->role = role;
	key->pad = 0;
}

/* Changes the role in a key of the same two ends. */
INLINE void set_role(struct flow_key *key, const struct packet *p, enum role role)
{
	key->port = role == LOCAL_IS_CLIENT ? p->remote_port : p->local_port;
	key->role = role;
}

INLINE struct flow *find_flow(const struct flow_key *key)
{
	return bpf_map_lookup_elem(&flows, key);
}

INLINE struct flow *make_flow(const struct flow_key *key, const u8 *local, u64 now, u32 flags)
{
	struct flow fresh = {.created = now, .last = now, .window = (u32)-1, .flags = flags};
	struct flow *flow;

	copy(fresh.local, local, 16);
	/* Fails with EEXIST if another CPU was faster; the entry of that CPU is used then. */
	bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST);
	flow = find_flow(key);
	if (!flow)
		count(TABLE_FULL);
	return flow;
}

/* A wakeup costs more than everything else here. So the agent polls, and is woken only if the ring fills up. */
INLINE void emit(struct flow *flow, const struct flow_key *key, u64 now, u64 bytes)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	u64 wakeup = BPF_RB_NO_WAKEUP;

	if (!event) {
		/* FLOW_EMITTED stays unset, so the flow's next packet tries again. */
		count(RING_FULL);
		return;
	}
	flow->flags |= FLOW_EMITTED;
	event->key = *key;
	copy(event->local, flow->local, 16);
	event->time = now;
	event->bytes = bytes;
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&events, BPF_RB_RING_SIZE) / 4)
		wakeup = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_submit(event, wakeup);
}

INLINE void add_packets(struct flow *flow, const struct flow_key *key, bool from_client, u64 packets, u64 bytes, u64 now)
{
	u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&control, &zero);

	if (c) {
		/* Read once: the agent may begin a new window meanwhile. */
		u32 window = *(volatile u32 *)&c->window;

		if (flow->window != window) {
			flow->window_first[window & 1] = now;
			flow->window = window;
		}
	}
	flow->last = now;
	if (from_client)
		add(flow->client_packets, packets);
	else
		add(flow->server_packets, packets);
	add(flow->bytes, bytes);
	if (!(flow->flags & FLOW_EMITTED))
		emit(flow, key, now, bytes);
}

/* Whether the packet was sent by the end that opened the connection. */
INLINE bool sent_by_client(u8 hook, u8 role)
{
	return (hook == EGRESS) == (role == LOCAL_IS_CLIENT);
}

INLINE void add_packet(struct flow *flow, const struct flow_key *key, const struct packet *p, u64 now)
{
	add_packets(flow, key, sent_by_client(p->hook, key->role), p->segments, p->bytes, now);
}

/* The client's port and initial number identify an attempt. The same pair again is a retransmission. */
INLINE void add_opening(struct flow *flow, u16 client_port, u32 opening)
{
	u64 this = ((u64)client_port << 32) | opening;

	if (flow->last_opening == this)
		return;
	flow->last_opening = this;
	/* The programs see this connection from its start, so the server is known. */
	flow->flags &= ~FLOW_GUESSED;
	add(flow->opened, 1);
}

/* Answers never exceed attempts: a retransmitted answer is not counted. */
INLINE bool awaits_answer(const struct flow *flow)
{
	return flow->established + flow->refused < flow->opened;
}

INLINE struct flow *find_or_make_flow(const struct flow_key *key, const u8 *local, u64 now)
{
	struct flow *flow = find_flow(key);

	return flow ? flow : make_flow(key, local, now, 0);
}

/* Counts a TCP SYN or an SCTP INIT: the attempt and its packet. Returns false if the table has no room. */
INLINE bool add_attempt(struct flow_key *key, struct __sk_buff *skb, const struct packet *p, enum role role, u64 now)
{
	struct flow *flow;

	fill_key(key, skb, p, role);
	flow = find_or_make_flow(key, p->local, now);
	if (!flow)
		return false;
	add_opening(flow, role == LOCAL_IS_CLIENT ? p->local_port : p->remote_port, p->opening);
	add_packet(flow, key, p, now);
	return true;
}
