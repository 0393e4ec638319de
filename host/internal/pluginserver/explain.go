package pluginserver

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// explainSocket says in words why a unix socket could not be connected to: what is at its path, whose it is, and what would be right.
func explainSocket(path string, err error) error {
	info, statErr := os.Lstat(path)
	if errors.Is(statErr, os.ErrNotExist) {
		return fmt.Errorf("unix socket %s does not exist (%s): %w", path, explainDir(filepath.Dir(path)), err)
	}
	if statErr != nil {
		return fmt.Errorf("unix socket %s cannot be looked at by uid %d: %w", path, os.Geteuid(), statErr)
	}
	if target, linkErr := os.Stat(path); linkErr == nil {
		info = target
	}
	what := describeFile(info)
	switch {
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s is no unix socket (%s): %w", path, what, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens on unix socket %s (%s): the server is gone, or has not started: %w", path, what, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("unix socket %s (%s) cannot be opened by uid %d: it needs write permission: %w", path, what, os.Geteuid(), err)
	}
	return fmt.Errorf("connect to unix socket %s (%s): %w", path, what, err)
}

// explainDir tells what a directory holds that could have been meant.
func explainDir(dir string) string {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "nor does its directory"
	case err != nil:
		return "its directory cannot be read by uid " + strconv.Itoa(os.Geteuid())
	}
	var sockets []string
	for _, e := range entries {
		if e.Type()&os.ModeSocket != 0 && len(sockets) < 4 {
			sockets = append(sockets, e.Name())
		}
	}
	if len(sockets) == 0 {
		return "its directory holds no socket"
	}
	return "its directory holds the sockets " + strings.Join(sockets, ", ")
}

// describeFile names type, mode and owner.
func describeFile(info os.FileInfo) string {
	s := "mode " + info.Mode().String()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s += ", owner " + userName(st.Uid) + ":" + groupName(st.Gid)
	}
	return s
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// explainExec says in words why a program could not be started.
func explainExec(program, dir string, err error) error {
	if dir != "" {
		if info, statErr := os.Stat(dir); statErr != nil {
			return fmt.Errorf("working directory %s: %w", dir, statErr)
		} else if !info.IsDir() {
			return fmt.Errorf("working directory %s is no directory (%s)", dir, describeFile(info))
		}
	}
	path := program
	if !strings.Contains(program, "/") {
		found, lookErr := exec.LookPath(program)
		if lookErr != nil {
			return fmt.Errorf("program %q is not in PATH (%s): %w", program, os.Getenv("PATH"), err)
		}
		path = found
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	info, statErr := os.Stat(path)
	switch {
	case errors.Is(statErr, os.ErrNotExist):
		return fmt.Errorf("program %s does not exist: %w", path, err)
	case statErr != nil:
		return fmt.Errorf("program %s: %w", path, statErr)
	case info.IsDir():
		return fmt.Errorf("program %s is a directory: %w", path, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("program %s (%s) cannot be run: it needs execute permission: %w", path, describeFile(info), err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("program %s cannot be run here: %s: %w", path, architecture(path), err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("program %s exists, but its interpreter or loader does not: %w", path, err)
	}
	return fmt.Errorf("start %s: %w", path, err)
}

// architecture compares a program's with the machine's.
func architecture(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return "it is neither a program for this machine nor a script with a #! line"
	}
	defer f.Close()
	return fmt.Sprintf("it is built for %s, this machine is %s", f.Machine, runtime.GOARCH)
}
