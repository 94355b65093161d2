package box

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process that has to run as long as its box.
type process struct {
	name string
	// done is closed when it has ended and is not started again.
	done chan struct{}
	// again is true if it is started again when it ends.
	again bool

	lock     sync.Mutex
	cmd      *exec.Cmd
	stopping bool
}

// A process that ends sooner after its start is broken; it is not started again.
const works = 5 * time.Second

// processes of one supervisor. The channel gets the first one that ends.
type processes struct {
	box   *Box
	ended chan error
	all   []*process
}

func newProcesses(box *Box) *processes {
	return &processes{box: box, ended: make(chan error, 64)}
}

// start runs a command with its output in a log file of its name. The kernel kills it when this process ends.
func (processes *processes) start(name string, attributes syscall.SysProcAttr, files []*os.File, arguments ...string) (*process, error) {
	return processes.run(&process{name: name}, attributes, files, arguments...)
}

// component starts a component of Kubernetes.
func (processes *processes) component(name string, arguments ...string) error {
	return processes.componentAs(&process{name: name}, arguments...)
}

// lasting starts a component that is started again when it ends, as clusters do with API servers.
func (processes *processes) lasting(name string, arguments ...string) error {
	return processes.componentAs(&process{name: name, again: true}, arguments...)
}

func (processes *processes) componentAs(process *process, arguments ...string) error {
	command := append([]string{processes.box.bin("foretell-box"), process.name}, arguments...)
	_, err := processes.run(process, syscall.SysProcAttr{}, nil, command...)
	return err
}

func (processes *processes) run(process *process, attributes syscall.SysProcAttr, files []*os.File, arguments ...string) (*process, error) {
	log := processes.box.path("logs", process.name+".log")
	attributes.Pdeathsig = syscall.SIGKILL
	start := func() error {
		process.lock.Lock()
		defer process.lock.Unlock()
		if process.stopping {
			return fmt.Errorf("the box is stopping")
		}
		output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer output.Close()
		cmd := exec.Command(arguments[0], arguments[1:]...)
		cmd.Stdout, cmd.Stderr = output, output
		cmd.ExtraFiles = files
		cmd.Env = append(os.Environ(), dirVariable+"="+processes.box.Dir)
		cmd.SysProcAttr = &attributes
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("%s did not start: %w", process.name, err)
		}
		process.cmd = cmd
		return nil
	}
	if err := start(); err != nil {
		return nil, err
	}
	process.done = make(chan struct{})
	processes.all = append(processes.all, process)
	go func() {
		defer close(process.done)
		for {
			began := time.Now()
			err := process.cmd.Wait()
			if process.again && time.Since(began) > works && start() == nil {
				continue
			}
			if err == nil {
				err = fmt.Errorf("exit status 0")
			}
			processes.ended <- fmt.Errorf("%s ended: %w\n%s", process.name, err, lastLines(log, 12))
			return
		}
	}()
	return process, nil
}

// kill kills all processes and returns when they have ended.
func (processes *processes) kill() {
	for _, process := range processes.all {
		process.lock.Lock()
		process.stopping = true
		_ = process.cmd.Process.Kill()
		process.lock.Unlock()
	}
	for _, process := range processes.all {
		<-process.done
	}
}

func lastLines(path string, count int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(lines) > count {
		lines = lines[len(lines)-count:]
	}
	var shown strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&shown, "    %.400s\n", line)
	}
	return shown.String() + "    (" + path + ")"
}
