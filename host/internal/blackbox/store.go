package blackbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	suffix    = ".blackbox.json"
	unwritten = ".unwritten"
)

// store is the files of one directory. It is for one goroutine at a time. One gateway at a time uses a directory.
type store struct {
	dir   string
	most  int64    // bytes of all files
	root  *os.Root // nil: not open
	loose bool     // others may list the directory

	files []kept // the oldest first
	bytes int64
}

type kept struct {
	name string
	size int64
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// open makes the directory, if there is none, and finds the files of earlier runs.
func (s *store) open() error {
	if s.root != nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("making the directory: %w", err)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return fmt.Errorf("opening the directory: %w", err)
	}
	entries, err := fs.ReadDir(root.FS(), ".") // by name, which is by time
	if err != nil {
		_ = root.Close()
		return fmt.Errorf("listing the directory: %w", err)
	}
	s.root, s.files, s.bytes = root, nil, 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), unwritten) && strings.Contains(e.Name(), suffix) {
			_ = root.Remove(e.Name()) // of a gateway that was killed while it wrote
			continue
		}
		if at, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) && at.Mode().IsRegular() {
			s.files = append(s.files, kept{e.Name(), at.Size()})
			s.bytes += at.Size()
		}
	}
	if at, err := root.Stat("."); err == nil {
		s.loose = at.Mode().Perm()&0o077 != 0
	}
	return nil
}

// put writes a file beside its name and renames it, and removes the oldest files beyond the bound. After an error the directory is opened anew:
// it may have been removed or mounted again.
func (s *store) put(name string, data []byte) error {
	if int64(len(data)) > s.most {
		return fmt.Errorf("the recording has %d bytes, black_box_size allows %d for all", len(data), s.most)
	}
	again := s.root != nil
	for {
		if err := s.open(); err != nil {
			return err
		}
		err := s.add(name, data)
		if err == nil {
			return nil
		}
		_ = s.root.Close()
		s.root = nil
		if !again {
			return err
		}
		again = false
	}
}

func (s *store) add(name string, data []byte) error {
	if err := s.makeRoom(int64(len(data))); err != nil {
		return err
	}
	beside := name + unwritten
	f, err := s.root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making a file: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = s.root.Rename(beside, name)
	}
	if err != nil {
		_ = s.root.Remove(beside)
		return fmt.Errorf("writing a file: %w", err)
	}
	s.files = append(s.files, kept{name, int64(len(data))})
	s.bytes += int64(len(data))
	return nil
}

// makeRoom removes the oldest files until size more bytes fit.
func (s *store) makeRoom(size int64) error {
	for len(s.files) > 0 && s.bytes+size > s.most {
		oldest := s.files[0]
		if err := s.root.Remove(oldest.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the oldest file: %w", err)
		}
		s.files = slices.Delete(s.files, 0, 1)
		s.bytes -= oldest.size
	}
	return nil
}
