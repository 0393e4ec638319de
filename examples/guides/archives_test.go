package guides

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestArchivesAreReproducible makes the wheel and the tarball as make kits does, here and from a copy of the sources with other times in another
// place, and wants the same bytes. The Go archive has its test beside modulekit.
func TestArchivesAreReproducible(t *testing.T) {
	t.Parallel()
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		folder, files, command, archive string
	}{
		{"sdk-python", "pyproject.toml README.md src", repo + "/.venv/bin/python -m hatchling build --target wheel --directory", "*.whl"},
		{"sdk-js", "package.json README.md bin dist", "npm pack --silent --pack-destination", "*.tgz"},
	} {
		t.Run(c.folder, func(t *testing.T) {
			t.Parallel()
			elsewhere := temporary(t)
			copied := exec.Command("bash", "-e", "-c", "cp -R "+c.files+" "+elsewhere) // without -p: with the time of now
			copied.Dir = filepath.Join(repo, c.folder)
			if out, err := copied.CombinedOutput(); err != nil {
				t.Fatalf("copying %s: %v\n%s", c.folder, err, out)
			}
			var sums [2][32]byte
			for i, dir := range []string{copied.Dir, elsewhere} {
				out := temporary(t)
				cmd := exec.Command("bash", "-e", "-c", c.command+" "+out)
				cmd.Dir = dir
				if text, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", c.command, err, text)
				}
				found, err := filepath.Glob(filepath.Join(out, c.archive))
				if err != nil || len(found) != 1 {
					t.Fatalf("%s: found %q, %v; expected one archive", c.command, found, err)
				}
				content, err := os.ReadFile(found[0])
				if err != nil {
					t.Fatal(err)
				}
				sums[i] = sha256.Sum256(content)
			}
			if sums[0] != sums[1] {
				t.Errorf("two archives of the same sources differ")
			}
		})
	}
}
