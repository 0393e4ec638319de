package replay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
)

// NewLog is the log of a replay, for people: what the server prints, line by line, and what goes wrong with it. Nothing else is of interest for
// one call.
func NewLog(w io.Writer) *slog.Logger { return slog.New(&output{mu: new(sync.Mutex), w: w}) }

type output struct {
	mu    *sync.Mutex
	w     io.Writer
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (o *output) Enabled(_ context.Context, level slog.Level) bool { return level > slog.LevelInfo }

// Handle implements slog.Handler.
func (o *output) Handle(_ context.Context, rec slog.Record) error {
	stream, more := "", ""
	note := func(a slog.Attr) bool {
		switch a.Key {
		case "stream":
			stream = a.Value.String()
		case "error", "reason":
			more = ": " + a.Value.String()
		}
		return true
	}
	for _, a := range o.attrs {
		note(a)
	}
	rec.Attrs(note)
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	switch {
	case stream != "":
		_, err = fmt.Fprintf(o.w, "%s: %s\n", stream, harmless(rec.Message))
	case rec.Level >= slog.LevelWarn:
		_, err = fmt.Fprintf(o.w, "%s%s\n", harmless(rec.Message), harmless(more))
	}
	return err
}

// WithAttrs implements slog.Handler.
func (o *output) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &output{o.mu, o.w, append(append([]slog.Attr{}, o.attrs...), attrs...)}
}

// WithGroup implements slog.Handler.
func (o *output) WithGroup(string) slog.Handler { return o }

// harmless spells the characters that would do something to a terminal: clients and plugins have written what stands in a recording. Lines stay.
func harmless(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 || unicode.Is(unicode.Bidi_Control, c) {
			fmt.Fprintf(&b, "\\u%04x", c)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}
