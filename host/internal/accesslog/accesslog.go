// Package accesslog writes one line of JSON for every request. Whoever serves a request makes its line, from the fields that were chosen, and leaves it
// here; a goroutine of the log's own writes what has gathered. Nobody waits for a disk: what finds no room is dropped and counted.
package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Stdout and Stderr are the paths that stand for the streams of the process.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

const (
	// gather is how long lines gather before they are written.
	gather = 10 * time.Millisecond
	// lookAfter is how often the writer looks, while it writes, whether its file was moved or removed.
	lookAfter = time.Second
	// mostKept bounds the room that is kept for other lines, in bytes.
	mostKept = 1 << 20
)

// Options of a log.
type Options struct {
	Path   string // of a file, Stdout or Stderr
	Fields []Field
	Room   int // for lines that wait, in bytes
	Logger *slog.Logger
}

// Log is an access log. Append may be called by many at once.
type Log struct {
	fields []Field
	room   int
	logger *slog.Logger
	file   *output // the writer's

	mu      sync.Mutex // guards pending and closed
	pending []byte     // lines
	closed  bool

	wake    chan struct{} // something is pending, or reopen is set
	reopen  atomic.Bool
	stop    chan struct{}
	done    chan struct{} // the writer has ended
	dropped atomic.Uint64
	failed  atomic.Uint64
	telling atomic.Bool // that lines were dropped, on behalf of a request
}

// Open opens the file and starts the writer. Close ends it.
func Open(o Options) (*Log, error) {
	file, err := openOutput(o.Path)
	if err != nil {
		return nil, err
	}
	l := &Log{
		fields: o.Fields, room: o.Room, logger: o.Logger, file: file,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go l.run()
	return l, nil
}

// Fields are those of a line, in their order.
func (l *Log) Fields() []Field { return l.fields }

// Dropped is the number of lines that were not written: they found no room, or the file took them not.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Append leaves a line, with its line end, for the writer. The line is copied.
func (l *Log) Append(line []byte) {
	l.mu.Lock()
	closed := l.closed
	fits := !closed && len(l.pending)+len(line) <= l.room
	before := len(l.pending)
	if fits {
		l.pending = append(l.pending, line...)
	}
	now := len(l.pending)
	l.mu.Unlock()
	switch {
	case closed:
		l.dropAside("the log is closed, and the request ended later")
	case !fits:
		l.dropAside("proxy_access_log_buffer is full")
	case before == 0, before < l.room/2 && now >= l.room/2: // something to write; no more time to gather
		l.signal()
	}
}

// drop counts lines that nobody will read, and reports whether to tell of it: the first, second, fourth, … time, so that a flood does not become a flood
// of lines.
func (l *Log) drop(n int) bool {
	l.dropped.Add(uint64(n))
	times := l.failed.Add(1)
	return times&(times-1) == 0
}

// dropAside is drop for the line of a request, which does not wait for the logger: both logs may lead to the same reader, who takes nothing.
func (l *Log) dropAside(why string) {
	if !l.drop(1) || !l.telling.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer l.telling.Store(false)
		l.tell(why)
	}()
}

func (l *Log) tell(why string) {
	l.logger.Warn("lines of the access log are dropped", "reason", why, "dropped", l.dropped.Load())
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Reopen makes the writer open its path anew before it writes again: the file was moved by whoever rotates logs. It returns at once.
func (l *Log) Reopen() {
	l.reopen.Store(true)
	l.signal()
}

// Close writes what is pending and ends the log, at most until ctx ends. Lines that come later are dropped.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.stop)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the access log %s does not take its last lines: %w", l.file.path, ctx.Err())
	}
}

// run is the writer.
func (l *Log) run() {
	defer close(l.done)
	var spare []byte
	timer := time.NewTimer(gather)
	timer.Stop()
	for ended := false; !ended; {
		select {
		case <-l.wake:
			timer.Reset(gather)
			select {
			case <-timer.C:
			case <-l.wake:
			case <-l.stop:
			}
		case <-l.stop:
			ended = true
		}
		spare = l.write(spare)
	}
	if err := l.file.close(); err != nil {
		l.logger.Error("closing the access log", "path", l.file.path, "error", err.Error())
	}
}

// write writes what is pending. It leaves spare in its place and returns room for the next time.
func (l *Log) write(spare []byte) []byte {
	l.mu.Lock()
	lines := l.pending
	l.pending = spare[:0]
	l.mu.Unlock()
	if err := l.file.follow(l.reopen.Swap(false)); err != nil {
		l.logger.Error("the access log is not opened anew, the old file takes its lines", "path", l.file.path, "error", err.Error())
	}
	if rest, err := l.file.write(lines); err != nil && l.drop(bytes.Count(rest, []byte{'\n'})) {
		l.tell(err.Error())
	}
	if cap(lines) > mostKept {
		return nil
	}
	return lines
}

// output is a file that lines are appended to, or a stream of the process. It belongs to one goroutine.
type output struct {
	path   string
	file   *os.File
	is     fs.FileInfo // of file; nil: a stream
	looked time.Time   // at the path
	torn   bool        // the last line lacks its end
}

func openOutput(path string) (*output, error) {
	switch path {
	case Stdout:
		return &output{path: path, file: os.Stdout}, nil
	case Stderr:
		return &output{path: path, file: os.Stderr}, nil
	}
	o := &output{path: path, looked: time.Now()}
	return o, o.open()
}

// open opens the path in the place of what is open.
func (o *output) open() error {
	if is, err := os.Stat(o.path); err == nil && !is.Mode().IsRegular() && is.Mode()&fs.ModeCharDevice == 0 {
		return fmt.Errorf("%s: found a %s, expected a file, or one that can be made", o.path, kindOf(is.Mode()))
	}
	file, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	is, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if o.file != nil {
		err = o.file.Close()
	}
	o.file, o.is, o.torn = file, is, false
	return err
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// follow opens the path anew when somebody said so, or when another file is there by now, or none.
func (o *output) follow(told bool) error {
	if o.is == nil {
		return nil
	}
	if now := time.Now(); !told {
		if now.Sub(o.looked) < lookAfter {
			return nil
		}
		o.looked = now
		if is, err := os.Stat(o.path); err == nil && os.SameFile(is, o.is) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return o.open()
}

// write writes lines. After an error rest is what was not written; a line that was written in part is ended before the next ones.
func (o *output) write(lines []byte) (rest []byte, err error) {
	if len(lines) == 0 {
		return nil, nil
	}
	if o.torn && o.empty() {
		o.torn = false // the file was truncated meanwhile
	}
	if o.torn {
		if _, err := o.file.Write([]byte{'\n'}); err != nil {
			return lines, err
		}
		o.torn = false
	}
	n, err := o.file.Write(lines)
	if err != nil {
		o.torn = n > 0 && lines[n-1] != '\n'
	}
	return lines[n:], err
}

// empty reports whether the file holds nothing.
func (o *output) empty() bool {
	is, err := o.file.Stat()
	return err == nil && is.Mode().IsRegular() && is.Size() == 0
}

func (o *output) close() error {
	if o.is == nil {
		return nil
	}
	return o.file.Close()
}
