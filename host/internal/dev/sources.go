package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host/internal/authoring"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/watch"
)

// source is where a managed plugin server comes from.
type source struct {
	server string // its name
	// plugin is a directory that package authoring prepares and builds. Without one, build is what makes the server, run in dir; empty: nothing.
	plugin string
	build  []string
	dir    string

	command []string // what the build made; nil: that of the settings
	refused bool     // the newest build does not serve
	// retry asks for another attempt if the newest build was refused; what is sent is closed after it.
	retry chan chan struct{}

	roots  []string // watched; empty: nothing is known
	except []string // below roots, but no sources
}

// ignored says what is no source below the roots, beside what is never one.
func (s *source) ignored() func(name string) bool {
	if s.plugin != "" || len(s.build) > 0 {
		return authoring.Ignored
	}
	return nil // what somebody else builds is what to watch
}

// sourcesOf finds the source of every managed plugin server in the settings, which are in directory home; plugins are the directories that the
// command line names. A plugin directory that no server is for gets one.
func sourcesOf(s *config.Settings, home string, plugins []string) ([]*source, error) {
	var all []*source
	left := slices.Clone(plugins)
	for i := range s.PluginServers {
		c := &s.PluginServers[i]
		if len(c.Command) == 0 {
			continue
		}
		src, err := sourceOf(c, home)
		if err != nil {
			return nil, err
		}
		if slices.Contains(plugins, src.dir) || len(c.Build) == 0 && prepared(src.dir) {
			src.plugin, src.roots = src.dir, []string{src.dir}
			left = slices.DeleteFunc(left, func(dir string) bool { return dir == src.dir })
		}
		all = append(all, src)
	}
	for _, dir := range left {
		name := filepath.Base(dir)
		if slices.ContainsFunc(s.PluginServers, func(c config.PluginServer) bool { return c.Name == name }) {
			return nil, fmt.Errorf("plugin directory %s: the settings have another plugin server %q: name the directory otherwise, or the server", dir, name)
		}
		all = append(all, &source{server: name, plugin: dir, dir: dir, roots: []string{dir}})
	}
	for _, src := range all {
		src.retry = make(chan chan struct{})
		if src.plugin != "" { // npm writes it when it installs
			src.except = append(src.except, filepath.Join(src.plugin, "package-lock.json"))
		}
	}
	return all, nil
}

// prepared says whether a directory is a plugin that package authoring has prepared before.
func prepared(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, ".outrigger")); err != nil {
		return false
	}
	_, err := authoring.Detect(dir)
	return err == nil
}

// scripts are the endings of programs whose neighbours are sources too.
var scripts = []string{".py", ".js", ".mjs", ".cjs", ".ts"}

// sourceOf finds out what a plugin server is made of: what the settings say, else the files and directories that the command names, and the
// working directory if it was set.
func sourceOf(c *config.PluginServer, home string) (*source, error) {
	dir, err := filepath.Abs(c.WorkingDir)
	if err != nil {
		return nil, fmt.Errorf("plugin server %q: working_dir: %w", c.Name, err)
	}
	src := &source{server: c.Name, build: c.Build, dir: dir}
	program := c.Command[0]
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	if len(c.Build) > 0 {
		src.except = append(src.except, program)
	}
	if len(c.Watch) > 0 {
		for _, path := range c.Watch {
			if path, err = filepath.Abs(path); err != nil {
				return nil, fmt.Errorf("plugin server %q: watch: %w", c.Name, err)
			}
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("plugin server %q: watch: %s does not exist", c.Name, path)
			}
			src.roots = append(src.roots, path)
		}
		return src, nil
	}
	for i, word := range c.Command {
		path := word
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, word)
		}
		stat, err := os.Stat(path)
		switch {
		case err != nil || slices.ContainsFunc(strings.Split(word, "/"), installed):
		case i == 0 && (!strings.Contains(word, "/") || filepath.IsAbs(word) && !below(path, dir)): // an interpreter, or a program of the system
		case i == 0 && len(c.Build) > 0:
		case stat.Mode().IsRegular() && slices.Contains(scripts, filepath.Ext(path)):
			src.roots = append(src.roots, filepath.Dir(path))
		case stat.Mode().IsRegular(), stat.IsDir():
			src.roots = append(src.roots, path)
		}
	}
	if dir != home || len(c.Build) > 0 {
		src.roots = append(src.roots, dir)
	}
	src.roots = outermost(src.roots)
	return src, nil
}

// installed says whether a part of a path is of something that was installed.
func installed(part string) bool { return part != "." && part != ".." && watch.Noise(part) }

func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// outermost leaves out the paths that lie below others.
func outermost(paths []string) []string {
	slices.Sort(paths)
	paths = slices.Compact(paths)
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		return slices.ContainsFunc(paths, func(other string) bool { return other != path && below(path, other) })
	})
}
