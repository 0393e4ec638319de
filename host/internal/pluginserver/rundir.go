package pluginserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/outrigger-gateway/outrigger/host/internal/pluginserver/reaper"
)

const (
	// maxSocketPath is the longest path that fits into a unix socket address, in bytes.
	maxSocketPath = 107
	// socketRoom is what a path of a socket has behind the run directory: go-plugin's directory of the process, and the server's
	// file name.
	socketRoom = len("/plugin-dir1234567890") + len("/control.sock") + 16
	// runDirRoom is the length of "/outrigger-<random>".
	runDirRoom = 1 + len(reaper.DirPrefix) + 10
)

// makeRunDir makes the run directory inside parent, and lets users reach their own directories in it; nil users are the host's, and without others
// it is readable by its owner alone. An empty parent means the first of $XDG_RUNTIME_DIR, the directory for temporary files and /tmp that exists,
// is short enough for socket paths, and may be entered by all users.
func makeRunDir(parent string, users ...*account) (string, error) {
	dir, err := makePrivateDir(parent, slices.DeleteFunc(slices.Clone(users), func(a *account) bool { return a == nil }))
	if err != nil {
		return "", err
	}
	if err := admit(dir, users...); err != nil {
		_ = os.Remove(dir)
		return "", err
	}
	return dir, nil
}

// admit lets users reach what they own in a directory; they still cannot list it.
func admit(dir string, users ...*account) error {
	for _, a := range users {
		if a != nil {
			return os.Chmod(dir, 0o711)
		}
	}
	return nil
}

func makePrivateDir(parent string, users []*account) (string, error) {
	if parent != "" {
		parent, err := filepath.Abs(parent)
		if err != nil {
			return "", fmt.Errorf("make the run directory in %q: %w", parent, err)
		}
		if most := maxSocketPath - socketRoom - runDirRoom; len(parent) > most {
			return "", fmt.Errorf("make the run directory in %q: the path has %d bytes; at most %d leave room for socket paths of %d", parent, len(parent), most, maxSocketPath)
		}
		if err := makeParents(parent, users); err != nil {
			return "", fmt.Errorf("make the run directory: %w", err)
		}
		dir, err := os.MkdirTemp(parent, reaper.DirPrefix)
		if err != nil {
			return "", fmt.Errorf("make the run directory: %w", err)
		}
		return dir, nil
	}
	var firstErr error
	for _, parent := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if !filepath.IsAbs(parent) || len(parent)+runDirRoom+socketRoom > maxSocketPath {
			continue
		}
		err := reachable(parent, users)
		if err == nil {
			var dir string
			if dir, err = os.MkdirTemp(parent, reaper.DirPrefix); err == nil {
				return dir, nil
			}
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	if firstErr == nil {
		firstErr = fmt.Errorf("no directory for temporary files has a path of at most %d bytes", maxSocketPath-socketRoom-runDirRoom)
	}
	return "", fmt.Errorf("make the run directory: %w", firstErr)
}

// makeParents makes a directory and those above it that are missing, all for users to enter.
func makeParents(dir string, users []*account) error {
	var made []string
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, at)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, at := range made {
		if err := admit(at, users...); err != nil {
			return err
		}
	}
	return nil
}

// reachable is an error when one of the users may not enter a directory or one above it.
func reachable(dir string, users []*account) error {
	for _, a := range users {
		for at := dir; ; at = filepath.Dir(at) {
			var st syscall.Stat_t
			if err := syscall.Stat(at, &st); err != nil {
				return fmt.Errorf("look at %s: %w", at, err)
			}
			if !a.mayEnter(&st) {
				return fmt.Errorf("user %s may not enter %s", a.name, at)
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}

// mayEnter says whether the mode of a directory lets the account search it.
func (a *account) mayEnter(st *syscall.Stat_t) bool {
	switch {
	case a.uid == 0:
		return true
	case int(st.Uid) == a.uid:
		return st.Mode&0o100 != 0
	case int(st.Gid) == a.gid || slices.Contains(a.groups, int(st.Gid)):
		return st.Mode&0o010 != 0
	}
	return st.Mode&0o001 != 0
}
