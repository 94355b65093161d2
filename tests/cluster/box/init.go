package box

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// initialise is the first process of a new PID namespace: it has the namespaces that it was cloned into look as they
// should, starts the one command that they are for, and collects whatever ends. When that command ends, so does it, and the
// kernel kills the rest.
//
//	init site            the control plane and the network between nodes
//	init node NAME       a node
func initialise(arguments []string) error {
	box, err := inherited()
	if err != nil {
		return err
	}
	// What is mounted from here on is seen here alone.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	place := arguments[len(arguments)-1]
	if err := unix.Sethostname([]byte(place)); err != nil {
		return err
	}
	if err := announce(box, message{Place: place}); err != nil {
		return err
	}
	command := exec.Command("/proc/self/exe", arguments...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if arguments[0] == "node" {
		// The folder that the node's processes are in becomes the root of all that they see.
		if err := enterNodeCgroups(box, place); err != nil {
			return err
		}
		command.SysProcAttr.Cloneflags = unix.CLONE_NEWCGROUP
		// The parent holds the other end until the node's link stands.
		command.ExtraFiles = []*os.File{os.NewFile(3, "link")}
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	if err := command.Start(); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case pid == command.Process.Pid:
			// Why, it has said itself.
			os.Exit(max(status.ExitStatus(), 1))
		}
	}
}
