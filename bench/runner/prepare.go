package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/outrigger-gateway/outrigger/bench/plugins"
	"github.com/outrigger-gateway/outrigger/bench/roles"
	"github.com/outrigger-gateway/outrigger/bench/scenario"
)

// prepareKits makes the bench's plugins ready in each language that the scenarios need. Python and JavaScript are served from directories in the
// cache, one for each content of plugins and SDK, with the SDK that this program carries: what is measured is what an author of plugins gets, and
// two programs never change what the other measures.
func (r *Runner) prepareKits(ctx context.Context, scenarios []*scenario.Scenario) error {
	r.kits = map[string][]string{}
	for _, s := range scenarios {
		for _, language := range s.Kits() {
			if r.kits[language] != nil {
				continue
			}
			if language == "go" {
				r.kits[language] = []string{r.Program, roles.Command, "plugins"}
				continue
			}
			command, err := r.prepareKit(ctx, language)
			if err != nil {
				return fmt.Errorf("preparing the bench's plugins in %s: %w", language, err)
			}
			r.kits[language] = command
		}
	}
	return nil
}

func (r *Runner) prepareKit(ctx context.Context, language string) ([]string, error) {
	files, err := plugins.Directory(language)
	if err != nil {
		return nil, err
	}
	sdk, err := r.SDK(language)
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	fmt.Fprintln(digest, sdk)
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		fmt.Fprintf(digest, "%s %d\n%s", path, len(text), text)
		return err
	})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(r.Cache, language+"-"+hex.EncodeToString(digest.Sum(nil))[:16])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r.forgetOld(language+"-", dir)
	if err := copyMissing(dir, files); err != nil {
		return nil, err
	}
	return r.Prepare(ctx, dir, r.Progress)
}

// copyMissing writes the files that are not there; those that are have the same content, which the directory is named after.
func copyMissing(dir string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		to := filepath.Join(dir, path)
		if _, err := os.Stat(to); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		part := to + ".part" // another program may look
		if err := os.WriteFile(part, text, 0o644); err != nil {
			return err
		}
		return os.Rename(part, to)
	})
}

// keepFor is how long a directory that no program uses any more stays in the cache.
const keepFor = 14 * 24 * time.Hour

// forgetOld removes directories of the cache that were not used for long, and marks the one that is.
func (r *Runner) forgetOld(prefix, used string) {
	now := time.Now()
	_ = os.Chtimes(used, now, now) // a cache that is cleaned too early is made again
	found, _ := filepath.Glob(filepath.Join(r.Cache, prefix+"*"))
	for _, dir := range slices.DeleteFunc(found, func(dir string) bool { return dir == used }) {
		if info, err := os.Stat(dir); err == nil && now.Sub(info.ModTime()) > keepFor {
			_ = os.RemoveAll(dir)
		}
	}
}
