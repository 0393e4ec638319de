// Package authoring holds the tools of plugin authors: it writes new plugins, finds out what language a plugin directory is in, prepares the
// directory with the SDK that the program carries, and runs its unit tests.
//
// Everything that is prepared stays inside the plugin's directory, so that removing the directory removes everything, editors find the SDK, and
// two plugins do not share versions:
//
//	.outrigger/     SDK packages from this program, the built Go plugin; ignores itself for git
//	.venv/          Python
//	node_modules/   JavaScript, TypeScript
package authoring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Language is what a plugin is written in.
type Language string

const (
	Go         Language = "go"
	Python     Language = "python"
	JavaScript Language = "js"
	TypeScript Language = "ts"
)

// Languages lists them in the order of the documentation.
func Languages() []Language { return []Language{Go, Python, JavaScript, TypeScript} }

// ErrNoPlugin is the cause when a directory holds no plugin.
var ErrNoPlugin = errors.New("found none of go.mod, pyproject.toml, package.json")

// Detect tells the language of a plugin directory by go.mod, pyproject.toml or package.json; with tsconfig.json the latter is TypeScript.
func Detect(dir string) (Language, error) {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("plugin directory %s: found nothing of that name; expected a directory, such as outrigger plugin new makes", dir)
	case err == nil && !info.IsDir():
		return "", fmt.Errorf("plugin directory %s: found a file; expected the directory that it is in", dir)
	}
	var found []string
	for _, name := range []string{"go.mod", "pyproject.toml", "package.json", "tsconfig.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			found = append(found, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("plugin directory %s: %w", dir, err)
		}
	}
	switch {
	case slices.Equal(found, []string{"go.mod"}):
		return Go, nil
	case slices.Equal(found, []string{"pyproject.toml"}):
		return Python, nil
	case slices.Equal(found, []string{"package.json"}):
		return JavaScript, nil
	case slices.Equal(found, []string{"package.json", "tsconfig.json"}):
		return TypeScript, nil
	case len(found) == 0 || found[0] == "tsconfig.json":
		return "", fmt.Errorf("plugin directory %s: %w; make a plugin with outrigger plugin new", dir, ErrNoPlugin)
	}
	return "", fmt.Errorf("plugin directory %s: found %s; expected the files of one language", dir, strings.Join(found, " and "))
}

// Ignored tells that a file or directory below a watched one is no source: hidden, installed, or built.
func Ignored(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains([]string{"node_modules", "__pycache__", "dist"}, name)
}

// Prepare makes a plugin directory ready to serve and returns the command that serves it, with absolute paths, and what to watch. It installs
// the SDK of this program and the plugin's other dependencies when they are missing or have changed, and builds Go and TypeScript; call it
// again after a change of a source. When everything is there and unchanged it is quick and writes nothing to out; else it tells what it does,
// and passes on what the tools of the language say.
//
// watch has absolute paths of files, and of directories whose sources lie in them at any depth except where Ignored says so. It is valid even
// when err is not nil, unless dir holds no plugin: after a build that failed the next change may repair it.
func Prepare(ctx context.Context, dir string, out io.Writer) (command []string, watch []string, err error) {
	p, err := open(dir, embedded(), out)
	if err != nil {
		return nil, nil, err
	}
	return p.serve(ctx)
}
