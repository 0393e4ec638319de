package authoring

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUnzip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sdk")
	if err := unzip(zipped(t, "a.txt", "one", "b/", "", "b/c/d.txt", "two"), dir, 6); err != nil {
		t.Fatal(err)
	}
	if found, want := tree(t, dir), []string{"a.txt", "b/c/d.txt"}; !slices.Equal(found, want) {
		t.Errorf("found %q, expected %q", found, want)
	}
	if text := content(t, dir, "b/c/d.txt"); text != "two" {
		t.Errorf("b/c/d.txt is %q", text)
	}
}

// Nothing leaves the folder, and nothing is written of an archive that tries.
func TestUnzipStaysInside(t *testing.T) {
	for _, name := range []string{"../out", "a/../../out", "/out", "./out", "a//out", "..", ".", "", `..\out`, `C:\out`, "c:out", "a\x00b"} {
		outer := t.TempDir()
		err := unzip(zipped(t, "first", "1", name, "2"), filepath.Join(outer, "sdk"), largest)
		if err == nil {
			t.Errorf("name %q is taken", name)
		}
		if found := tree(t, outer); len(found) > 0 {
			t.Errorf("name %q: found %q, expected nothing", name, found)
		}
	}
	outer := t.TempDir()
	if err := unzip(zipped(t, "link", "-> /etc", "link/passwd", "x"), filepath.Join(outer, "sdk"), largest); err == nil || !strings.Contains(err.Error(), `"link"`) {
		t.Errorf("a link: found %v, expected an error that names it", err)
	}
	if err := unzip([]byte("no archive"), outer, largest); err == nil {
		t.Error("what is no archive is taken")
	}
	if err := unzip(zipped(t, "a", "12345", "b", "6"), outer, 5); err == nil || !strings.Contains(err.Error(), "b: the archive holds more") {
		t.Errorf("an archive over the limit: found %v", err)
	}
}

// The SDK in a plugin's directory is that of the program: it comes when it is missing, and is replaced when it is another.
func TestPlace(t *testing.T) {
	for _, l := range Languages() {
		t.Run(string(l), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "p")
			kits := testKits(t, "old")
			if err := create("p", l, dir, kits); err != nil {
				t.Fatal(err)
			}
			file := map[Language]string{Go: "sdk/pdk/pdk.go", Python: "outrigger_pdk-1.0-py3-none-any.whl", JavaScript: "outrigger-pdk.tgz", TypeScript: "outrigger-pdk.tgz"}[l]
			place := func(kits fs.FS, want string) {
				t.Helper()
				p, err := open(dir, kits, io.Discard)
				if err == nil {
					err = p.place()
				}
				if err != nil {
					t.Fatal(err)
				}
				if text := content(t, dir, hidden+"/"+file); !strings.HasSuffix(text, want) {
					t.Errorf("%s is %q, expected the content %q", file, text, want)
				}
			}
			place(kits, "old")
			place(testKits(t, "new"), "new")
			leftover := filepath.Join(dir, hidden, "sdk/pdk/gone.go")
			if l == Python {
				leftover = filepath.Join(dir, hidden, "outrigger_pdk-0.9-py3-none-any.whl")
			}
			if l == Go || l == Python {
				if err := os.WriteFile(leftover, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			place(kits, "old")
			if _, err := os.Stat(leftover); err == nil {
				t.Errorf("%s of another SDK is still there", leftover)
			}
			if err := os.RemoveAll(filepath.Join(dir, hidden)); err != nil { // as after git clone
				t.Fatal(err)
			}
			place(kits, "old")
			if text := content(t, dir, hidden+"/.gitignore"); text != "*\n" {
				t.Errorf(".gitignore is %q", text)
			}
			// An unpacking that was cut short left no mark.
			if err := os.Remove(filepath.Join(dir, hidden, "kit")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, hidden, file), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
			place(kits, "old")
		})
	}
}

// tree lists the files below a directory.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	found := []string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			found = append(found, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
