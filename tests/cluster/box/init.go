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

// initialise is the first process of a new PID namespace. It sets up its namespaces, starts their command, and reaps processes
// that end. When the command ends, it ends as well, and the kernel kills the other processes.
//
//	init site            the control plane and the network between nodes
//	init node NAME       a node
func initialise(arguments []string) error {
	box, err := inherited()
	if err != nil {
		return err
	}
	// Later mounts are visible in this namespace only.
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
		// The node's folder becomes the root of the cgroups that its processes see.
		if err := enterNodeCgroups(box, place); err != nil {
			return err
		}
		command.SysProcAttr.Cloneflags = unix.CLONE_NEWCGROUP
		// The parent keeps the other end open until the node's link exists.
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
			// The command has printed the reason.
			os.Exit(max(status.ExitStatus(), 1))
		}
	}
}
