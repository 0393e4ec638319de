package launcher

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Paths are what landlock leaves of the file system. What is below a directory belongs to it. Paths that do not exist are left out.
type Paths struct {
	// Read may be read and executed; nil: everything.
	Read []string
	// Write may be changed, read and executed.
	Write []string
}

// devices that every program may write to.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/shm"}

// landlockVersion is the first version of landlock that keeps what it promises here: before it, files outside could be truncated
// (Linux 6.2).
const landlockVersion = 3

// LandlockAvailable is an error that says why this machine has no landlock.
func LandlockAvailable() error {
	version, err := llsys.LandlockGetABIVersion()
	if err != nil {
		return fmt.Errorf("the kernel has no landlock, or it was not enabled at boot: %w", err)
	}
	if version < landlockVersion {
		return fmt.Errorf("the kernel has landlock %d, expected at least %d (Linux 6.2)", version, landlockVersion)
	}
	return nil
}

// restrict restricts this process and what it becomes.
func (p *Paths) restrict() error {
	paths := p.Read
	if paths == nil {
		paths = []string{"/"}
	}
	read, err := split(paths)
	if err != nil {
		return err
	}
	write, err := split(slices.Concat(devices, p.Write))
	if err != nil {
		return err
	}
	err = landlock.V3.RestrictPaths(
		landlock.RODirs(read.dirs...), landlock.ROFiles(read.files...),
		landlock.RWDirs(write.dirs...).WithRefer(), landlock.RWFiles(write.files...),
	)
	if err != nil {
		return err
	}
	// Where the kernel can (landlock 6, Linux 6.12), signals to processes outside and the abstract sockets of others are closed as well.
	return landlock.V6.BestEffort().RestrictScoped()
}

type filesAndDirs struct{ files, dirs []string }

// split sorts paths as the rules want them.
func split(paths []string) (out filesAndDirs, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return out, err
		case info.IsDir():
			out.dirs = append(out.dirs, path)
		default:
			out.files = append(out.files, path)
		}
	}
	return out, nil
}
