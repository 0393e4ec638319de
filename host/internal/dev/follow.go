package dev

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host/internal/authoring"
	"github.com/outrigger-gateway/outrigger/host/internal/watch"
)

// first builds a server before the gateway starts. While the build fails, it waits for a change.
func (s *Session) first(ctx context.Context, src *source, w *watch.Watcher) error {
	for {
		err := s.build(ctx, src)
		if err == nil || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(src.roots) == 0 {
			return fmt.Errorf("plugin server %q: %w", src.server, err)
		}
		s.out.print("plugin server %s: waiting for a change, the build failed:", src.server)
		s.out.indented(err.Error())
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case changed := <-w.Changes():
			s.changed(src, changed)
		}
	}
}

// followServer builds and replaces a server after each change until the session ends. A change that comes while an attempt is under way ends
// that attempt: it is out of date.
func (s *Session) followServer(src *source, w *watch.Watcher) {
	attempt := begin(s.follow, func(context.Context) {})
	for {
		select {
		case <-s.follow.Done():
			attempt.end()
			return
		case changed := <-w.Changes():
			attempt.end()
			s.changed(src, changed)
			attempt = begin(s.follow, func(ctx context.Context) { s.replace(ctx, src) })
		case over := <-src.retry:
			<-attempt.done
			if !src.refused {
				close(over)
				continue
			}
			attempt.end()
			attempt = begin(s.follow, func(ctx context.Context) {
				defer close(over)
				s.replace(ctx, src)
			})
		}
	}
}

// attempt runs in the background.
type attempt struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func begin(ctx context.Context, try func(context.Context)) *attempt {
	ctx, cancel := context.WithCancel(ctx)
	a := &attempt{cancel, make(chan struct{})}
	go func() {
		defer close(a.done)
		try(ctx)
	}()
	return a
}

// end stops the attempt and waits for it.
func (a *attempt) end() {
	a.cancel()
	<-a.done
}

// changed tells what changed.
func (s *Session) changed(src *source, paths []string) {
	const most = 3
	names := make([]string, 0, most)
	for i, path := range paths {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(paths)-most))
			break
		}
		names = append(names, src.name(path))
	}
	s.out.print("plugin server %s: %s changed", src.server, strings.Join(names, ", "))
}

// name of a file, from the root that it is below.
func (s *source) name(path string) string {
	for _, root := range s.roots {
		if rel, err := filepath.Rel(root, path); err == nil && rel != "." && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return filepath.Base(path)
}

// replace makes one attempt and tells how it went.
func (s *Session) replace(ctx context.Context, src *source) {
	started := time.Now()
	err := s.build(ctx, src)
	if err == nil {
		if src.compiled() {
			s.out.print("plugin server %s: built in %s", src.server, took(started))
		}
		started = time.Now()
		err = s.Replace(ctx, src.server, src.command)
	}
	src.refused = err != nil
	switch {
	case ctx.Err() != nil: // the next attempt tells
	case err == nil:
		s.out.print("plugin server %s: the new build serves, ready in %s", src.server, took(started))
	case s.Serving(src.server):
		s.out.print("plugin server %s: the old build goes on serving:", src.server)
		s.out.indented(err.Error())
	default:
		s.out.print("plugin server %s: does not serve:", src.server)
		s.out.indented(err.Error())
	}
}

// compiled says whether a change takes a build before the server is started.
func (s *source) compiled() bool {
	if s.plugin == "" {
		return len(s.build) > 0
	}
	language, err := authoring.Detect(s.plugin)
	return err == nil && (language == authoring.Go || language == authoring.TypeScript)
}

func took(started time.Time) time.Duration { return time.Since(started).Round(10 * time.Millisecond) }

// build makes the server from its sources, if that takes anything.
func (s *Session) build(ctx context.Context, src *source) error {
	if src.plugin != "" {
		command, _, err := authoring.Prepare(ctx, src.plugin, s.out)
		src.command = command
		return err
	}
	if len(src.build) == 0 {
		return nil
	}
	cmd := exec.CommandContext(ctx, src.build[0], src.build[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = src.dir, s.out, s.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, and what the command starts ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build: %s in %s: %w", strings.Join(src.build, " "), src.dir, err)
	}
	return nil
}

// followFiles reloads the entities when their file changes. Settings are read at the start only.
func (s *Session) followFiles(w *watch.Watcher) {
	same := func(path, file string) bool {
		abs, err := filepath.Abs(file)
		return err == nil && file != "" && abs == path
	}
	for {
		select {
		case <-s.follow.Done():
			return
		case changed := <-w.Changes():
			if slices.ContainsFunc(changed, func(path string) bool { return same(path, s.config) }) {
				s.out.print("%s changed", filepath.Base(s.config))
				s.retryRefused()
				_ = s.Reload(s.follow) // it tells
			}
			if slices.ContainsFunc(changed, func(path string) bool { return same(path, s.settings) }) {
				s.out.print("%s changed: settings are read at the start; start again to use them", filepath.Base(s.settings))
			}
		}
	}
}

// retryRefused tries builds again that were refused, perhaps because of the configuration from before.
func (s *Session) retryRefused() {
	for _, src := range s.sources {
		over := make(chan struct{})
		select {
		case src.retry <- over:
		case <-s.follow.Done():
			return
		}
		<-over
	}
}
