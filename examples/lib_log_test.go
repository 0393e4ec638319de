package examples

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// output gathers the lines that a process writes, and wakes who waits for one.
type output struct {
	mu    sync.Mutex
	lines []string
	ended bool
	news  chan struct{} // closed and replaced when something came
}

// line is one line of the gateway's log in format json; other lines have only the field "text".
type line map[string]any

// has reports whether the fields are there with these values, as fmt prints them.
func (l line) has(pairs ...string) bool {
	for i := 0; i < len(pairs); i += 2 {
		v, ok := l[pairs[i]]
		if f, number := v.(float64); number && f == float64(int64(f)) {
			v = int64(f)
		}
		if !ok || fmt.Sprint(v) != pairs[i+1] {
			return false
		}
	}
	return true
}

func (l line) text(field string) string {
	s, _ := l[field].(string)
	return s
}

func parseLine(s string) line {
	l := line{}
	if json.Unmarshal([]byte(s), &l) != nil {
		return line{"text": s}
	}
	return l
}

func newOutput() *output { return &output{news: make(chan struct{})} }

// read takes lines until r ends.
func (o *output) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		s, err := in.ReadString('\n')
		if s != "" {
			o.add(strings.TrimRight(s, "\n"), false)
		}
		if err != nil {
			o.add("", true)
			return
		}
	}
}

func (o *output) add(s string, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if end {
		o.ended = true
	} else {
		o.lines = append(o.lines, s)
	}
	close(o.news)
	o.news = make(chan struct{})
}

// mark is a place in the output: what was written so far.
func (o *output) mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.lines)
}

// since returns the lines after a mark.
func (o *output) since(mark int) []line {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []line
	for _, s := range o.lines[mark:] {
		all = append(all, parseLine(s))
	}
	return all
}

// text is everything written so far.
func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "\n")
}

// wait returns the first line after a mark for which match holds.
func (o *output) wait(t testing.TB, mark int, what string, match func(line) bool) line {
	t.Helper()
	return o.waitWithin(t, patience, mark, what, match)
}

// waitWithin is wait with another time to wait.
func (o *output) waitWithin(t testing.TB, within time.Duration, mark int, what string, match func(line) bool) line {
	t.Helper()
	expired := time.After(within)
	for i := mark; ; {
		o.mu.Lock()
		fresh, ended, news := o.lines[min(i, len(o.lines)):], o.ended, o.news
		o.mu.Unlock()
		for _, s := range fresh {
			if l := parseLine(s); match(l) {
				return l
			}
			i++
		}
		if ended {
			t.Fatalf("waiting for %s: the process has closed its output; it wrote:\n%s", what, o.text())
		}
		select {
		case <-news:
		case <-expired:
			t.Fatalf("waiting for %s: not within %v", what, within)
		}
	}
}

// waitFields waits for a line with these fields.
func (o *output) waitFields(t testing.TB, mark int, pairs ...string) line {
	t.Helper()
	return o.wait(t, mark, fmt.Sprintf("a log line with %q", pairs), func(l line) bool { return l.has(pairs...) })
}

// count counts the lines after a mark with these fields.
func (o *output) count(mark int, pairs ...string) int {
	n := 0
	for _, l := range o.since(mark) {
		if l.has(pairs...) {
			n++
		}
	}
	return n
}
