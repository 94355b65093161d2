package box

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// What a process of the box tells to the one that holds it all together, over a socket in the box's folder.
type message struct {
	// Place is the first process of some namespaces: "site" or a node's name.
	Place string `json:",omitempty"`
	// Phase has been reached.
	Phase string `json:",omitempty"`
	// Ready is true once everything answers.
	Ready bool `json:",omitempty"`

	// pid of the sender, as the kernel numbers it for the receiver.
	pid int
}

func announce(box *Box, message message) error {
	connection, err := net.Dial("unix", box.path("run", "control.sock"))
	if err != nil {
		return err
	}
	defer connection.Close()
	return fprintJSON(connection, message)
}

// listen receives messages for as long as the process lives.
func listen(box *Box) (<-chan message, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: box.path("run", "control.sock"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	messages := make(chan message, 64)
	go func() {
		for {
			connection, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			received, err := receive(connection)
			if err == nil {
				messages <- received
			}
		}
	}()
	return messages, nil
}

func receive(connection *net.UnixConn) (message, error) {
	defer connection.Close()
	var received message
	raw, err := connection.SyscallConn()
	if err != nil {
		return received, err
	}
	var credentials *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		credentials, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return received, err
	}
	if failed != nil {
		return received, failed
	}
	line, err := bufio.NewReader(connection).ReadBytes('\n')
	if err != nil {
		return received, err
	}
	if err := json.Unmarshal(line, &received); err != nil {
		return received, fmt.Errorf("no message: %w", err)
	}
	received.pid = int(credentials.Pid)
	return received, nil
}
