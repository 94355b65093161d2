package box

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Every box has a folder with this name and its ID in each cgroup hierarchy, and each node has a folder below it. A running box has
// a lock on its folder of the unified hierarchy. A folder without a lock was left by a box that was killed.
const cgroupPrefix = "foretell-box-"

// The folder of a node's daemons, below the node's folder. Pods are in kubepods beside it.
const systemCgroup = "system"

type hierarchy struct {
	// mount is the path of its mount.
	mount string
	// unified is true for cgroup v2.
	unified bool
}

// hierarchies lists the cgroup mounts of this process: one on a machine with cgroup v2 only, a dozen on others.
func hierarchies() ([]hierarchy, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []hierarchy
	seen := map[string]bool{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) == 0 || !strings.HasPrefix(kind[0], "cgroup") || seen[fields[2]] {
			continue
		}
		// A hierarchy that is mounted twice has the same device number twice.
		seen[fields[2]] = true
		found = append(found, hierarchy{mount: fields[4], unified: kind[0] == "cgroup2"})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for _, each := range found {
		if each.unified {
			return found, nil
		}
	}
	return nil, fmt.Errorf("cgroup2 is not mounted: real nodes need it (--size control-plane does not)")
}

func (hierarchy hierarchy) folder(id string, below ...string) string {
	return filepath.Join(append([]string{hierarchy.mount, cgroupPrefix + id}, below...)...)
}

// createCgroups creates the box's folders and returns the lock that marks the box as running.
func createCgroups(box *Box) (*os.File, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var lock *os.File
	for _, hierarchy := range all {
		if err := createCgroup(hierarchy, hierarchy.folder(box.ID)); err != nil {
			return nil, err
		}
		if hierarchy.unified {
			if lock, err = os.Open(hierarchy.folder(box.ID)); err != nil {
				return nil, err
			}
			if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
				return nil, err
			}
		}
		for number := 1; number <= box.Nodes; number++ {
			if err := createCgroup(hierarchy, hierarchy.folder(box.ID, nodeName(number))); err != nil {
				return nil, err
			}
		}
	}
	return lock, nil
}

func createCgroup(hierarchy hierarchy, folder string) error {
	parent := filepath.Dir(folder)
	if hierarchy.unified {
		if err := delegate(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	if hierarchy.unified {
		return nil
	}
	// A new folder of the cpuset hierarchy accepts processes only after its processors and memory are set.
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), value, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// delegate enables the controllers of a cgroup v2 folder in its child folders.
func delegate(folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(text)) {
		// A controller may be unavailable, such as cpu if there are real-time processes. kubelet works without it or names it.
		_ = os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
	return nil
}

// enterNodeCgroups moves this process into a node's folders.
func enterNodeCgroups(box *Box, node string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range all {
		if err := enter(hierarchy.folder(box.ID, node), "0"); err != nil {
			return err
		}
	}
	return nil
}

func enter(folder, pid string) error {
	return os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(pid), 0o644)
}

// ownCgroups makes the node's folders the roots of all hierarchies for this process, the first in its cgroup namespace, and moves
// it into a folder of its own, so that pods can have folders beside it.
func ownCgroups(box *Box, node string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range all {
		if err := unix.Mount(hierarchy.folder(box.ID, node), hierarchy.mount, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot mount the node's cgroup on %s: %w", hierarchy.mount, err)
		}
		system := filepath.Join(hierarchy.mount, systemCgroup)
		if err := createCgroup(hierarchy, system); err != nil {
			return err
		}
		// Move the first process of the PID namespace, which waits for this one, and this one.
		for _, pid := range []string{"1", "0"} {
			if err := enter(system, pid); err != nil {
				return err
			}
		}
		if hierarchy.unified {
			// Only now the folder itself has no processes, which cgroup v2 requires.
			if err := delegate(hierarchy.mount); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep removes the cgroups and processes of boxes that were killed.
func sweep() error {
	all, err := hierarchies()
	if err != nil {
		return nil // Without cgroup2 no box with nodes can have run.
	}
	dead := map[string]bool{}
	for _, hierarchy := range all {
		entries, err := os.ReadDir(hierarchy.mount)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			id, ours := strings.CutPrefix(entry.Name(), cgroupPrefix)
			if !ours {
				continue
			}
			if _, known := dead[id]; !known {
				dead[id] = !alive(all, id)
			}
			if dead[id] {
				if err := removeCgroup(hierarchy.folder(id)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func alive(all []hierarchy, id string) bool {
	for _, hierarchy := range all {
		if !hierarchy.unified {
			continue
		}
		folder, err := os.Open(hierarchy.folder(id))
		if err != nil {
			return false
		}
		defer folder.Close()
		return unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
	}
	return false
}

// removeCgroup removes a folder and those in it, and ends the processes that are still in them.
func removeCgroup(folder string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := removeOnce(folder)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot remove the cgroup %s: %w", folder, err)
		}
		// Killed processes leave their folder with a delay.
		time.Sleep(20 * time.Millisecond)
	}
}

func removeOnce(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeOnce(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	err = unix.Rmdir(folder)
	if errors.Is(err, unix.EBUSY) {
		killAll(folder)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func killAll(folder string) {
	text, _ := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	for _, line := range strings.Fields(string(text)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil && pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}
