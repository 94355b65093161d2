package box

import (
	"io"
	"net"
)

// The API server listens in a network of its own, without a link to the host's network: a link would need addresses that no one
// else uses, and a firewall that allows them. Instead, connections to a loopback port of the host are forwarded through a socket in
// the box's folder.

// relayFromHost listens on a free port of the host, and returns the port.
func relayFromHost(box *Box) (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	go relay(listener, "unix", box.path("run", "api.sock"))
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// relayFromSocket forwards connections from the socket to the API server.
func relayFromSocket(box *Box, to string) error {
	listener, err := net.Listen("unix", box.path("run", "api.sock"))
	if err != nil {
		return err
	}
	go relay(listener, "tcp", to)
	return nil
}

func relay(listener net.Listener, network, address string) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go join(connection, network, address)
	}
}

type halfCloser interface {
	net.Conn
	CloseWrite() error
}

func join(client net.Conn, network, address string) {
	defer client.Close()
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		if half, able := to.(halfCloser); able {
			_ = half.CloseWrite()
		}
		done <- struct{}{}
	}
	go pass(server, client)
	go pass(client, server)
	<-done
	<-done
}
