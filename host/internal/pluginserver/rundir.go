package pluginserver

import (
	"fmt"
	"os"
	"path/filepath"

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

// makeRunDir makes the run directory, readable by its owner alone, inside parent. An empty parent means the first of
// $XDG_RUNTIME_DIR, the directory for temporary files and /tmp that exists and is short enough for socket paths.
func makeRunDir(parent string) (string, error) {
	if parent != "" {
		parent, err := filepath.Abs(parent)
		if err != nil {
			return "", fmt.Errorf("make the run directory in %q: %w", parent, err)
		}
		if most := maxSocketPath - socketRoom - runDirRoom; len(parent) > most {
			return "", fmt.Errorf("make the run directory in %q: the path has %d bytes; at most %d leave room for socket paths of %d", parent, len(parent), most, maxSocketPath)
		}
		if err := os.MkdirAll(parent, 0o700); err != nil {
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
		dir, err := os.MkdirTemp(parent, reaper.DirPrefix)
		if err == nil {
			return dir, nil
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
