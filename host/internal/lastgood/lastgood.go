// Package lastgood keeps the texts of the configurations that became live, so that one that was good can come back when its file is lost or spoilt.
//
// A text is kept as it was written: references to secrets and ${{ env … }} expressions are not replaced, secrets that stand in it are in the copy
// too. The directory and its files are for the gateway's own user alone.
package lastgood

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Most is how many configurations are kept.
const Most = 10

// timeForm orders names as the times do.
const timeForm = "20060102T150405.000000000Z"

// Store is the directory of the kept configurations. Its methods may be called by one goroutine at a time; processes may share it.
type Store struct{ dir string }

// In is the store below a state directory, which need not be there yet.
func In(stateDir string) *Store { return &Store{filepath.Join(stateDir, "configurations")} }

// Entry is one kept configuration.
type Entry struct {
	Hash string    // of the configuration, 32 hex digits
	Time time.Time // when it became live
	Path string
}

// Keep adds a configuration, unless it is the newest already, and removes what is too old. The name says by its ending whether the text is JSON. What is
// kept last is the newest, whatever the clock says: it may have been set back.
func (s *Store) Keep(hash, name string, text []byte, now time.Time) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("making the directory for the last good configurations: %w", err)
	}
	kept, err := s.List()
	if err != nil {
		return err
	}
	if len(kept) > 0 && kept[0].Hash == hash {
		if same, err := os.ReadFile(kept[0].Path); err == nil && string(same) == string(text) {
			return nil
		}
	}
	if len(kept) > 0 && !now.After(kept[0].Time) {
		now = kept[0].Time.Add(time.Nanosecond)
	}
	ending := ".yaml"
	if filepath.Ext(name) == ".json" {
		ending = ".json"
	}
	path := filepath.Join(s.dir, now.UTC().Format(timeForm)+"-"+hash+ending)
	if err := WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("keeping the configuration: %w", err)
	}
	if err := s.clean(now); err != nil {
		return fmt.Errorf("the configuration is kept; removing what is too old: %w", err)
	}
	return nil
}

// lifeOfWrites is how old a file gets that is being written.
const lifeOfWrites = time.Hour

// clean removes what is too old: configurations, and files of writes that were interrupted. Another process may be doing the same, as at an upgrade.
func (s *Store) clean(now time.Time) error {
	kept, err := s.List()
	if err != nil {
		return err
	}
	var old []string
	for _, e := range kept[min(Most, len(kept)):] {
		old = append(old, e.Path)
	}
	writes, err := filepath.Glob(filepath.Join(s.dir, ".writing-*"))
	for _, path := range writes {
		if st, err := os.Stat(path); err == nil && now.Sub(st.ModTime()) > lifeOfWrites {
			old = append(old, path)
		}
	}
	errs := []error{err}
	for _, path := range old {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// List gives the kept configurations, the newest first; none when the directory is not there. One in which others can write is an error: they would choose
// what the gateway starts with.
func (s *Store) List() ([]Entry, error) {
	if st, err := os.Stat(s.dir); err == nil && st.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("found the directory %s with mode %#o, in which others can write; expected 0700", s.dir, st.Mode().Perm())
	}
	files, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the last good configurations: %w", err)
	}
	var list []Entry
	for _, f := range files {
		if e, ok := entryOf(f.Name()); ok && f.Type().IsRegular() {
			e.Path = filepath.Join(s.dir, f.Name())
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return b.Time.Compare(a.Time) })
	return list, nil
}

// entryOf reads a file name. Others, such as those of writes that were interrupted, are not ours.
func entryOf(name string) (e Entry, ok bool) {
	ending := filepath.Ext(name)
	at, hash, cut := strings.Cut(strings.TrimSuffix(name, ending), "-")
	t, err := time.Parse(timeForm, at)
	if err != nil || !cut || len(hash) != 32 || strings.Trim(hash, "0123456789abcdef") != "" || ending != ".yaml" && ending != ".json" {
		return e, false
	}
	return Entry{Hash: hash, Time: t}, true
}

// Find gives a kept configuration with its text: the newest whose hash begins so, the newest of all for "".
func (s *Store) Find(hash string) (Entry, []byte, error) {
	list, err := s.List()
	if err != nil {
		return Entry{}, nil, err
	}
	i := slices.IndexFunc(list, func(e Entry) bool { return strings.HasPrefix(e.Hash, hash) })
	switch {
	case len(list) == 0:
		return Entry{}, nil, fmt.Errorf("found no configuration in %s, expected one that was live", s.dir)
	case i < 0:
		return Entry{}, nil, fmt.Errorf("found no configuration with the hash %s in %s, expected one of those that outrigger config restore --list prints", hash, s.dir)
	}
	text, err := os.ReadFile(list[i].Path)
	if err != nil {
		return Entry{}, nil, fmt.Errorf("reading the last good configuration: %w", err)
	}
	return list[i], text, nil
}
