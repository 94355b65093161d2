package box

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// A process that has to live as long as its box.
type process struct {
	name string
	cmd  *exec.Cmd
	// done is closed when it has ended.
	done chan struct{}
}

// processes of one supervisor. The first that ends tells so.
type processes struct {
	box   *Box
	ended chan error
	all   []*process
}

func newProcesses(box *Box) *processes {
	return &processes{box: box, ended: make(chan error, 64)}
}

// start runs a command whose output goes to a file named after it. It is killed when this process ends.
func (processes *processes) start(name string, attributes syscall.SysProcAttr, files []*os.File, arguments ...string) (*process, error) {
	log := processes.box.path("logs", name+".log")
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.Command(arguments[0], arguments[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), dirVariable+"="+processes.box.Dir)
	attributes.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = &attributes
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s does not start: %w", name, err)
	}
	started := &process{name: name, cmd: cmd, done: make(chan struct{})}
	processes.all = append(processes.all, started)
	go func() {
		err := cmd.Wait()
		defer close(started.done)
		if err == nil {
			err = fmt.Errorf("exit status 0")
		}
		processes.ended <- fmt.Errorf("%s ended: %w\n%s", name, err, lastLines(log, 12))
	}()
	return started, nil
}

// component starts a part of Kubernetes that this program is.
func (processes *processes) component(name string, arguments ...string) error {
	_, err := processes.start(name, syscall.SysProcAttr{}, nil, append([]string{processes.box.bin("foretell-box"), name}, arguments...)...)
	return err
}

// kill ends all of them and returns when they have ended.
func (processes *processes) kill() {
	for _, process := range processes.all {
		_ = process.cmd.Process.Kill()
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
