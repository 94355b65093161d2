package box

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// Places are the networks of a box: each node's, and the one outside the cluster. Each is identified by its first process.

func writePlaces(box *Box, pids map[string]int) error {
	text, err := json.Marshal(pids)
	if err != nil {
		return err
	}
	return os.WriteFile(box.path("run", "places.json"), text, 0o600)
}

func readPlaces(dir string) (map[string]int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "run", "places.json"))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("no box is running in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	pids := map[string]int{}
	return pids, json.Unmarshal(text, &pids)
}

// load imports container images into every node. Archives may have the OCI layout or Docker's format.
func load(arguments []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder that was given to up")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *dir == "" || flags.NArg() == 0 {
		return fmt.Errorf("usage: foretell-box load --dir DIR IMAGE.tar...")
	}
	box, err := loadBox(*dir)
	if err != nil {
		return err
	}
	pids, err := readPlaces(*dir)
	if err != nil {
		return err
	}
	loaded := false
	for place, pid := range pids {
		if !strings.HasPrefix(place, "node-") {
			continue
		}
		for _, archive := range flags.Args() {
			if err := importImage(box, fmt.Sprintf("/proc/%d/root", pid), archive); err != nil {
				return fmt.Errorf("%s: %w", place, err)
			}
		}
		loaded = true
	}
	if !loaded {
		return fmt.Errorf("the box in %s has no nodes to load images into", *dir)
	}
	return nil
}

// execute replaces this process by a command in the network of a place. Other namespaces stay the same.
func execute(arguments []string) error {
	flags := flag.NewFlagSet("exec", flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder that was given to up")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	rest := flags.Args()
	if len(rest) > 1 && rest[1] == "--" {
		rest = append(rest[:1:1], rest[2:]...)
	}
	if *dir == "" || len(rest) < 2 {
		return fmt.Errorf("usage: foretell-box exec --dir DIR node-1|outside -- COMMAND...")
	}
	pids, err := readPlaces(*dir)
	if err != nil {
		return err
	}
	pid, known := pids[strings.Replace(rest[0], "outside", "site", 1)]
	if !known {
		names := []string{"outside"}
		for name := range pids {
			if name != "site" {
				names = append(names, name)
			}
		}
		sort.Strings(names)
		return fmt.Errorf("there is no place %q; places are %s", rest[0], strings.Join(names, ", "))
	}
	enter, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("nsenter is missing: apt-get install util-linux")
	}
	command := append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", pid), "--"}, rest[1:]...)
	return syscall.Exec(enter, command, os.Environ())
}
