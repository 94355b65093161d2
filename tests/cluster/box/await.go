package box

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

//go:embed objects/dns.yaml
var dns []byte

//go:embed objects/stages.yaml
var stagesOfSimulation []byte

// applyAddons installs DNS, which pods expect in every cluster.
func applyAddons(box *Box) error {
	file := box.path("run", "dns.yaml")
	if err := os.WriteFile(file, dns, 0o644); err != nil {
		return err
	}
	output, err := exec.Command(box.bin("foretell-box"), "kubectl", "--kubeconfig="+box.path("pki", "admin.kubeconfig"),
		"--cache-dir="+box.path("run", "kubectl"), "create", "--filename="+file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("DNS cannot be applied: %w: %s", err, output)
	}
	return nil
}

// awaitAll returns when everything in the box works.
func awaitAll(box *Box, client *kubernetes.Clientset) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, each := range []struct {
		phase  string
		wanted bool
		met    func() (bool, error)
	}{
		{"service accounts exist", true, func() (bool, error) {
			_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{})
			return err == nil, err
		}},
		{"nodes are ready", box.Nodes+box.SimulatedNodes > 0, func() (bool, error) { return nodesReady(ctx, client) }},
		{"simulated pods run", box.SimulatedNodes > 0, func() (bool, error) { return firstSimulatedPod(ctx, client) }},
		{"DNS answers", box.Nodes > 0, func() (bool, error) {
			deployment, err := client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", meta.GetOptions{})
			return err == nil && deployment.Status.AvailableReplicas > 0, err
		}},
	} {
		if !each.wanted {
			continue
		}
		if err := await(ctx, each.met); err != nil {
			return fmt.Errorf("not within %v: %s: %w", patience, each.phase, err)
		}
		if err := announce(box, message{Phase: each.phase}); err != nil {
			return err
		}
	}
	return nil
}

// firstSimulatedPod creates and deletes a pod before all others. kwok creates its pool of addresses for the first pod. If two first
// pods are created at once, each gets a pool, and later pods get the same addresses.
func firstSimulatedPod(ctx context.Context, client *kubernetes.Clientset) (bool, error) {
	const name = "first-simulated"
	pods := client.CoreV1().Pods("default")
	pod, err := pods.Get(ctx, name, meta.GetOptions{})
	if errors.IsNotFound(err) {
		_, err = pods.Create(ctx, &core.Pod{
			ObjectMeta: meta.ObjectMeta{Name: name},
			Spec:       core.PodSpec{NodeName: "simulated-1", Containers: []core.Container{{Name: "none", Image: "none"}}},
		}, meta.CreateOptions{})
		return false, err
	}
	if err != nil || pod.Status.PodIP == "" {
		return false, err
	}
	var atOnce int64
	err = pods.Delete(ctx, name, meta.DeleteOptions{GracePeriodSeconds: &atOnce})
	return err == nil, err
}

func await(ctx context.Context, met func() (bool, error)) error {
	for {
		is, err := met()
		if is {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return err
			}
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func nodesReady(ctx context.Context, client *kubernetes.Clientset) (bool, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, meta.ListOptions{})
	if err != nil {
		return false, err
	}
	for _, node := range nodes.Items {
		ready := false
		for _, condition := range node.Status.Conditions {
			ready = ready || condition.Type == core.NodeReady && condition.Status == core.ConditionTrue
		}
		if !ready {
			return false, fmt.Errorf("node %s is not ready", node.Name)
		}
	}
	return true, nil
}
