package dev

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// lines writes to the terminal, from several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

// Write passes on what a build writes.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// print writes one line.
func (l *lines) print(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}

// indented writes a text of one or more lines below a line.
func (l *lines) indented(text string) {
	for line := range strings.Lines(text) {
		l.print("  %s", strings.TrimRight(line, "\n"))
	}
}
