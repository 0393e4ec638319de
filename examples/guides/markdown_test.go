package guides

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// step is one thing that a guide tells its reader to do, or that it shows.
type step struct {
	line int // in the guide
	kind string
	text string
	want string // output of commands
	// Of commands.
	background, hasWant bool
	code                int
}

const (
	commands = "sh"
	change   = "diff"
	more     = "text background"
	shown    = "source"
	stop     = "Ctrl-C"
)

// parse reads the steps of a guide.
func parse(text string) ([]step, error) {
	var steps []step
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		info, fence := strings.CutPrefix(lines[i], "```")
		if !fence {
			if strings.Contains(lines[i], stop) {
				steps = append(steps, step{line: i + 1, kind: stop})
			}
			continue
		}
		s := step{line: i + 1, kind: shown}
		end := i + 1
		for ; end < len(lines) && lines[end] != "```"; end++ {
			s.text += lines[end] + "\n"
		}
		if end == len(lines) {
			return nil, fmt.Errorf("line %d: the block has no end", i+1)
		}
		i = end
		switch words := strings.Fields(info); {
		case len(words) == 0:
			return nil, fmt.Errorf("line %d: the block has no language", s.line)
		case slices.Equal(words, strings.Fields(more)):
			s.kind = more
		case words[0] == "text":
			if len(steps) == 0 || steps[len(steps)-1].kind != commands || steps[len(steps)-1].hasWant {
				return nil, fmt.Errorf("line %d: the output does not follow a block of commands", s.line)
			}
			steps[len(steps)-1].want, steps[len(steps)-1].hasWant = s.text, true
			continue
		case words[0] == "diff":
			s.kind = change
		case words[0] == "sh":
			s.kind = commands
			switch {
			case slices.Equal(words[1:], []string{"background"}):
				s.background = true
			case len(words) == 3 && words[1] == "exit":
				var err error
				if s.code, err = strconv.Atoi(words[2]); err != nil {
					return nil, fmt.Errorf("line %d: exit code: %w", s.line, err)
				}
			case len(words) > 1:
				return nil, fmt.Errorf("line %d: found %q, expected sh, sh background or sh exit N", s.line, info)
			}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// extent is what of an output is expected.
type extent int

const (
	whole extent = iota
	beginning
	part // some lines
)

// pattern makes a regular expression of expected output.
func pattern(want string, e extent) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(map[extent]string{whole: `\A`, beginning: `\A`, part: `(?:\A|\n)`}[e])
	for line := range strings.Lines(want) {
		if line == "…\n" {
			b.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		b.WriteString(strings.Join(parts, `[^\n]*`))
	}
	if e == whole {
		b.WriteString(`\z`)
	}
	return regexp.MustCompile(b.String())
}

// patch makes the change of a diff block: a header of two lines with the name of the file, then lines that stay, go and come.
func patch(diff string, read func(name string) (string, error)) (name, text string, err error) {
	lines := strings.SplitAfter(strings.TrimSuffix(diff, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	if len(lines) < 3 || !strings.HasPrefix(lines[0], "--- ") || !strings.HasPrefix(lines[1], "+++ ") || lines[0][4:] != lines[1][4:] {
		return "", "", fmt.Errorf("found the diff %q; expected it to begin with --- and +++ and the name of one file", diff)
	}
	name = strings.TrimSpace(lines[0][4:])
	if text, err = read(name); err != nil {
		return "", "", err
	}
	var before, after strings.Builder
	for _, line := range lines[2:] {
		switch line[0] {
		case '-':
			before.WriteString(line[1:])
		case '+':
			after.WriteString(line[1:])
		case ' ':
			before.WriteString(line[1:])
			after.WriteString(line[1:])
		default:
			return "", "", fmt.Errorf("%s: found the line %q in a diff; expected it to begin with a blank, - or +", name, line)
		}
	}
	if strings.Count(text, before.String()) != 1 {
		return "", "", fmt.Errorf("%s: found these lines %d times, expected once:\n%s\nin\n%s", name, strings.Count(text, before.String()), before.String(), text)
	}
	return name, strings.Replace(text, before.String(), after.String(), 1), nil
}

func TestParse(t *testing.T) {
	steps, err := parse("# T\n\n```sh\na\nb\n```\n\n```text\nout\n```\n```sh background\nc\n```\n```text background\nmore\n```\nstop it with Ctrl-C\n```sh exit 3\nd\n```\n```diff\n--- f\n+++ f\n+x\n```\n```go\nf()\n```\n")
	want := []step{
		{line: 3, kind: commands, text: "a\nb\n", want: "out\n", hasWant: true},
		{line: 11, kind: commands, text: "c\n", background: true},
		{line: 14, kind: more, text: "more\n"},
		{line: 17, kind: stop},
		{line: 18, kind: commands, text: "d\n", code: 3},
		{line: 21, kind: change, text: "--- f\n+++ f\n+x\n"},
		{line: 26, kind: shown, text: "f()\n"},
	}
	if err != nil || !slices.Equal(steps, want) {
		t.Errorf("found %+v, %v; expected %+v", steps, err, want)
	}
	for _, bad := range []string{"```sh\na\n", "```\na\n```\n", "```text\na\n```\n", "```sh forground\na\n```\n", "```sh exit x\na\n```\n", "```sh\na\n```\n```text\n```\n```text\n```\n"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		want, found string
		extent      extent
		fits        bool
	}{
		{"a\n", "a\n", whole, true},
		{"a\n", "a\nb\n", whole, false},
		{"a\n", "a\nb\n", beginning, true},
		{"b\n", "a\nb\n", beginning, false},
		{"…\nb\n", "a\nb\n", whole, true},
		{"…\nb\n", "b\n", whole, true},
		{"…\nb\n", "ab\n", whole, false},
		{"a\n…\nd\n", "a\nb\nc\nd\n", whole, true},
		{"took …s (ok)\n", "took 1.5s (ok)\n", whole, true},
		{"took …s\n", "took\n1s\n", whole, false},
		{"b\n", "a\nb\nc\n", part, true},
		{"b\n…\nd\n", "a\nb\nc\nd\n", part, true},
		{"b\n", "ab\n", part, false},
		{"a.c\n", "abc\n", whole, false},
	} {
		if pattern(c.want, c.extent).MatchString(c.found) != c.fits {
			t.Errorf("%q with %q, extent %v: found %v, expected %v", c.found, c.want, c.extent, !c.fits, c.fits)
		}
	}
}

func TestPatch(t *testing.T) {
	read := func(string) (string, error) { return "one\ntwo\ntwo\nthree\n", nil }
	name, text, err := patch("--- f\n+++ f\n one\n-two\n+2\n+zwei\n", read)
	if name != "f" || text != "one\n2\nzwei\ntwo\nthree\n" || err != nil {
		t.Errorf("found %q, %q, %v", name, text, err)
	}
	for _, bad := range []string{"-two\n+2\n", "--- f\n+++ g\n-one\n", "--- f\n+++ f\n-two\n", "--- f\n+++ f\n-four\n", "--- f\n+++ f\none\n"} {
		if _, _, err := patch(bad, read); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
