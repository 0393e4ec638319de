package top

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Options of a display.
type Options struct {
	Source   *Source
	Interval time.Duration
	Once     bool // one table, then the end
	Out      io.Writer
	In       io.Reader // keys; nil: none
	// Size is that of the screen; nil: Out is no terminal, and tables follow each other as plain text.
	Size func() (width, height int)
}

// Run shows tables until ctx ends, or somebody types q or Ctrl-C. A gateway that does not answer at first is an error, later a line of the table.
func Run(ctx context.Context, o Options) error {
	before, err := o.Source.Sample(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.In != nil {
		go quitOnKey(o.In, cancel)
	}
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	shown := []string{"measuring for " + o.Interval.String()}
	if o.Size != nil {
		if err := o.draw(shown); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := o.Source.Sample(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (o.Once || o.Size == nil):
			return err
		case err != nil:
			err = o.draw(append([]string{"the gateway does not answer: " + oneLine(err.Error()), ""}, shown...))
		default:
			shown = Between(before, now).Lines()
			before = now
			err = o.draw(shown)
		}
		if err != nil || o.Once {
			return err
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// quitOnKey ends the display on q, Q and Ctrl-C, which a terminal in raw mode sends as a byte.
func quitOnKey(in io.Reader, cancel func()) {
	r := bufio.NewReader(in)
	for {
		switch key, err := r.ReadByte(); {
		case err != nil:
			return
		case key == 'q' || key == 'Q' || key == 3:
			cancel()
			return
		}
	}
}

// draw writes a table: in the place of the last one on a terminal, below it elsewhere.
func (o *Options) draw(lines []string) error {
	var b strings.Builder
	if o.Size == nil {
		for _, line := range lines {
			b.WriteString(line + "\n")
		}
		if !o.Once {
			b.WriteString("\n")
		}
	} else {
		width, height := o.Size()
		lines = fit(append(lines, "", "q quits"), width, height)
		b.WriteString("\x1b[H")
		for i, line := range lines {
			if i > 0 {
				b.WriteString("\r\n")
			}
			b.WriteString(line + "\x1b[K")
		}
		b.WriteString("\x1b[J")
	}
	_, err := io.WriteString(o.Out, b.String())
	return err
}

// fit cuts lines to a screen. The last line that has room says how many are missing.
func fit(lines []string, width, height int) []string {
	if height > 0 && len(lines) > height {
		missing := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], fmt.Sprintf("%d more lines; q quits", missing))
	}
	for i, line := range lines {
		if width > 0 && utf8.RuneCountInString(line) > width {
			lines[i] = string([]rune(line)[:width])
		}
	}
	return lines
}

// Terminal prepares a display on the terminal of the process: keys come one by one, and the table has a screen of its own. Restore ends that; it must be
// called. When out is no terminal, nothing is changed and tables are plain text.
func (o *Options) Terminal(in, out *os.File) (restore func(), err error) {
	o.Out = out
	if !term.IsTerminal(int(out.Fd())) || o.Once {
		return func() {}, nil
	}
	keys := func() {}
	if term.IsTerminal(int(in.Fd())) {
		state, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return nil, fmt.Errorf("preparing the terminal: %w", err)
		}
		o.In = in
		keys = func() { _ = term.Restore(int(in.Fd()), state) }
	}
	o.Size = func() (width, height int) {
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil {
			return 0, 0
		}
		return width, height
	}
	if _, err := io.WriteString(out, "\x1b[?1049h\x1b[?25l"); err != nil { // a screen of its own, no cursor
		keys()
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	return func() {
		_, _ = io.WriteString(out, "\x1b[?25h\x1b[?1049l")
		keys()
	}, nil
}
