package box

import (
	"io"
	"net"
)

// The API server listens in a network of its own, which no link joins to the host's: a link would want addresses that
// nobody else uses, and a firewall that lets them pass. What the host says on a loopback port is passed on over a socket
// in the box's folder instead.

// relayFromHost listens on a free port of the host and returns it.
func relayFromHost(box *Box) (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	go relay(listener, "unix", box.path("run", "api.sock"))
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// relayFromSocket passes on what comes through the socket, inside.
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
