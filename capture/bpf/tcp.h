/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* TCP. Handshakes go to the flow table. Later packets add to a tally in the socket's storage, which is moved into the table
 * after some time, or when the connection ends. */
#pragma once
#include "table.h"

/* A span is 25 ms (CONFIG_HZ=1000) to 250 ms (CONFIG_HZ=100) long. In each span, the first SPAN_MOVES packets of a connection
 * are moved into the table at once. Later ones are moved with the first packet of the next span, so only the end of a dense
 * burst can lag, until the next packet. */
#define SPAN_JIFFIES 25
#define SPAN_MOVES 8
#define EPHEMERAL 32768

INLINE void move_tally(struct connection *c, u8 hook)
{
	struct tally *tally = &c->tallies[hook & 1];
	u64 packets = tally->packets, bytes = tally->bytes, now = bpf_ktime_get_ns();
	struct flow *flow = find_flow(&c->key);

	if (!flow) {
		/* The entry was evicted: make a new one, which is announced again. */
		u32 flags = c->flags & CONNECTION_GUESSED ? FLOW_GUESSED : 0;

		if (c->flags & CONNECTION_ESTABLISHED)
			flags |= FLOW_RESUMED;
		flow = make_flow(&c->key, c->local, now, flags);
	}
	if (!flow)
		return;
	add_packets(flow, &c->key, sent_by_client(hook, c->key.role), packets, bytes, now);
	tally->packets = 0;
	tally->bytes = 0;
}

/* Counts the answer that the client gets to its attempt. Not called for data packets. */
INLINE void read_answer(struct connection *c, const struct packet *p)
{
	struct flow *flow;

	if (c->key.role != LOCAL_IS_CLIENT || p->hook != INGRESS || (c->flags & CONNECTION_ANSWERED))
		return;
	if (!(p->kind & (TCP_SYN | TCP_RST)))
		return;
	c->flags |= p->kind & TCP_RST ? CONNECTION_ANSWERED : CONNECTION_ANSWERED | CONNECTION_ESTABLISHED;
	flow = find_or_make_flow(&c->key, c->local, bpf_ktime_get_ns());
	if (!flow)
		return;
	if (p->kind & TCP_RST)
		add(flow->refused, 1);
	else
		add(flow->established, 1);
}

/* The fast path, which handles most packets: a data packet of a connection that has a tally, if the tally is not due to be
 * moved. Returns false if the packet needs the slow path. */
INLINE bool tally_only(struct __sk_buff *skb, enum hook hook)
{
	const u8 *packet = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct bpf_sock *sk = skb->sk;
	struct connection *c;
	struct tally *tally;
	u8 flags;

	if (!sk || packet + 40 > end)
		return false;
	if (packet[0] == 0x45) {
		if (packet[9] != IPPROTO_TCP || (*(const u16 *)(packet + 6) & htons(0x1fff)))
			return false;
		flags = packet[33];
	} else {
		if (packet[0] >> 4 != 6 || packet[6] != IPPROTO_TCP || packet + 60 > end)
			return false;
		flags = packet[53];
	}
	if (flags & (TCP_SYN | TCP_FIN | TCP_RST))
		return false;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return false;
	c = bpf_sk_storage_get(&connections, sk, 0, 0);
	if (!c || (c->flags & CONNECTION_CLOSING))
		return false;
	tally = &c->tallies[hook];
	if (tally->moves < SPAN_MOVES || bpf_jiffies64() - tally->since >= SPAN_JIFFIES)
		return false;
	tally->packets += segments(skb);
	tally->bytes += skb->len;
	return true;
}

INLINE void on_connection(struct connection *c, const struct packet *p)
{
	struct tally *tally = &c->tallies[p->hook & 1];
	u64 jiffies = bpf_jiffies64();

	tally->packets += p->segments;
	tally->bytes += p->bytes;
	if (p->kind & (TCP_SYN | TCP_FIN | TCP_RST)) {
		read_answer(c, p);
		if (p->kind & (TCP_FIN | TCP_RST))
			c->flags |= CONNECTION_CLOSING;
	} else if (jiffies - tally->since >= SPAN_JIFFIES) {
		tally->since = jiffies;
		tally->moves = 0;
	} else if (tally->moves >= SPAN_MOVES && !(c->flags & CONNECTION_CLOSING)) {
		return;
	}
	tally->moves++;
	move_tally(c, p->hook);
}

/* Gives the socket a tally. Returns false if the kernel has no memory: then each packet takes the slow path, and nothing is
 * lost. */
INLINE bool make_tally(struct bpf_sock *sk, const struct flow_key *key, const struct packet *p, u32 flags)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!c)
		return false;
	c->key = *key;
	copy(c->local, p->local, 16);
	c->opening = p->opening;
	c->flags = flags;
	return true;
}

INLINE bool has_listener(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	bool listens;

	/* The remote port is 0, which no connection has, so this finds only listeners. */
	if (p->v6) {
		copy(tuple.ipv6.saddr, p->remote, 16);
		copy(tuple.ipv6.daddr, p->local, 16);
		tuple.ipv6.dport = htons(p->local_port);
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		copy(tuple.ipv4.saddr, p->remote + 12, 4);
		copy(tuple.ipv4.daddr, p->local + 12, 4);
		tuple.ipv4.dport = htons(p->local_port);
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	listens = sk->state == TCP_LISTEN;
	bpf_sk_release(sk);
	return listens;
}

INLINE void on_opening(struct __sk_buff *skb, struct packet *p, struct bpf_sock *connection, u64 now)
{
	enum role role = p->hook == EGRESS ? LOCAL_IS_CLIENT : LOCAL_IS_SERVER;
	struct connection *c = 0;
	struct flow_key key;

	if (connection)
		c = bpf_sk_storage_get(&connections, connection, 0, 0);
	if (c && c->opening == p->opening) { /* a retransmission */
		on_connection(c, p);
		return;
	}
	if (add_attempt(&key, skb, p, role, now) && connection && role == LOCAL_IS_CLIENT)
		make_tally(connection, &key, p, 0);
}

/* After the SYN and until the connection has its own socket, its packets belong to the listener. The client's ACK completes
 * the handshake: a half-open scan is not a connection. */
INLINE void on_listener(struct __sk_buff *skb, struct packet *p, u64 now)
{
	struct flow_key key;
	struct flow *flow;

	fill_key(&key, skb, p, LOCAL_IS_SERVER);
	flow = find_flow(&key);
	if (!flow) {
		if (p->kind & TCP_RST)
			return;
		/* Its SYN came before the programs were attached. */
		flow = make_flow(&key, p->local, now, 0);
		if (!flow)
			return;
		add(flow->opened, 1);
	}
	if (awaits_answer(flow)) {
		if (p->hook == INGRESS && (p->kind & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK)
			add(flow->established, 1);
		else if (p->hook == EGRESS && (p->kind & TCP_RST))
			add(flow->refused, 1);
	}
	add_packet(flow, &key, p, now);
}

/* A connection's socket that has no tally yet: it was just accepted, or is older than these programs. */
INLINE void on_new_socket(struct __sk_buff *skb, struct packet *p, struct bpf_sock *sk, u64 now)
{
	u32 state = sk->state, flags = 0;
	enum role role = LOCAL_IS_SERVER;
	struct flow_key key;
	struct flow *flow;
	bool counts;

	if (state == TCP_CLOSE)
		return;
	fill_key(&key, skb, p, role);
	flow = state == TCP_SYN_SENT ? 0 : find_flow(&key);
	if (flow) {
		/* TCP Fast Open makes the socket before the handshake is complete. */
		if (state == TCP_SYN_RECV && p->hook == INGRESS && (p->kind & TCP_ACK) && awaits_answer(flow))
			add(flow->established, 1);
		make_tally(sk, &key, p, CONNECTION_ANSWERED | CONNECTION_ESTABLISHED);
		add_packet(flow, &key, p, now);
		return;
	}
	if (state == TCP_SYN_SENT || (state != TCP_SYN_RECV && !has_listener(skb, p))) {
		role = LOCAL_IS_CLIENT;
		/* An end without a listener is the client, unless its listener has closed. */
		if (state != TCP_SYN_SENT && !(p->local_port >= EPHEMERAL && p->remote_port < EPHEMERAL))
			flags |= CONNECTION_GUESSED;
		set_role(&key, p, role);
		flow = find_flow(&key);
	}
	if (state != TCP_SYN_SENT)
		flags |= CONNECTION_ANSWERED | CONNECTION_ESTABLISHED;
	/* Counts as a connection once: when its entry is made, or when its socket gets a tally. */
	counts = make_tally(sk, &key, p, flags) || !flow;
	if (!flow)
		flow = make_flow(&key, p->local, now, flags & CONNECTION_GUESSED ? FLOW_GUESSED : 0);
	if (!flow)
		return;
	if (counts) {
		add(flow->opened, 1);
		if (state != TCP_SYN_SENT)
			add(flow->established, 1);
	}
	add_packet(flow, &key, p, now);
}

INLINE void on_tcp(struct __sk_buff *skb, struct packet *p)
{
	struct bpf_sock *sk = skb->sk, *connection = 0;
	struct connection *c;
	struct {
		u32 sequence, acknowledged;
		u8 offset, flags;
	} __attribute__((packed)) tcp;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	if (!load(skb, p->offset + 4, &tcp, sizeof(tcp))) {
		count(UNPARSABLE);
		return;
	}
	p->kind = tcp.flags;
	p->opening = tcp.sequence;
	if (sk->type == SOCK_STREAM && sk->state != TCP_LISTEN)
		connection = sk;
	if (connection && (tcp.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN) {
		c = bpf_sk_storage_get(&connections, connection, 0, 0);
		if (c) {
			on_connection(c, p);
			return;
		}
	}
	if (read_ends(skb, p) != WATCH)
		return;
	if ((tcp.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		/* A raw socket receives copies of incoming packets and is not a listener. A SYN that it sends is an attempt. */
		if (p->hook == EGRESS || sk->type == SOCK_STREAM)
			on_opening(skb, p, connection, bpf_ktime_get_ns());
	} else if (connection) {
		on_new_socket(skb, p, connection, bpf_ktime_get_ns());
	} else if (sk->type == SOCK_STREAM) {
		on_listener(skb, p, bpf_ktime_get_ns());
	}
}
