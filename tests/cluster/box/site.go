package box

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// How long each component may take to start.
const patience = 3 * time.Minute

// site runs the control plane, and the network between nodes if there are any.
func site() error {
	box, err := inherited()
	if err != nil {
		return err
	}
	// Without a PID namespace it has to stop its children itself.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	own := newProcesses(box)
	defer own.kill()
	if box.isolated() {
		if err := buildLAN(box); err != nil {
			return fmt.Errorf("cannot build the network between nodes: %w", err)
		}
	}
	if err := startAPI(box, own); err != nil {
		return err
	}
	client, err := awaitAPI(box, own, stop)
	if err != nil || client == nil {
		return err
	}
	if err := startControllers(box, own); err != nil {
		return err
	}
	if err := startNodes(box, own, client); err != nil {
		return err
	}
	if err := startSimulation(box, own, client); err != nil {
		return err
	}
	up := make(chan error, 1)
	go func() { up <- awaitAll(box, client) }()
	for {
		select {
		case <-stop:
			return nil
		case err := <-own.ended:
			return err
		case err := <-up:
			if err != nil {
				return err
			}
			if err := announce(box, message{Ready: true}); err != nil {
				return err
			}
		}
	}
}

// startAPI starts etcd and the API server.
func startAPI(box *Box, own *processes) error {
	pki := func(name string) string { return box.path("pki", name) }
	socket := box.path("run", "etcd.sock")
	if err := own.component("etcd", "--data-dir", box.path("etcd"), "--client-socket", socket,
		"--peer-socket", box.path("run", "peer.sock")); err != nil {
		return err
	}
	apiServer := []string{
		"--etcd-servers=unix://" + socket,
		"--bind-address=" + box.APIAddress,
		"--advertise-address=" + box.APIAddress,
		"--secure-port=" + strconv.Itoa(box.APIPort),
		"--tls-cert-file=" + pki("api-server.crt"),
		"--tls-private-key-file=" + pki("api-server.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("api-server-kubelet-client.crt"),
		"--kubelet-client-key=" + pki("api-server-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("service-accounts.key"),
		"--service-account-signing-key-file=" + pki("service-accounts.key"),
		"--service-cluster-ip-range=" + box.families(serviceRange4, serviceRange6),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--profiling=false",
	}
	if !box.isolated() {
		// The Service "kubernetes" may not have a loopback address.
		apiServer = append(apiServer, "--endpoint-reconciler-type=none")
	}
	if box.Nodes > 0 {
		// There is no kube-proxy beside the API server, so it has to call webhooks at the endpoints of their Services. Without nodes
		// there are no endpoints, and the flag is off: it refuses Services of type ExternalName, with which tests make the API server
		// call a webhook on this machine.
		apiServer = append(apiServer, "--enable-aggregator-routing=true")
	}
	return own.lasting("kube-apiserver", apiServer...)
}

// startControllers starts the controller-manager and the scheduler. They poll the API server once a second, so it should be ready.
func startControllers(box *Box, own *processes) error {
	pki := func(name string) string { return box.path("pki", name) }
	if err := own.component("kube-controller-manager",
		"--kubeconfig="+pki("controller-manager.kubeconfig"),
		"--authentication-kubeconfig="+pki("controller-manager.kubeconfig"),
		"--authorization-kubeconfig="+pki("controller-manager.kubeconfig"),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		// The controller-manager first requests a token for each of its forty controllers.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--root-ca-file="+pki("ca.crt"),
		"--service-account-private-key-file="+pki("service-accounts.key"),
		"--cluster-signing-cert-file="+pki("ca.crt"),
		"--cluster-signing-key-file="+pki("ca.key"),
		"--secure-port=0",
		"--profiling=false",
	); err != nil {
		return err
	}
	if box.Nodes+box.SimulatedNodes == 0 {
		return nil
	}
	return own.component("kube-scheduler", "--kubeconfig="+pki("scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0",
		"--authentication-kubeconfig="+pki("scheduler.kubeconfig"), "--authorization-kubeconfig="+pki("scheduler.kubeconfig"))
}

// awaitAPI returns a client when the API server is ready, or nil if the box is stopped before.
func awaitAPI(box *Box, own *processes, stop <-chan os.Signal) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", box.path("pki", "admin.kubeconfig"))
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	if box.isolated() {
		if err := relayFromSocket(box, net.JoinHostPort(box.APIAddress, strconv.Itoa(box.APIPort))); err != nil {
			return nil, err
		}
	}
	deadline := time.After(patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		cancel()
		if err == nil {
			return client, announce(box, message{Phase: "etcd and the API server answer"})
		}
		select {
		case <-stop:
			return nil, nil
		case ended := <-own.ended:
			return nil, ended
		case <-deadline:
			return nil, fmt.Errorf("the API server was not ready after %v: %w", patience, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
