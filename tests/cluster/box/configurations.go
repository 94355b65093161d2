package box

import (
	"fmt"
	"os"
	"strings"
)

// PauseImage is the image of the process that keeps each pod's namespaces.
const pauseImage = "foretell.dev/box/pause:1"

// writeNodeConfigurations writes the configuration files of a node's daemons.
func writeNodeConfigurations(box *Box, number int) error {
	for path, text := range map[string]string{
		"/run/containerd.toml":           containerdConfiguration(box),
		"/run/cni/net.d/10-box.conflist": cniConfiguration(box, number),
		"/run/kubelet.yaml":              kubeletConfiguration(box, number),
		"/run/kube-proxy.yaml":           proxyConfiguration(box, number),
		"/run/resolv.conf":               "# There is no DNS outside the cluster.\n",
	} {
		if err := os.MkdirAll(path[:strings.LastIndex(path, "/")], 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func containerdConfiguration(box *Box) string {
	// Without CAP_SYS_RESOURCE, as in many containers, no process can lower its OOM score.
	return fmt.Sprintf(`version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
address = %q

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [%[2]q]
conf_dir = "/run/cni/net.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = %[3]q
SystemdCgroup = false

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %[4]q
`, containerdSocket, box.Bin, box.bin("runc"), pauseImage)
}

func cniConfiguration(box *Box, number int) string {
	ranges, routes := fmt.Sprintf(`[{"subnet": %q}]`, podSubnet4(number)), `{"dst": "0.0.0.0/0"}`
	if box.DualStack {
		ranges += fmt.Sprintf(`, [{"subnet": %q}]`, podSubnet6(number))
		routes += `, {"dst": "::/0"}`
	}
	// Not the bridge plugin: if a Service's backend and its client share a bridge, replies bypass the node, and with it NAT.
	return fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "box", "plugins": [{"type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "/run/cni/addresses", "ranges": [%s], "routes": [%s]}}]}
`, ranges, routes)
}

func kubeletConfiguration(box *Box, number int) string {
	name := nodeName(number)
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
tlsCertFile: %s
tlsPrivateKeyFile: %s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %s}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://%s
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
# What the machine has less of than a kubelet expects is the machine's affair: a box is thrown away before it matters.
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%"}
imageGCHighThresholdPercent: 100
clusterDNS: [%s]
clusterDomain: cluster.local
resolvConf: /run/resolv.conf
staticPodPath: %s
podLogsDir: /var/log/pods
volumePluginDir: /var/lib/kubelet/volumeplugins
`, nodeAddress4(number), box.path("pki", name+".crt"), box.path("pki", name+".key"), box.path("pki", "ca.crt"),
		containerdSocket, dnsAddress, staticPods)
}

func proxyConfiguration(box *Box, number int) string {
	// nftables mode needs a kernel that can list tables of unsupported families; iptables works everywhere.
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %s}
mode: iptables
clusterCIDR: %s
bindAddress: %s
conntrack: {maxPerCore: 0}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
`, box.path("pki", "proxy.kubeconfig"), box.families(podRange4, podRange6), nodeAddress4(number))
}
