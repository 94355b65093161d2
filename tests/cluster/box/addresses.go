package box

import (
	"fmt"
	"net"
)

// Every box has the same addresses, because no link joins their networks. Outside the cluster are the ranges that RFC 5737 and
// RFC 3849 reserve for documentation: a process in the network called outside may use any address of them.
const (
	siteAddress  = "192.168.64.1"
	siteAddress6 = "fd00:64::1"

	podRange4     = "10.244.0.0/16"
	podRange6     = "fd00:10:244::/56"
	serviceRange4 = "10.96.0.0/16"
	serviceRange6 = "fd00:10:96::/112"
	// dnsAddress is the DNS server that kubelet configures in pods.
	dnsAddress = "10.96.0.10"
	// The first address of each range is the API server's.
	firstService4 = "10.96.0.1"
	firstService6 = "fd00:10:96::1"

	// externalRange is routed to the first node: addresses for externalIPs of Services.
	externalRange = "192.0.2.0/24"
)

var outsideRanges = []string{"203.0.113.0/24", "198.51.100.0/24", "2001:db8::/32"}

func nodeName(number int) string { return fmt.Sprintf("node-%d", number) }

func nodeAddress4(number int) net.IP { return net.IPv4(192, 168, 64, byte(10+number)) }
func nodeAddress6(number int) net.IP { return net.ParseIP(fmt.Sprintf("fd00:64::%d", 10+number)) }

func podSubnet4(number int) string { return fmt.Sprintf("10.244.%d.0/24", number) }
func podSubnet6(number int) string { return fmt.Sprintf("fd00:10:244:%d::/64", number) }

// simulatedSubnet is the range of addresses of simulated pods.
const simulatedRange = "10.245.0.0/16"

// families joins the IPv4 and the IPv6 value with a comma, as flags of Kubernetes need them.
func (box *Box) families(four, six string) string {
	if box.DualStack {
		return four + "," + six
	}
	return four
}

func (box *Box) nodeAddresses(number int) []string {
	addresses := []string{nodeAddress4(number).String()}
	if box.DualStack {
		addresses = append(addresses, nodeAddress6(number).String())
	}
	return addresses
}

func (box *Box) podSubnets(number int) []string {
	subnets := []string{podSubnet4(number)}
	if box.DualStack {
		subnets = append(subnets, podSubnet6(number))
	}
	return subnets
}
