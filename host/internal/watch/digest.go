package watch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Digest is a hash over the content of files: equal digests are of the same paths with the same content. Directories count with everything below
// them that is no Noise; a root counts whatever its name is, and one that does not exist counts as such. Of a file above 64 MiB its size, its time
// and its inode count. More than most files are an error.
func Digest(roots []string, most int) (string, error) {
	sum := sha256.New()
	files := 0
	add := func(path string) error {
		if files++; files > most {
			return fmt.Errorf("found more than %d files in %q, expected fewer", most, roots)
		}
		p, ok := fingerprint(path, nil, true)
		fmt.Fprintf(sum, "%q %t %x", path, ok, p.content)
		if ok && p.stat.Size() > largest {
			fmt.Fprintf(sum, " %d %d", p.stat.Size(), inode(p.stat))
		}
		return nil
	}
	for _, root := range slices.Sorted(slices.Values(roots)) {
		root := resolved(root)
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
				return add(path) // it counts as not there
			case err != nil:
				return fmt.Errorf("reading %s: %w", path, err)
			case path != root && Noise(e.Name()) && e.IsDir():
				return fs.SkipDir
			case e.IsDir() || path != root && Noise(e.Name()):
				return nil
			}
			return add(path)
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// resolved follows the link that a path may be, so that what it leads to counts.
func resolved(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// inode tells one file from another that took its place.
func inode(stat os.FileInfo) uint64 {
	if s, ok := stat.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
