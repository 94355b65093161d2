package box

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// A message of a process of the box to `up`, over a socket in the box's folder.
type message struct {
	// Place is the name of a network whose first process sends this: "site" or a node's name.
	Place string `json:",omitempty"`
	// Phase is a step of the start that is done.
	Phase string `json:",omitempty"`
	// Ready is true when everything works.
	Ready bool `json:",omitempty"`

	// pid is the sender's process ID in the receiver's PID namespace.
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

// listen receives messages until the process ends.
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
		return received, fmt.Errorf("invalid message: %w", err)
	}
	received.pid = int(credentials.Pid)
	return received, nil
}
