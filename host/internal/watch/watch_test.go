package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const patience = 20 * time.Second

// write puts a whole file into its place, as editors do that must not lose one: written beside it, and renamed.
func write(t *testing.T, path, text string) {
	t.Helper()
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"."+name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"."+name, path); err != nil {
		t.Fatal(err)
	}
}

func watched(t *testing.T, o Options) *Watcher {
	t.Helper()
	o.Quiet = 20 * time.Millisecond
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// wants waits until all of the paths were told, and fails when another one is.
func wants(t *testing.T, w *Watcher, paths ...string) {
	t.Helper()
	expired := time.After(patience)
	left := slices.Clone(paths)
	for len(left) > 0 {
		select {
		case told := <-w.Changes():
			for _, path := range told {
				if !slices.Contains(paths, path) {
					t.Errorf("told of %s, want %v", path, paths)
				}
				left = slices.DeleteFunc(left, func(p string) bool { return p == path })
			}
		case <-expired:
			t.Fatalf("not told of %v within %v", left, patience)
		}
	}
}

func TestChangesOfSources(t *testing.T) {
	dir := t.TempDir()
	plugin, other := filepath.Join(dir, "plugin.py"), filepath.Join(dir, "sub", "other.py")
	write(t, plugin, "1")
	write(t, other, "1")
	w := watched(t, Options{Roots: []string{dir}})
	if n := w.Files(); n != 2 {
		t.Errorf("%d files, want 2", n)
	}

	write(t, plugin, "2")
	wants(t, w, plugin)

	write(t, plugin, "3") // another file than the one that was there at first
	wants(t, w, plugin)

	fresh := filepath.Join(dir, "deep", "deeper", "fresh.py")
	write(t, fresh, "1")
	wants(t, w, fresh)
	write(t, fresh, "2")
	wants(t, w, fresh)

	if err := os.RemoveAll(filepath.Join(dir, "deep")); err != nil {
		t.Fatal(err)
	}
	wants(t, w, fresh)
	write(t, fresh, "3") // in a directory of the same name that is another one
	wants(t, w, fresh)

	if err := os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(dir, "moved", "other.py")
	wants(t, w, other, moved)
	write(t, moved, "2")
	wants(t, w, moved)

	if err := os.WriteFile(moved, []byte("written in place"), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, w, moved)
}

// What is no change is never told: it would restart a plugin server. A real change at the end shows that the watcher has seen the rest.
func TestNoChanges(t *testing.T) {
	dir := t.TempDir()
	plugin, program := filepath.Join(dir, "plugin.py"), filepath.Join(dir, "program")
	write(t, plugin, "1")
	w := watched(t, Options{Roots: []string{dir}, Ignored: func(name string) bool { return name == "dist" }, Except: []string{program}})
	for _, name := range []string{
		".git/index", ".venv/lib/x.py", ".outrigger/bin/plugin", "node_modules/a/index.js", "__pycache__/plugin.cpython-311.pyc", "sub/__pycache__/x.pyc",
		".plugin.py.swp", "plugin.py~", "#plugin.py#", "4913", "plugin.log", "dist/plugin.js", "program",
	} {
		write(t, filepath.Join(dir, name), "x")
	}
	write(t, plugin, "1") // saved as it was
	if err := os.Chtimes(plugin, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(dir, "last.py")
	write(t, last, "1")
	wants(t, w, last)
	write(t, filepath.Join(dir, "node_modules/a/index.js"), "y")
	write(t, last, "2")
	wants(t, w, last)
}

func TestOneFile(t *testing.T) {
	dir := t.TempDir()
	file, beside := filepath.Join(dir, "gateway.yaml"), filepath.Join(dir, "beside.yaml")
	write(t, beside, "1")
	w := watched(t, Options{Roots: []string{file}}) // it is not there yet
	write(t, beside, "2")
	write(t, file, "1")
	wants(t, w, file)
	write(t, file, "2")
	wants(t, w, file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	wants(t, w, file)
	// A link whose target is exchanged, as configurations in containers are.
	write(t, filepath.Join(dir, "v1", "c"), "v1")
	write(t, filepath.Join(dir, "v2", "c"), "v2")
	now := time.Now()
	for _, target := range []string{"v1", "v2"} { // nothing but the file itself tells them apart: they were written at one time
		if err := os.Chtimes(filepath.Join(dir, target, "c"), now, now); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "..data")
	for _, target := range []string{"v1", "v2"} {
		if err := os.Symlink(target, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
		if target == "v1" {
			if err := os.Symlink(filepath.Join("..data", "c"), file); err != nil {
				t.Fatal(err)
			}
		}
		wants(t, w, file)
	}
}

// Changes add up while nobody asks.
func TestChangesAddUp(t *testing.T) {
	dir := t.TempDir()
	w := watched(t, Options{Roots: []string{dir}})
	var paths []string
	for _, name := range []string{"a.py", "b.py", "c.py"} {
		path := filepath.Join(dir, name)
		paths = append(paths, path)
		write(t, path, "1")
	}
	wants(t, w, paths...)
	select {
	case told := <-w.Changes():
		t.Errorf("told twice of %v", told)
	default:
	}
}

func TestNothingToWatch(t *testing.T) {
	if w, err := New(Options{Roots: []string{"/no/such/dir/file"}}); err == nil {
		w.Close()
		t.Error("a directory that does not exist is watched")
	} else if want := "watch /no/such/dir: it does not exist"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}
