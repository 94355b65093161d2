// Package box starts a Kubernetes cluster on one machine: a control plane, and optionally nodes with real pods, each in namespaces of
// its own. When the process that started it ends, only empty cgroup folders remain, and the next start removes them.
package box

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Commands of the program that are not components of Kubernetes. Only the first four are for users.
var Commands = map[string]func([]string) error{
	"up":   up,
	"down": down,
	"load": load,
	"exec": execute,
	"init": initialise,
	"site": func([]string) error { return site() },
	"node": node,
}

// Box is the data that all processes of one box share.
type Box struct {
	// ID is part of the names of cgroup folders, which must differ between boxes.
	ID string
	// Dir is the folder of all its files, except those of nodes.
	Dir string
	// Bin is the folder of this program and of those that it starts.
	Bin string
	// Nodes is the number of real nodes; with 0 there is only a control plane.
	Nodes int
	// SimulatedNodes is the number of nodes that kwok simulates.
	SimulatedNodes int
	// DualStack adds IPv6 addresses.
	DualStack bool
	// APIAddress is the address of the API server in the network of the site.
	APIAddress string
	APIPort    int
	// HostServer is the URL of the API server for the host.
	HostServer string
}

func parseUp(arguments []string) (*Box, error) {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for all files; created if missing")
	size := flags.String("size", "node", "control-plane: API server, etcd, controller-manager (needs no root); node: real pods too (root)")
	nodes := flags.Int("nodes", 1, "real nodes, 1 to 9, with --size node")
	simulated := flags.Int("simulated-nodes", 0, "nodes and pods that kwok simulates")
	family := flags.String("ip-family", "dual", "addresses of pods and Services: ipv4 or dual")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("up has no argument %q", flags.Arg(0))
	}
	box := &Box{SimulatedNodes: *simulated, DualStack: *family == "dual"}
	switch {
	case *dir == "":
		return nil, fmt.Errorf("--dir is required: a folder for all files")
	case *family != "dual" && *family != "ipv4":
		return nil, fmt.Errorf("--ip-family %q: must be ipv4 or dual", *family)
	case *simulated < 0 || *simulated > 1000:
		return nil, fmt.Errorf("--simulated-nodes %d: must be 0 to 1000", *simulated)
	case *size == "control-plane":
	case *size != "node":
		return nil, fmt.Errorf("--size %q: must be control-plane or node", *size)
	case *nodes < 1 || *nodes > 9:
		return nil, fmt.Errorf("--nodes %d: must be 1 to 9", *nodes)
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
		return nil, fmt.Errorf("there is no box in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	box := new(Box)
	return box, json.Unmarshal(text, box)
}

// A child process finds its box through an environment variable.
const dirVariable = "FORETELL_BOX_DIR"

func inherited() (*Box, error) {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return nil, fmt.Errorf("only processes of a box use this command")
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
