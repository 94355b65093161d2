/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Counts every packet of the cgroups below the one where the programs are attached. Never drops a packet. */
#include "datagram.h"

INLINE int watch(struct __sk_buff *skb, enum hook hook)
{
	struct packet p;

	if (tally_only(skb, hook))
		return 1;
	p.hook = hook;
	p.bytes = skb->len;
	p.segments = segments(skb);
	if (read_network(skb, &p) != WATCH)
		return 1;
	if (p.protocol == IPPROTO_TCP)
		on_tcp(skb, &p);
	else if (p.protocol == IPPROTO_UDP)
		on_udp(skb, &p);
	else if (p.protocol == IPPROTO_SCTP)
		on_sctp(skb, &p);
	return 1;
}

SEC("cgroup_skb/egress")
int foretell_egress(struct __sk_buff *skb)
{
	return watch(skb, EGRESS);
}

SEC("cgroup_skb/ingress")
int foretell_ingress(struct __sk_buff *skb)
{
	return watch(skb, INGRESS);
}

char LICENSE[] SEC("license") = "GPL";
