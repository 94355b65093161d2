package box

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// startNodes starts the real nodes. It writes their pod ranges first, so that routes exist before pods.
func startNodes(box *Box, own *processes, client *kubernetes.Clientset) error {
	for number := 1; number <= box.Nodes; number++ {
		name := nodeName(number)
		node := &core.Node{
			ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}},
			Spec:       core.NodeSpec{PodCIDR: podSubnet4(number), PodCIDRs: box.podSubnets(number)},
		}
		if _, err := client.CoreV1().Nodes().Create(context.Background(), node, meta.CreateOptions{}); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
		if err := startNode(box, own, number); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	if box.Nodes == 0 {
		return nil
	}
	return applyAddons(box)
}

func startNode(box *Box, own *processes, number int) error {
	wait, release, err := os.Pipe()
	if err != nil {
		return err
	}
	defer wait.Close()
	defer release.Close()
	namespaces := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC)
	name := nodeName(number)
	started, err := own.start(name, syscall.SysProcAttr{Cloneflags: namespaces}, []*os.File{wait},
		box.bin("foretell-box"), "init", "node", name)
	if err != nil {
		return err
	}
	if err := linkNode(box, number, started.cmd.Process.Pid); err != nil {
		return err
	}
	_, err = release.Write([]byte{'.'})
	return err
}

// startSimulation starts kwok, which simulates nodes and their pods.
func startSimulation(box *Box, own *processes, client *kubernetes.Clientset) error {
	if box.SimulatedNodes == 0 {
		return nil
	}
	stages := box.path("run", "stages.yaml")
	if err := os.WriteFile(stages, stagesOfSimulation, 0o644); err != nil {
		return err
	}
	if _, err := own.start("kwok", syscall.SysProcAttr{}, nil, box.bin("kwok"),
		"--kubeconfig="+box.path("pki", "admin.kubeconfig"),
		"--config="+stages,
		"--manage-all-nodes=false",
		"--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
		"--node-ip=192.0.2.1",
		"--cidr="+simulatedRange,
		"--node-lease-duration-seconds=40",
	); err != nil {
		return err
	}
	for number := 1; number <= box.SimulatedNodes; number++ {
		name := fmt.Sprintf("simulated-%d", number)
		node := &core.Node{ObjectMeta: meta.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"kubernetes.io/hostname": name, "type": "kwok"},
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
		}}
		if box.Nodes > 0 {
			// Pods that have to run on real nodes are not scheduled here.
			node.Spec.Taints = []core.Taint{{Key: "kwok.x-k8s.io/node", Value: "fake", Effect: core.TaintEffectNoSchedule}}
		}
		if _, err := client.CoreV1().Nodes().Create(context.Background(), node, meta.CreateOptions{}); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	return nil
}
