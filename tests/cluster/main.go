// The cluster in a box: one program that contains every component of a Kubernetes cluster, and starts them.
//
// Its name (a link named kubectl runs kubectl) or its first argument selects the component.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/foretell-dev/foretell/tests/cluster/box"
	"github.com/foretell-dev/foretell/tests/cluster/component"
)

const usage = `usage: foretell-box up --dir DIR [--size control-plane|node] [--nodes N] [--simulated-nodes N] [--ip-family ipv4|dual]
       foretell-box down --dir DIR              stop it, and remove every trace of it and of boxes that were killed
       foretell-box load --dir DIR IMAGE.tar... give container images to every node
       foretell-box exec --dir DIR PLACE -- COMMAND...
                                                run a command in the network of node-1, node-2 or outside
       foretell-box kubectl|kubelet|...         a part of Kubernetes, with its own arguments`

// A child is killed when the thread that started it ends, so that has to be the main thread of the process.
func init() { runtime.LockOSThread() }

func main() {
	name, arguments := filepath.Base(os.Args[0]), os.Args[1:]
	if !component.Known(name) {
		if len(arguments) == 0 {
			fmt.Fprintln(os.Stderr, usage)
			os.Exit(2)
		}
		name, arguments = arguments[0], arguments[1:]
	}
	if component.Known(name) {
		os.Args = append([]string{name}, arguments...)
		component.Run(name)
		return
	}
	command, known := box.Commands[name]
	if !known {
		fmt.Fprintf(os.Stderr, "foretell-box: there is no command %q\n%s\n", name, usage)
		os.Exit(2)
	}
	if err := command(arguments); err != nil {
		fmt.Fprintf(os.Stderr, "foretell-box: %v\n", err)
		os.Exit(1)
	}
}
