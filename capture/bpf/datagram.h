/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* UDP and SCTP. A known flow is looked up in both roles. For an unknown one, the first packet decides the role. */
#pragma once
#include "tcp.h"

#define SCTP_INIT 1
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6

/* Tries the more likely role first: the lower port is usually the server's. */
INLINE struct flow *find_either(struct flow_key *key, struct __sk_buff *skb, const struct packet *p)
{
	enum role first = p->remote_port < p->local_port ? LOCAL_IS_CLIENT : LOCAL_IS_SERVER;
	struct flow *flow;

	fill_key(key, skb, p, first);
	flow = find_flow(key);
	if (flow)
		return flow;
	set_role(key, p, first == LOCAL_IS_CLIENT ? LOCAL_IS_SERVER : LOCAL_IS_CLIENT);
	return find_flow(key);
}

/* The sender of a new flow's first packet is the client, as in connection tracking. There are two exceptions. A connected
 * socket is a client that has sent before. A packet from a server's port to an ephemeral port is an answer: its request came
 * before the programs were attached, or used another address (a Service's, from a client in the host's network).
 * Returns whether the role is a guess. */
INLINE bool decide_role(const struct packet *p, enum role *role, bool connected, bool settled)
{
	u16 sender = p->hook == EGRESS ? p->local_port : p->remote_port;
	u16 receiver = p->hook == EGRESS ? p->remote_port : p->local_port;
	bool like_request = sender >= EPHEMERAL && receiver < EPHEMERAL;
	bool like_answer = sender < EPHEMERAL && receiver >= EPHEMERAL;

	if (p->hook == EGRESS) {
		*role = like_answer && !settled ? LOCAL_IS_SERVER : LOCAL_IS_CLIENT;
		return !settled && !like_request && (like_answer || !connected);
	}
	*role = connected || like_answer ? LOCAL_IS_CLIENT : LOCAL_IS_SERVER;
	return !connected && (like_answer || (!settled && !like_request));
}

INLINE void on_udp(struct __sk_buff *skb, struct packet *p)
{
	u64 now = bpf_ktime_get_ns();
	struct bpf_sock *sk = skb->sk;
	struct flow_key key;
	struct flow *flow;

	if (read_ends(skb, p) != WATCH)
		return;
	flow = find_either(&key, skb, p);
	if (!flow) {
		u32 zero = 0;
		struct control *c = bpf_map_lookup_elem(&control, &zero);
		enum role role;
		bool guessed;

		if (!sk)
			return;
		/* A raw socket receives copies of incoming packets that are addressed to other sockets. */
		sk = bpf_sk_fullsock(sk);
		if (!sk || (sk->type == SOCK_RAW && p->hook == INGRESS))
			return;
		guessed = decide_role(p, &role, sk->dst_port != 0, c && now >= c->settled);
		set_role(&key, p, role);
		flow = make_flow(&key, p->local, now, guessed ? FLOW_GUESSED : 0);
		if (!flow)
			return;
	}
	add_packet(flow, &key, p, now);
}

INLINE void on_sctp(struct __sk_buff *skb, struct packet *p)
{
	u64 now = bpf_ktime_get_ns();
	enum role role = p->hook == EGRESS ? LOCAL_IS_CLIENT : LOCAL_IS_SERVER;
	struct flow_key key;
	struct flow *flow;

	if (read_ends(skb, p) != WATCH)
		return;
	/* RFC 9260: a common header of 12 bytes, then chunks; INIT, INIT ACK and ABORT come first in their packet. */
	if (!load(skb, p->offset + 12, &p->kind, 1)) {
		count(UNPARSABLE);
		return;
	}
	if (p->kind == SCTP_INIT) {
		if (!load(skb, p->offset + 16, &p->opening, 4)) {
			count(UNPARSABLE);
			return;
		}
		add_attempt(&key, skb, p, role, now);
		return;
	}
	flow = find_either(&key, skb, p);
	if (!flow) {
		bool guessed = false;

		if (p->kind == SCTP_ABORT)
			return;
		if (p->kind == SCTP_INIT_ACK)
			role = p->hook == EGRESS ? LOCAL_IS_SERVER : LOCAL_IS_CLIENT;
		else
			guessed = decide_role(p, &role, false, false);
		set_role(&key, p, role);
		flow = make_flow(&key, p->local, now, guessed ? FLOW_GUESSED : 0);
		if (!flow)
			return;
		add(flow->opened, 1);
		add(flow->established, 1);
	} else if (!sent_by_client(p->hook, key.role) && awaits_answer(flow)) {
		if (p->kind == SCTP_ABORT)
			add(flow->refused, 1);
		else
			add(flow->established, 1);
	}
	add_packet(flow, &key, p, now);
}
