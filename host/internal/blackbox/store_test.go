package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger-gateway/outrigger/host/internal/dispatch"
)

func name(i int) string { return fmt.Sprintf("2026%04d-x%s", i, suffix) }

// The oldest files go when the bound is reached, those of an earlier run too; what else is in the directory stays.
func TestOldestFilesGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "box")
	first := &store{dir: dir, most: 100}
	for i := range 3 {
		if err := first.put(name(i), make([]byte, 40)); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{"notes.txt": strings.Repeat("x", 500), name(1) + unwritten: "half"} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &store{dir: dir, most: 100}
	for i := 3; i < 5; i++ {
		if err := s.put(name(i), make([]byte, 40)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(dir, name(3)), filepath.Join(dir, name(4)), filepath.Join(dir, "notes.txt")}
	if got := files(t, dir); fmt.Sprint(got) != fmt.Sprint(want) || s.bytes != 80 || s.loose {
		t.Errorf("files %v, %d bytes", got, s.bytes)
	}
	if at, err := os.Stat(dir); err != nil || at.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", at.Mode(), err)
	}
	if err := s.put("x", make([]byte, 101)); err == nil || !strings.Contains(err.Error(), "black_box_size allows 100") {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, name(3))); err != nil { // by the operator
		t.Fatal(err)
	}
	if err := s.put(name(5), make([]byte, 40)); err != nil || len(s.files) != 2 {
		t.Errorf("%v, %v", err, s.files)
	}
}

// A directory that is removed while the gateway runs is made again.
func TestRemovedDirectoryIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "box")
	s := &store{dir: dir, most: 100}
	if err := s.put(name(0), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.put(name(1), []byte("x")); err != nil || len(files(t, dir)) != 1 || s.bytes != 1 {
		t.Errorf("%v, %v, %d bytes", err, files(t, dir), s.bytes)
	}
}

// A directory that cannot be used costs recordings, not requests; it is told now and then, and used once it can be.
func TestUnusableDirectory(t *testing.T) {
	r, dir, log := newTest(t, func(o *Options) { o.Dir = filepath.Join(o.Dir, "below") })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file in the place of the directory
		t.Fatal(err)
	}
	for range 5 {
		r.After(failing(t, dispatch.HandlerError, errBoom))
	}
	finish(t, r)
	if s := r.Stats(); s.Failed != 5 || s.Recorded != 0 || strings.Count(log.String(), "cannot keep a recording") != 3 {
		t.Errorf("%+v %s", s, log)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := r.store.put(name(1), []byte("x")); err != nil {
		t.Error(err)
	}
}
