package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// roleKey makes a host of hostKey one that starts another one, or is started by it.
const roleKey = "CGROUP_ROLE"

func anyGroup(string) error { return nil }

// older is a host that has moved aside, and ends while the process that it has started goes on.
func older(own, controller string) error {
	tree, err := enter(own, anyGroup, []string{controller})
	if err != nil {
		return err
	}
	if tree.moved == "" {
		return fmt.Errorf("the host has not moved aside: %s", tree.missing)
	}
	heir := exec.Command(os.Args[0])
	heir.Env = append(os.Environ(), roleKey+"=newer")
	heir.Stderr = os.Stdout
	in, err := heir.StdinPipe()
	if err != nil {
		return err
	}
	out, err := heir.StdoutPipe()
	if err != nil {
		return err
	}
	if err := heir.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil && line == "ready\n" {
		err = tree.Close()
	} else {
		err = fmt.Errorf("the newer host says %q: %w", line, err)
	}
	if has := words(filepath.Join(own, "cgroup.subtree_control")); !slices.Contains(has, controller) {
		err = errors.Join(err, fmt.Errorf("the children of %s have the controllers %q after the older host", own, has))
	}
	return errors.Join(err, in.Close(), heir.Wait())
}

// newer is started by a host that has moved aside.
func newer(outer, controller string) error {
	own, err := ownGroup("/proc/self/mountinfo", "/proc/self/cgroup")
	if err != nil {
		return err
	}
	if filepath.Dir(own) != outer {
		return fmt.Errorf("the newer host begins in %s, expected a group in %s", own, outer)
	}
	tree, err := enter(own, anyGroup, []string{controller})
	if err != nil {
		return err
	}
	if filepath.Dir(tree.Path()) != outer || tree.Has(controller) != nil || filepath.Dir(tree.moved) != outer || tree.moved == own {
		return fmt.Errorf("the newer host has moved to %q, its groups are in %s: %w", tree.moved, tree.Path(), tree.Has(controller))
	}
	g, err := tree.Make("g", Limits{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // until the older one has closed its tree
		return err
	}
	if has := words(filepath.Join(g.Path(), "cgroup.controllers")); !slices.Contains(has, controller) {
		return fmt.Errorf("the older host has taken the controllers from the group of the newer one: found %q", has)
	}
	return errors.Join(g.Close(), tree.Close())
}

// A host that another one replaces had moved aside: the new one makes its groups beside the old one's, with the same controllers, and keeps them when the
// old one ends.
func TestAHostThatTakesOver(t *testing.T) {
	dir, controller, g := handed(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), hostKey+"="+dir+" "+controller, roleKey+"=older")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Fd())}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("an older host and a newer one: %v\n%s", err, out)
	}
}
