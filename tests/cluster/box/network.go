package box

import (
	"fmt"
	"net"
	"os"
	"os/exec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const bridge = "lan"

// buildLAN creates the network between the control plane and the nodes, through which nodes also reach the outside.
func buildLAN(box *Box) error {
	if err := forwarding(); err != nil {
		return err
	}
	loopback, err := setUp("lo")
	if err != nil {
		return err
	}
	lan := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}
	if err := netlink.LinkAdd(lan); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if err := addAddresses(lan, siteAddress+"/24", siteAddress6+"/64"); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lan); err != nil {
		return err
	}
	for _, outside := range outsideRanges {
		_, network, err := net.ParseCIDR(outside)
		if err != nil {
			return err
		}
		// Every address of the range is local to this network, so any process can bind it.
		route := &netlink.Route{LinkIndex: loopback.Attrs().Index, Dst: network, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("route to %s: %w", outside, err)
		}
	}
	return nil
}

// linkNode connects the network of a node's process to the LAN, and adds routes to the node's pods.
func linkNode(box *Box, number, pid int) error {
	lan, err := netlink.LinkByName(bridge)
	if err != nil {
		return err
	}
	near := nodeName(number)
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near, MasterIndex: lan.Attrs().Index}, PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("link to %s: %w", near, err)
	}
	if _, err := setUp(near); err != nil {
		return err
	}
	for _, subnet := range box.podSubnets(number) {
		if err := addRoute(subnet, box.gateway(number, subnet)); err != nil {
			return err
		}
	}
	if number == 1 {
		return addRoute(externalRange, nodeAddress4(number))
	}
	return nil
}

// gateway is the address of a node in the family of the range.
func (box *Box) gateway(number int, subnet string) net.IP {
	if address, _, _ := net.ParseCIDR(subnet); address.To4() == nil {
		return nodeAddress6(number)
	}
	return nodeAddress4(number)
}

// configureNode configures the node's side of the link.
func configureNode(box *Box, number int) error {
	if err := forwarding(); err != nil {
		return err
	}
	if _, err := setUp("lo"); err != nil {
		return err
	}
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := addAddresses(link, nodeAddress4(number).String()+"/24", nodeAddress6(number).String()+"/64"); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if err := addRoute("0.0.0.0/0", net.ParseIP(siteAddress)); err != nil {
		return err
	}
	if err := addRoute("::/0", net.ParseIP(siteAddress6)); err != nil {
		return err
	}
	for other := 1; other <= box.Nodes; other++ {
		for _, subnet := range box.podSubnets(other) {
			if other == number {
				continue
			}
			if err := addRoute(subnet, box.gateway(other, subnet)); err != nil {
				return err
			}
		}
	}
	if err := masquerade("iptables", podRange4); err != nil || !box.DualStack {
		return err
	}
	return masquerade("ip6tables", podRange6)
}

// masquerade gives packets that leave the cluster the node's address, as the CNI of a real cluster does. Pods of other nodes see
// the address of the calling pod.
func masquerade(program, pods string) error {
	output, err := exec.Command(program, "--wait", "--table", "nat", "--append", "POSTROUTING", "--source", pods,
		"!", "--destination", pods, "--jump", "MASQUERADE").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, output)
	}
	return nil
}

func setUp(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	return link, netlink.LinkSetUp(link)
}

func addAddresses(link netlink.Link, addresses ...string) error {
	for _, text := range addresses {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if address.IP.To4() == nil {
			address.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("address %s: %w", text, err)
		}
	}
	return nil
}

func addRoute(to string, gateway net.IP) error {
	_, network, err := net.ParseCIDR(to)
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: network, Gw: gateway}); err != nil {
		return fmt.Errorf("route to %s by %s: %w", to, gateway, err)
	}
	return nil
}

// forwarding makes this network namespace a router. Its addresses are unique, so duplicate address detection is off.
func forwarding() error {
	for _, setting := range []struct{ name, value string }{
		{"ipv4/ip_forward", "1"},
		{"ipv6/conf/all/forwarding", "1"},
		{"ipv6/conf/default/accept_dad", "0"},
		{"ipv6/conf/all/accept_dad", "0"},
	} {
		if err := os.WriteFile("/proc/sys/net/"+setting.name, []byte(setting.value), 0o644); err != nil {
			return err
		}
	}
	return nil
}
