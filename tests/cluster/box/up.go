package box

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The line of JSON that is printed on standard output when the cluster is ready.
type summary struct {
	Kubeconfig string         `json:"kubeconfig"`
	Server     string         `json:"server"`
	Logs       string         `json:"logs"`
	Pid        int            `json:"pid"`
	Places     map[string]int `json:"places"`
	Seconds    float64        `json:"seconds"`
}

// up starts a box and runs until it gets a signal, or with --attached until standard input closes.
func up(arguments []string) (err error) {
	attached := false
	for index, argument := range arguments {
		if argument == "--attached" {
			attached = true
			arguments = append(arguments[:index:index], arguments[index+1:]...)
			break
		}
	}
	box, err := parseUp(arguments)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := lacking(box); err != nil {
		return err
	}
	if err := sweep(); err != nil {
		return err
	}
	began := time.Now()
	held, err := claim(box)
	if err != nil {
		return err
	}
	defer held.Close()
	defer func() {
		if removed := os.RemoveAll(box.Dir); removed != nil && err == nil {
			err = removed
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if attached {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop <- syscall.SIGHUP
		}()
	}
	if err := furnish(box); err != nil {
		return err
	}
	if box.isolated() {
		lock, err := createCgroups(box)
		if lock != nil {
			defer lock.Close()
		}
		defer func() { _ = removeCgroups(box) }()
		if err != nil {
			return fmt.Errorf("cannot create cgroups: %w", err)
		}
	}
	messages, err := listen(box)
	if err != nil {
		return err
	}
	own := newProcesses(box)
	site, err := startSite(box, own)
	if err != nil {
		return err
	}
	defer endSite(box, site)
	reached := summary{Kubeconfig: box.path("kubeconfig"), Server: box.HostServer, Logs: box.path("logs"), Pid: os.Getpid(),
		Places: map[string]int{}}
	phase := func(text string) { fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(began).Seconds(), text) }
	for {
		select {
		case <-stop:
			phase("stopping")
			return nil
		case err := <-own.ended:
			return fmt.Errorf("the cluster did not start: %w", err)
		case message := <-messages:
			switch {
			case message.Place != "":
				reached.Places[message.Place] = message.pid
			case message.Phase != "":
				phase(message.Phase)
			case message.Ready:
				reached.Seconds = time.Since(began).Seconds()
				if err := writePlaces(box, reached.Places); err != nil {
					return err
				}
				phase("ready")
				if err := fprintJSON(os.Stdout, reached); err != nil {
					return err
				}
			}
		}
	}
}

// lacking returns an error that names what this machine or this user lacks.
func lacking(box *Box) error {
	if !box.isolated() {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("nodes need root: run it with sudo, or with --size control-plane")
	}
	wanted := []string{"iptables", "iptables-save", "iptables-restore"}
	if box.DualStack {
		wanted = append(wanted, "ip6tables")
	}
	for _, program := range wanted {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is missing, which kube-proxy needs: apt-get install iptables", program)
		}
	}
	// Nodes have their own tmpfs there.
	for _, hidden := range []string{"/run/", "/var/run/", "/var/lib/", "/var/log/"} {
		for _, path := range []string{box.Dir, box.Bin} {
			if strings.HasPrefix(path+"/", hidden) {
				return fmt.Errorf("%s: nodes cannot see what is below %s; choose another folder", path, hidden)
			}
		}
	}
	return nil
}

// claim creates the box's folder and returns the lock that marks it as in use.
func claim(box *Box) (*os.File, error) {
	entries, err := os.ReadDir(box.Dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(box.path("box.lock")); err != nil {
			return nil, fmt.Errorf("--dir %s: the folder is not empty and is not that of a box", box.Dir)
		}
		// A box that was killed leaves its files.
		held, err := lockFile(box)
		if err != nil {
			return nil, err
		}
		held.Close()
		if err := os.RemoveAll(box.Dir); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{"", "run", "logs", "pki", "bin"} {
		if err := os.MkdirAll(box.path(folder), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(box.path("pki"), 0o700); err != nil {
		return nil, err
	}
	held, err := lockFile(box)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(held, "%d\n", os.Getpid())
	return held, err
}

func lockFile(box *Box) (*os.File, error) {
	file, err := os.OpenFile(box.path("box.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("a box is running in %s; stop it first: foretell-box down --dir %[1]s", box.Dir)
	}
	return file, nil
}

// furnish writes the files that processes of the box read.
func furnish(box *Box) error {
	id := make([]byte, 5)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	box.ID = hex.EncodeToString(id)
	var err error
	if box.isolated() {
		box.APIAddress, box.APIPort = siteAddress, 6443
		port, err := relayFromHost(box)
		if err != nil {
			return err
		}
		box.HostServer = fmt.Sprintf("https://127.0.0.1:%d", port)
	} else {
		box.APIAddress = "127.0.0.1"
		if box.APIPort, err = freePort(); err != nil {
			return err
		}
		box.HostServer = fmt.Sprintf("https://127.0.0.1:%d", box.APIPort)
	}
	if err := issueAll(box); err != nil {
		return err
	}
	if err := os.Symlink(box.bin("kubectl"), box.path("bin", "kubectl")); err != nil {
		return err
	}
	return box.save()
}

// freePort returns a port that is free now. If another process uses it first, the API server ends with an error.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func startSite(box *Box, own *processes) (*process, error) {
	if !box.isolated() {
		return own.start("site", syscall.SysProcAttr{}, nil, box.bin("foretell-box"), "site")
	}
	namespaces := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC)
	return own.start("site", syscall.SysProcAttr{Cloneflags: namespaces}, nil, box.bin("foretell-box"), "init", "site")
}

// endSite ends all processes of the box and returns when none is left.
func endSite(box *Box, site *process) {
	if box.isolated() {
		// When the first process of a PID namespace ends, all others end before its end is reported.
		_ = site.cmd.Process.Kill()
	} else {
		_ = site.cmd.Process.Signal(syscall.SIGTERM)
	}
	<-site.done
}

func removeCgroups(box *Box) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range all {
		if err := removeCgroup(hierarchy.folder(box.ID)); err != nil {
			return err
		}
	}
	return nil
}

// down stops the box of a folder, if one is running, and removes the remains of boxes that were killed.
func down(arguments []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder that was given to up")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *dir == "" {
		return fmt.Errorf("--dir is required: the folder that was given to up")
	}
	box := &Box{Dir: *dir}
	if _, err := os.Stat(box.path("box.lock")); err == nil {
		if err := stopRunning(box); err != nil {
			return err
		}
		if err := os.RemoveAll(box.Dir); err != nil {
			return err
		}
	}
	return sweep()
}

func stopRunning(box *Box) error {
	file, err := os.Open(box.path("box.lock"))
	if err != nil {
		return err
	}
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		return nil // The box was killed.
	}
	line, err := bufio.NewReader(file).ReadString('\n')
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return err
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		return fmt.Errorf("cannot stop the box, process %d: %w", pid, err)
	}
	// The lock is released when the process has ended.
	return unix.Flock(int(file.Fd()), unix.LOCK_EX)
}
