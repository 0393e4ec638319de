// Package watch tells which files changed: whole directories of sources and single files, however an editor writes them.
//
// The system's notices only say that it is worth looking. What counts is the content of the files: a file that is touched, or saved as it
// was, has not changed, and one that is replaced by a rename has if its content is another.
package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Default times of Options.
const (
	defaultQuiet = 100 * time.Millisecond
	longestQuiet = 2 * time.Second // a change is told at the latest after it, even if more go on
)

// Options of a watcher.
type Options struct {
	// Roots are directories, watched with everything below them, and files. A file need not exist yet; its directory must.
	Roots []string
	// Ignored says by its name that a file or directory below a root is no source, beside those that Noise names. Nil: no others.
	Ignored func(name string) bool
	// Except are absolute paths that do not count, such as a program that is built from the sources.
	Except []string
	// Quiet is how long nothing may change before a change is told: who saves a file often saves others too. 0 means 100 ms.
	Quiet time.Duration
}

// Noise tells by its name that a file or directory below a watched one is no source: hidden, installed, compiled, a log, or an editor's own.
func Noise(name string) bool {
	switch name {
	case "node_modules", "__pycache__", "4913": // vim tries with the last whether it may write
		return true
	}
	switch filepath.Ext(name) {
	case ".pyc", ".log", ".tmp", ".swp", ".swx", ".orig", ".bak":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#")
}

// Watcher watches until it is closed.
type Watcher struct {
	opts    Options
	roots   []string // absolute
	notices *fsnotify.Watcher
	changes chan []string
	stop    chan struct{}
	close   sync.Once
	done    chan struct{}
	begun   int

	files map[string]print // owned by run
}

// New begins to watch: a change after New has returned is told.
func New(o Options) (*Watcher, error) {
	if o.Quiet <= 0 {
		o.Quiet = defaultQuiet
	}
	w := &Watcher{opts: o, changes: make(chan []string), stop: make(chan struct{}), done: make(chan struct{})}
	for _, root := range o.Roots {
		path, err := filepath.Abs(root)
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", root, err)
		}
		w.roots = append(w.roots, path)
	}
	var err error
	if w.notices, err = fsnotify.NewWatcher(); err != nil {
		return nil, explain("", err)
	}
	if w.files, err = w.scan(nil, nil); err != nil {
		w.notices.Close()
		return nil, err
	}
	w.begun = len(w.files)
	go w.run()
	return w, nil
}

// Changes gives the absolute paths of files that have another content than when they were last given, or appeared, or are gone; sorted. While
// nobody receives, they add up.
func (w *Watcher) Changes() <-chan []string { return w.changes }

// Files is how many files were there at the beginning.
func (w *Watcher) Files() int { return w.begun }

// Close ends the watcher and waits for it. Changes is never closed.
func (w *Watcher) Close() {
	w.close.Do(func() { close(w.stop) })
	<-w.done
}

func (w *Watcher) run() {
	defer close(w.done)
	defer w.notices.Close()
	touched := map[string]bool{}
	changed := map[string]bool{} // not yet received
	var first time.Time          // of the notices since the last look
	look := time.NewTimer(0)
	<-look.C
	for {
		var tell chan []string
		var paths []string
		if len(changed) > 0 {
			tell = w.changes
			for path := range changed {
				paths = append(paths, path)
			}
			slices.Sort(paths)
		}
		select {
		case <-w.stop:
			look.Stop()
			return
		case notice := <-w.notices.Events:
			if !w.counts(notice) {
				continue
			}
			touched[notice.Name] = true
		case <-w.notices.Errors: // notices were lost: look everywhere
		case <-look.C:
			// What cannot be read now is read after the next notice.
			if now, err := w.scan(w.files, touched); err == nil {
				differ(w.files, now, changed)
				w.files = now
			}
			clear(touched)
			first = time.Time{}
			continue
		case tell <- paths:
			clear(changed)
			continue
		}
		if first.IsZero() {
			first = time.Now()
		}
		look.Reset(min(w.opts.Quiet, time.Until(first.Add(longestQuiet))))
	}
}

// counts says whether a notice may be about something that is watched.
func (w *Watcher) counts(notice fsnotify.Event) bool {
	if notice.Op == fsnotify.Chmod || slices.Contains(w.opts.Except, notice.Name) {
		return false
	}
	for _, root := range w.roots {
		if rest, below := strings.CutPrefix(notice.Name, root+string(filepath.Separator)); below {
			if !slices.ContainsFunc(strings.Split(rest, string(filepath.Separator)), w.ignored) {
				return true
			}
		} else if filepath.Dir(notice.Name) == filepath.Dir(root) {
			return true // of a file's neighbour too: the file may be a link through it
		}
	}
	return false
}

func (w *Watcher) ignored(name string) bool {
	return Noise(name) || w.opts.Ignored != nil && w.opts.Ignored(name)
}

// differ adds the paths to changed whose content is not what it was.
func differ(before, now map[string]print, changed map[string]bool) {
	for path, p := range now {
		if b, ok := before[path]; !ok || b.content != p.content {
			changed[path] = true
		}
	}
	for path := range before {
		if _, ok := now[path]; !ok {
			changed[path] = true
		}
	}
}

// explain says what to do about the limits of the system.
func explain(dir string, err error) error {
	doing := "watch for changes"
	if dir != "" {
		doing = "watch " + dir
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s: the system allows no more watched directories: raise fs.inotify.max_user_watches, or name fewer directories in watch", doing)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%s: the system allows no more watchers: raise fs.inotify.max_user_instances", doing)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: it does not exist", doing)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
