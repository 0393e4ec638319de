package watch

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// largest is the size up to which the content of a file counts, in bytes. Of a larger one, size and time count.
const largest = 64 << 20

// print is what is remembered of a file.
type print struct {
	stat    fs.FileInfo // of the file that a link leads to
	content [sha256.Size]byte
}

// same says whether the other is of the same file, with the same size and time.
func (p print) same(o print) bool {
	return os.SameFile(p.stat, o.stat) && p.stat.Size() == o.stat.Size() && p.stat.ModTime().Equal(o.stat.ModTime())
}

// scan looks at everything below the roots and makes sure that new directories are watched. Files that were not touched, and are
// the same ones as before with the same size and time, are not read again.
func (w *Watcher) scan(before map[string]print, touched map[string]bool) (map[string]print, error) {
	files := map[string]print{}
	look := func(path string) {
		if slices.Contains(w.opts.Except, path) {
			return
		}
		if p, ok := fingerprint(path, before, touched[path]); ok {
			files[path] = p
		}
	}
	for _, root := range w.roots {
		stat, err := os.Stat(root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, explain(root, err)
		}
		if err != nil || !stat.IsDir() {
			// The directory is watched: an editor may put another file into the place of this one.
			if err := w.notices.Add(filepath.Dir(root)); err != nil {
				return nil, explain(filepath.Dir(root), err)
			}
			look(root)
			continue
		}
		if err := w.scanDir(root, look); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// scanDir looks at a directory and what is below it. It is watched before it is read: what comes in between is seen one way or the other.
func (w *Watcher) scanDir(dir string, look func(path string)) error {
	err := w.notices.Add(dir)
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // gone meanwhile, or not ours to read
	}
	if err != nil {
		return explain(dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case w.ignored(e.Name()):
		case e.IsDir():
			if err := w.scanDir(path, look); err != nil {
				return err
			}
		default:
			look(path)
		}
	}
	return nil
}

// fingerprint reads a file; it is not ok when there is none.
func fingerprint(path string, before map[string]print, touched bool) (p print, ok bool) {
	stat, err := os.Stat(path)
	if err != nil || !stat.Mode().IsRegular() {
		return p, false
	}
	p = print{stat: stat}
	if b, known := before[path]; known && !touched && b.same(p) {
		return b, true
	}
	h := sha256.New()
	if stat.Size() > largest {
		_, _ = io.WriteString(h, stat.ModTime().String())
	} else if f, err := os.Open(path); err == nil {
		_, _ = io.Copy(h, f) // what cannot be read counts as empty
		f.Close()
	}
	h.Sum(p.content[:0])
	return p, true
}
