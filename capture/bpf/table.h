/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The flow table: find or make an entry, add to it, tell the user side of a new one. */
#pragma once
#include "packet.h"

#define add(place, n) __sync_fetch_and_add(&(place), n)

INLINE void name_flow(struct flow_key *key, struct __sk_buff *skb, const struct packet *p, enum role role)
{
	key->cgroup = bpf_skb_cgroup_id(skb);
	copy(key->remote, p->remote, 16);
	key->port = role == LOCAL_IS_CLIENT ? p->remote_port : p->local_port;
	key->protocol = p->protocol;
	key->role = role;
	key->pad = 0;
}

/* The same ends, seen the other way round. */
INLINE void turn_flow(struct flow_key *key, const struct packet *p, enum role role)
{
	key->port = role == LOCAL_IS_CLIENT ? p->remote_port : p->local_port;
	key->role = role;
}

INLINE struct flow *find_flow(const struct flow_key *key)
{
	return bpf_map_lookup_elem(&flows, key);
}

INLINE struct flow *make_flow(const struct flow_key *key, const u8 *local, u64 now, u32 marks)
{
	struct flow fresh = {.made = now, .last = now, .window = (u32)-1, .marks = marks};
	struct flow *flow;

	copy(fresh.local, local, 16);
	/* Fails with EEXIST where another CPU was quicker: then that entry is the one. */
	bpf_map_update_elem(&flows, key, &fresh, BPF_NOEXIST);
	flow = find_flow(key);
	if (!flow)
		count(TABLE_FULL);
	return flow;
}

/* A wakeup costs more than all the rest, so the reader polls, and is woken only when the ring fills. */
INLINE void emit(struct flow *flow, const struct flow_key *key, u64 now, u64 bytes)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	u64 wakeup = BPF_RB_NO_WAKEUP;

	if (!event) {
		/* Not marked as emitted: its next packet tries again. */
		count(RING_FULL);
		return;
	}
	flow->marks |= FLOW_EMITTED;
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
		/* Read once: the user side may turn the window in between. */
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
	if (!(flow->marks & FLOW_EMITTED))
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

/* An attempt is known by the client's port and the number it chose; the same again is a repetition. */
INLINE void add_opening(struct flow *flow, u16 client_port, u32 opening)
{
	u64 this = ((u64)client_port << 32) | opening;

	if (flow->last_opening == this)
		return;
	flow->last_opening = this;
	/* Seen from its start, so who is the server is no longer a guess. */
	flow->marks &= ~FLOW_GUESSED;
	add(flow->opened, 1);
}

/* Never more answers than attempts: a repeated answer changes nothing. */
INLINE bool awaits_answer(const struct flow *flow)
{
	return flow->established + flow->refused < flow->opened;
}
