package box

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	// staticPods is the folder of static pods, which kubelet runs without the API server.
	staticPods = "/run/kubernetes/manifests"
)

// node is a machine of the cluster: containerd, kubelet and kube-proxy, in namespaces and cgroups of their own. Their files are in
// memory and disappear with them, except logs.
func node(arguments []string) error {
	box, err := inherited()
	if err != nil {
		return err
	}
	name := arguments[0]
	number, err := strconv.Atoi(strings.TrimPrefix(name, "node-"))
	if err != nil {
		return err
	}
	// A byte arrives when the link to the LAN exists.
	if _, err := os.NewFile(3, "link").Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("the network was not created: %w", err)
	}
	if err := ownCgroups(box, name); err != nil {
		return fmt.Errorf("cgroups: %w", err)
	}
	if err := ownFiles(); err != nil {
		return err
	}
	if err := configureNode(box, number); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := writeNodeConfigurations(box, number); err != nil {
		return err
	}
	// containerd finds its shim on PATH, and kube-proxy finds iptables.
	if err := os.Setenv("PATH", box.Bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", "/run/tmp"); err != nil {
		return err
	}
	own := newProcesses(box)
	if _, err := own.start(name+"-containerd", syscall.SysProcAttr{}, nil, box.bin("containerd"), "--config=/run/containerd.toml"); err != nil {
		return err
	}
	if err := awaitSocket(own, containerdSocket); err != nil {
		return err
	}
	if err := importImage(box, "", box.bin("pause.tar")); err != nil {
		return err
	}
	for _, part := range [][]string{
		{"kubelet", "--config=/run/kubelet.yaml", "--kubeconfig=" + box.path("pki", name+".kubeconfig"), "--hostname-override=" + name,
			"--node-ip=" + strings.Join(box.nodeAddresses(number), ","), "--root-dir=/var/lib/kubelet", "--cert-dir=/run/kubelet"},
		{"kube-proxy", "--config=/run/kube-proxy.yaml", "--hostname-override=" + name},
	} {
		command := append([]string{box.bin("foretell-box")}, part...)
		if _, err := own.start(name+"-"+part[0], syscall.SysProcAttr{}, nil, command...); err != nil {
			return err
		}
	}
	if err := importImage(box, "", box.bin("coredns.tar")); err != nil {
		return err
	}
	return <-own.ended
}

// ownFiles hides the host's state from the node and the node's state from the host.
func ownFiles() error {
	for _, folder := range []string{"/run", "/var/lib", "/var/log"} {
		// /var/run may be a link to /run, or the other way round.
		resolved, err := filepath.EvalSymlinks(folder)
		if err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", resolved, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
			return fmt.Errorf("tmpfs on %s: %w", folder, err)
		}
	}
	for _, folder := range []string{"/run/tmp", "/run/containerd", "/run/kubelet", "/run/cni", staticPods, "/var/lib/kubelet", "/var/log/pods"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	// Pods can request to share mounts with the node. Shared mounts stay inside this node.
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

func awaitSocket(own *processes, path string) error {
	deadline := time.After(patience)
	for {
		if connection, err := net.Dial("unix", path); err == nil {
			return connection.Close()
		}
		select {
		case ended := <-own.ended:
			return ended
		case <-deadline:
			return fmt.Errorf("no process listens on %s after %v", path, patience)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// importImage imports an archive into the containerd of the node whose file system is at root.
func importImage(box *Box, root, archive string) error {
	output, err := exec.Command(box.bin("ctr"), "--address", root+containerdSocket, "--namespace", "k8s.io",
		"images", "import", archive).CombinedOutput()
	if err != nil {
		return fmt.Errorf("image %s: %w: %s", archive, err, output)
	}
	return nil
}
