/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* UDP and SCTP. A known flow is looked up in both roles; of an unknown one the first packet decides. */
#pragma once
#include "tcp.h"

#define SCTP_INIT 1
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6

/* In the likelier role first: the lower port is the server's more often than not. */
INLINE struct flow *find_either(struct flow_key *key, struct __sk_buff *skb, const struct packet *p)
{
	enum role first = p->remote_port < p->local_port ? LOCAL_IS_CLIENT : LOCAL_IS_SERVER;
	struct flow *flow;

	name_flow(key, skb, p, first);
	flow = find_flow(key);
	if (flow)
		return flow;
	turn_flow(key, p, first == LOCAL_IS_CLIENT ? LOCAL_IS_SERVER : LOCAL_IS_CLIENT);
	return find_flow(key);
}

/* Of a flow not seen before, the sender is the client, as connection tracking would have it, with two exceptions: a socket
 * that is connected asked first; and what goes from a server's kind of port to a client's is an answer, to a question
 * from before these programs were there, or sent through another address (a Service's, to a client in the host's network).
 * Returns whether it was guessed. */
INLINE bool decide_role(const struct packet *p, enum role *role, bool connected, bool settled)
{
	u16 sender = p->hook == EGRESS ? p->local_port : p->remote_port;
	u16 receiver = p->hook == EGRESS ? p->remote_port : p->local_port;
	bool looks_asked = sender >= EPHEMERAL && receiver < EPHEMERAL;
	bool looks_answered = sender < EPHEMERAL && receiver >= EPHEMERAL;

	if (p->hook == EGRESS) {
		*role = looks_answered && !settled ? LOCAL_IS_SERVER : LOCAL_IS_CLIENT;
		return !settled && !looks_asked && (looks_answered || !connected);
	}
	*role = connected || looks_answered ? LOCAL_IS_CLIENT : LOCAL_IS_SERVER;
	return !connected && (looks_answered || (!settled && !looks_asked));
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
		/* A raw socket is given a copy of what comes in: not for it. */
		sk = bpf_sk_fullsock(sk);
		if (!sk || (sk->type == SOCK_RAW && p->hook == INGRESS))
			return;
		guessed = decide_role(p, &role, sk->dst_port != 0, c && now >= c->settled);
		turn_flow(&key, p, role);
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
	if (!load(skb, p->offset + 12, &p->what, 1)) {
		count(UNPARSABLE);
		return;
	}
	if (p->what == SCTP_INIT) {
		if (!load(skb, p->offset + 16, &p->opening, 4)) {
			count(UNPARSABLE);
			return;
		}
		name_flow(&key, skb, p, role);
		flow = find_flow(&key);
		if (!flow)
			flow = make_flow(&key, p->local, now, 0);
		if (!flow)
			return;
		add_opening(flow, role == LOCAL_IS_CLIENT ? p->local_port : p->remote_port, p->opening);
		add_packet(flow, &key, p, now);
		return;
	}
	flow = find_either(&key, skb, p);
	if (!flow) {
		bool guessed = false;

		if (p->what == SCTP_ABORT)
			return;
		if (p->what == SCTP_INIT_ACK)
			role = p->hook == EGRESS ? LOCAL_IS_SERVER : LOCAL_IS_CLIENT;
		else
			guessed = decide_role(p, &role, false, false);
		turn_flow(&key, p, role);
		flow = make_flow(&key, p->local, now, guessed ? FLOW_GUESSED : 0);
		if (!flow)
			return;
		add(flow->opened, 1);
		add(flow->established, 1);
	} else if (!sent_by_client(p->hook, key.role) && awaits_answer(flow)) {
		if (p->what == SCTP_ABORT)
			add(flow->refused, 1);
		else
			add(flow->established, 1);
	}
	add_packet(flow, &key, p, now);
}
