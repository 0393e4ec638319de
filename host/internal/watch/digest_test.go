package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDigest(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("src/a.py", "1")
	put("src/deep/b.py", "2")
	bin := put(".venv/bin/python", "program")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(bin, link); err != nil {
		t.Fatal(err)
	}
	roots := []string{filepath.Join(dir, "src"), link, filepath.Join(dir, "absent")}
	digest := func() string {
		t.Helper()
		d, err := Digest(roots, 100)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	last := digest()
	same := func(what string) {
		t.Helper()
		if d := digest(); d != last {
			t.Errorf("%s changes the digest", what)
		}
	}
	other := func(what string) {
		t.Helper()
		d := digest()
		if d == last {
			t.Errorf("%s does not change the digest", what)
		}
		last = d
	}
	same("nothing")
	now := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "src/a.py"), now, now); err != nil {
		t.Fatal(err)
	}
	same("another time")
	put("src/a.py", "1")
	same("the same content")
	put("src/__pycache__/a.pyc", "x")
	put("src/.git/x", "x")
	put("src/a.log", "x")
	put("elsewhere", "x")
	same("what is no source")
	put("src/a.py", "3")
	other("content")
	put("src/c.py", "")
	other("a new file")
	if err := os.Rename(filepath.Join(dir, "src/c.py"), filepath.Join(dir, "src/d.py")); err != nil {
		t.Fatal(err)
	}
	other("a new name")
	if err := os.Remove(filepath.Join(dir, "src/d.py")); err != nil {
		t.Fatal(err)
	}
	other("a file that is gone")
	put(".venv/bin/python", "PROGRAM")
	other("the program behind the link")
	put("absent", "")
	other("a root that comes")
	big := put("src/big", "")
	if err := os.Truncate(big, largest+1); err != nil {
		t.Fatal(err)
	}
	other("a large file")
	if _, err := os.ReadFile(bin); err != nil {
		t.Fatal(err)
	}
	same("reading")
	if err := os.Chtimes(big, now, now); err != nil {
		t.Fatal(err)
	}
	other("the time of a large file")
	if _, err := Digest(roots, 3); err == nil {
		t.Error("more files than allowed are no error")
	}
}
