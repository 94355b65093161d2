/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Reads a packet's headers. A cgroup_skb program's packet starts at its network header. */
#pragma once
#include "flow.h"

enum hook { EGRESS = 0, INGRESS = 1 };

/* RFC 8200 sets no limit. Legitimate packets have fewer. */
#define MAX_EXTENSION_HEADERS 6

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct packet {
	enum hook hook;
	u32 bytes, segments;
	bool v6;
	u8 protocol;
	u8 kind;     /* TCP flags, or the type of the first SCTP chunk */
	u32 offset;  /* of the transport header */
	u32 opening; /* initial sequence number or initiate tag */
	u16 local_port, remote_port;
	u8 local[16], remote[16];
};

enum verdict { WATCH, SKIP };

/* How many packets on the wire a segmentation offload buffer stands for. */
INLINE u32 segments(struct __sk_buff *skb)
{
	u32 n = skb->gso_segs;

	return n > 1 ? n : 1;
}

INLINE bool load(struct __sk_buff *skb, u32 offset, void *to, u32 size)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	/* The headers are usually in the linear part, but this is not guaranteed. */
	if (offset < 0x4000 && data + offset + size <= end) {
		copy(to, data + offset, size);
		return true;
	}
	return bpf_skb_load_bytes(skb, offset, to, size) == 0;
}

INLINE enum verdict skip_extensions(struct __sk_buff *skb, struct packet *p)
{
	struct {
		u8 next, length;
		u16 fragment;
	} extension;
	u32 at = 40;
	u8 next = p->protocol;

	for (int i = 0; i <= MAX_EXTENSION_HEADERS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH) {
			p->protocol = next;
			p->offset = at;
			return WATCH;
		}
		if (bpf_skb_load_bytes(skb, at, &extension, sizeof(extension)) != 0)
			break;
		if (next == IPPROTO_FRAGMENT) {
			if (ntohs(extension.fragment) & 0xfff8) {
				count(FRAGMENTS);
				return SKIP;
			}
			at += 8;
		} else if (next == IPPROTO_AH) {
			at += ((u32)extension.length + 2) * 4;
		} else {
			at += ((u32)extension.length + 1) * 8;
		}
		next = extension.next;
	}
	count(UNPARSABLE);
	return SKIP;
}

/* Reads the protocol and the offset of the transport header only: a TCP data packet needs no more. */
INLINE enum verdict read_network(struct __sk_buff *skb, struct packet *p)
{
	u8 head[12];

	if (!load(skb, 0, head, sizeof(head))) {
		count(UNPARSABLE);
		return SKIP;
	}
	if (head[0] >> 4 == 4) {
		p->v6 = false;
		p->protocol = head[9];
		p->offset = (u32)(head[0] & 15) * 4;
		/* Only the first fragment has the ports. */
		if (((u32)(head[6] & 0x1f) << 8) | head[7]) {
			count(FRAGMENTS);
			return SKIP;
		}
		return WATCH;
	}
	if (head[0] >> 4 != 6) {
		count(UNPARSABLE);
		return SKIP;
	}
	p->v6 = true;
	p->protocol = head[6];
	p->offset = 40;
	if (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP)
		return WATCH;
	return skip_extensions(skb, p);
}

INLINE bool is_loopback(const u8 *a)
{
	const u32 *w = (const u32 *)a;

	if (w[0] || w[1])
		return false;
	return w[2] == 0 ? w[3] == 0x01000000 : a[12] == 127;
}

INLINE bool is_multicast(const u8 *a)
{
	const u32 *w = (const u32 *)a;

	if (a[0] == 0xff)
		return true;
	return w[0] == 0 && w[1] == 0 && w[2] == 0xffff0000 && ((a[12] & 0xf0) == 0xe0 || w[3] == 0xffffffff);
}

/* Reads addresses and ports. NetworkPolicy does not apply to loopback traffic inside a pod, and a multicast or broadcast
 * packet has no peer that a NetworkPolicy could select. Both are skipped; multicast and broadcast are counted. */
INLINE enum verdict read_ends(struct __sk_buff *skb, struct packet *p)
{
	u8 addresses[32] __attribute__((aligned(8))) = {};
	u16 ports[2];
	u8 *from = addresses, *to = addresses + 16;

	if (p->v6) {
		if (!load(skb, 8, addresses, 32))
			goto unparsable;
	} else {
		if (!load(skb, 12, from + 12, 4) || !load(skb, 16, to + 12, 4))
			goto unparsable;
		*(u32 *)(from + 8) = 0xffff0000;
		*(u32 *)(to + 8) = 0xffff0000;
	}
	if (!load(skb, p->offset, ports, sizeof(ports)))
		goto unparsable;
	if (is_loopback(from) || is_loopback(to))
		return SKIP;
	if (is_multicast(to) ||
	    (p->hook == INGRESS && (skb->pkt_type == PACKET_BROADCAST || skb->pkt_type == PACKET_MULTICAST))) {
		count(MULTICAST);
		return SKIP;
	}
	if (p->hook == EGRESS) {
		copy(p->local, from, 16);
		copy(p->remote, to, 16);
		p->local_port = ntohs(ports[0]);
		p->remote_port = ntohs(ports[1]);
	} else {
		copy(p->local, to, 16);
		copy(p->remote, from, 16);
		p->local_port = ntohs(ports[1]);
		p->remote_port = ntohs(ports[0]);
	}
	return WATCH;

unparsable:
	count(UNPARSABLE);
	return SKIP;
}
