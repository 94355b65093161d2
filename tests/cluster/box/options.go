// Package box starts a Kubernetes cluster of one machine: a control plane, and if asked for nodes with real pods, each in
// namespaces of its own. Nothing of it outlives the process that started it but empty cgroup folders, and those go with
// the next start.
package box

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Commands of the program that are not parts of Kubernetes. All but the first four are for the program itself.
var Commands = map[string]func([]string) error{
	"up":   up,
	"down": down,
	"load": load,
	"exec": execute,
	"init": initialise,
	"site": func([]string) error { return site() },
	"node": node,
}

// Box is what every process of one box knows about it.
type Box struct {
	// ID names what has to be told from other boxes': the cgroup folders.
	ID string
	// Dir holds all of its files, outside of the nodes' own.
	Dir string
	// Bin holds this program and those that it starts.
	Bin string
	// Nodes is how many real ones there are; 0 is a control plane alone.
	Nodes int
	// SimulatedNodes is how many nodes kwok plays.
	SimulatedNodes int
	// DualStack gives IPv6 addresses too.
	DualStack bool
	// APIAddress is where the API server listens, as those beside it see it.
	APIAddress string
	APIPort    int
	// HostServer is the API server's URL as the host sees it.
	HostServer string
}

func parseUp(arguments []string) (*Box, error) {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for everything that it writes; made if absent")
	size := flags.String("size", "node", "control-plane: API server, etcd, controller-manager (needs no root); node: real pods too (root)")
	nodes := flags.Int("nodes", 1, "real nodes, 1 to 9, with --size node")
	simulated := flags.Int("simulated-nodes", 0, "nodes and pods played by kwok")
	family := flags.String("ip-family", "dual", "addresses of pods and Services: ipv4 or dual")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("up takes no argument %q", flags.Arg(0))
	}
	box := &Box{SimulatedNodes: *simulated, DualStack: *family == "dual"}
	switch {
	case *dir == "":
		return nil, fmt.Errorf("--dir is required: a folder for everything that it writes")
	case *family != "dual" && *family != "ipv4":
		return nil, fmt.Errorf("--ip-family %q: it is ipv4 or dual", *family)
	case *simulated < 0 || *simulated > 1000:
		return nil, fmt.Errorf("--simulated-nodes %d: it is 0 to 1000", *simulated)
	case *size == "control-plane":
	case *size != "node":
		return nil, fmt.Errorf("--size %q: it is control-plane or node", *size)
	case *nodes < 1 || *nodes > 9:
		return nil, fmt.Errorf("--nodes %d: it is 1 to 9", *nodes)
	default:
		box.Nodes = *nodes
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	box.Bin = filepath.Dir(program)
	if box.Dir, err = filepath.Abs(*dir); err != nil {
		return nil, err
	}
	// The longest path of a Unix socket is 107 bytes.
	if longest := box.path("run", "control.sock"); len(longest) > 107 {
		return nil, fmt.Errorf("--dir %s: too long for sockets below it, by %d bytes", box.Dir, len(longest)-107)
	}
	return box, nil
}

func (box *Box) path(parts ...string) string {
	return filepath.Join(append([]string{box.Dir}, parts...)...)
}

func (box *Box) bin(name string) string { return filepath.Join(box.Bin, name) }

func (box *Box) isolated() bool { return box.Nodes > 0 }

func (box *Box) save() error {
	text, err := json.MarshalIndent(box, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(box.path("box.json"), append(text, '\n'), 0o600)
}

func loadBox(dir string) (*Box, error) {
	text, err := os.ReadFile(filepath.Join(dir, "box.json"))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("no box was started in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	box := new(Box)
	return box, json.Unmarshal(text, box)
}

// A child finds its box by the environment.
const dirVariable = "FORETELL_BOX_DIR"

func inherited() (*Box, error) {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return nil, fmt.Errorf("this command is for the box's own processes")
	}
	return loadBox(dir)
}

func fprintJSON(writer io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(writer, "%s\n", text)
	return err
}
