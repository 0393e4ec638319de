// Package dev runs a gateway for the author of plugins: a plugin server whose source changes is built and replaced while requests go on, and
// so is the configuration when its file changes. What happens is told in one line each.
package dev

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
	"sync"
	"time"

	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/host/internal/authoring"
	"github.com/outrigger-gateway/outrigger/host/internal/config"
	"github.com/outrigger-gateway/outrigger/host/internal/watch"
)

// Options of a session.
type Options struct {
	// Dirs are plugin directories as outrigger plugin new makes them. Without one, and without a settings file, it is the working directory.
	Dirs []string
	// Host says the rest. Without a settings file it is outrigger.yaml of the first of Dirs, or of the working directory.
	Host host.Options
	// Out takes the lines that tell what happens, and what builds write.
	Out io.Writer
}

// Session is a running gateway that follows its sources.
type Session struct {
	*host.Host // nil before Start
	opts       Options
	out        *lines
	sources    []*source
	config     string // the declarative file; "" for none
	settings   string // the settings file; "" for none

	watchers []*watch.Watcher
	follow   context.Context
	unfollow context.CancelFunc
	tasks    sync.WaitGroup
}

// New finds the settings and what to watch.
func New(o Options) (*Session, error) {
	s := &Session{opts: o, out: &lines{w: o.Out}}
	s.follow, s.unfollow = context.WithCancel(context.Background())
	if err := s.find(); err != nil {
		return nil, err
	}
	s.opts.Host.Change = s.change
	return s, nil
}

// find reads the settings and finds the sources.
func (s *Session) find() error {
	o := &s.opts
	if len(o.Dirs) == 0 && o.Host.SettingsFile == "" {
		if _, err := authoring.Detect("."); err == nil {
			o.Dirs = []string{"."}
		} else if !errors.Is(err, authoring.ErrNoPlugin) {
			return err
		} else if !exists("outrigger.yaml") {
			return fmt.Errorf("%w; or name a plugin directory, or a settings file with --settings", err)
		}
	}
	for i, dir := range o.Dirs {
		if _, err := authoring.Detect(dir); err != nil {
			return err
		}
		path, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("plugin directory %s: %w", dir, err)
		}
		o.Dirs[i] = path
	}
	from := "."
	if len(o.Dirs) > 0 {
		from = o.Dirs[0]
	}
	if file := filepath.Join(from, "outrigger.yaml"); o.Host.SettingsFile == "" && exists(file) {
		o.Host.SettingsFile = file
	}
	settings, err := config.LoadSettings(o.Host.SettingsFile, o.Host.Env, o.Host.Flags)
	if err != nil {
		return err
	}
	home := "."
	if s.settings = o.Host.SettingsFile; s.settings != "" {
		home = filepath.Dir(s.settings)
	}
	if home, err = filepath.Abs(home); err != nil {
		return fmt.Errorf("settings %s: %w", s.settings, err)
	}
	s.config = settings.DeclarativeConfig
	if file := filepath.Join(from, "gateway.yaml"); s.config == "" && exists(file) {
		s.config = file
	}
	if s.sources, err = sourcesOf(settings, home, o.Dirs); err != nil {
		return err
	}
	if len(s.sources) == 0 {
		return fmt.Errorf("settings %s: found no plugin server with a command, expected at least one: only its source can be followed", s.settings)
	}
	for _, file := range []string{s.config, s.settings} {
		if path, err := filepath.Abs(file); err == nil && file != "" { // they may lie among the sources
			for _, src := range s.sources {
				src.except = append(src.except, path)
			}
		}
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// change puts what dev knows better into the settings of the host.
func (s *Session) change(settings *config.Settings) {
	settings.DeclarativeConfig = s.config
	for _, src := range s.sources {
		i := slices.IndexFunc(settings.PluginServers, func(c config.PluginServer) bool { return c.Name == src.server })
		if i < 0 {
			i = len(settings.PluginServers)
			settings.PluginServers = append(settings.PluginServers, config.DefaultPluginServer(src.server, src.dir))
		}
		c := &settings.PluginServers[i]
		if src.command != nil {
			c.Command = src.command
		}
		// A compiled module is taken for its source when that has the same size and was written in the same second.
		env := map[string]string{"PYTHONDONTWRITEBYTECODE": "1"}
		for name, value := range c.Env {
			env[name] = value
		}
		c.Env = env
	}
}

// Start builds what is to be built, starts the gateway and follows the sources. A build that fails is tried again when its source changes.
func (s *Session) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Shutdown(context.Background()))
		}
	}()
	sources := make([]*watch.Watcher, len(s.sources))
	for i, src := range s.sources {
		if sources[i], err = s.watch(src.roots, src.ignored(), src.except); err != nil {
			return fmt.Errorf("plugin server %q: %w", src.server, err)
		}
		if err := s.first(ctx, src, sources[i]); err != nil {
			return err
		}
	}
	entities, err := s.watch([]string{s.config, s.settings}, nil, nil)
	if err != nil {
		return err
	}
	h, err := host.New(s.opts.Host)
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	s.Host = h
	for i, src := range s.sources {
		s.tasks.Go(func() { s.followServer(src, sources[i]) })
	}
	s.tasks.Go(func() { s.followFiles(entities) })
	return nil
}

// watch begins to watch paths; empty ones are left out.
func (s *Session) watch(paths []string, ignored func(string) bool, except []string) (*watch.Watcher, error) {
	paths = slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return path == "" })
	w, err := watch.New(watch.Options{Roots: paths, Ignored: ignored, Except: except})
	if err == nil {
		s.watchers = append(s.watchers, w)
	}
	return w, err
}

// Reload reads the entities again and tells how it went.
func (s *Session) Reload(ctx context.Context) error {
	err := s.Host.Reload(ctx)
	if s.follow.Err() != nil {
		return err
	}
	if err != nil {
		s.out.print("%s: refused, the old configuration stays:", filepath.Base(s.config))
		s.out.indented(err.Error())
	} else {
		s.out.print("%s: the new configuration is live", filepath.Base(s.config))
	}
	return err
}

// Refresh is Reload: settings are read at the start only.
func (s *Session) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.Reload(ctx)
}

// Hints are lines for the beginning: what is watched, and what to try.
func (s *Session) Hints() []string {
	var hints []string
	for i, src := range s.sources {
		if len(src.roots) == 0 {
			hints = append(hints, fmt.Sprintf("plugin server %s: its command names no source; say watch in its settings", src.server))
			continue
		}
		hints = append(hints, fmt.Sprintf("plugin server %s: watching %d files in %s", src.server, s.watchers[i].Files(), strings.Join(src.roots, ", ")))
	}
	if addresses := s.Addresses(); len(addresses) > 0 {
		hints = append(hints, "try: curl -i http://"+addresses[0]+"/")
	}
	return hints
}

// Shutdown ends what follows the sources, and the gateway.
func (s *Session) Shutdown(ctx context.Context) error {
	s.unfollow()
	s.tasks.Wait()
	for _, w := range s.watchers {
		w.Close()
	}
	if s.Host == nil {
		return nil
	}
	return s.Host.Shutdown(ctx)
}
