package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/host"
)

// parseFlags reads --name value and --name=value for the settings that have a flag, and --settings; rest are the other arguments. The flag of a
// setting that is on or off may stand alone: on.
func parseFlags(args []string, settings []host.Setting) (flags map[string]string, rest []string, err error) {
	flags = map[string]string{}
	for len(args) > 0 {
		name, value, inline := strings.Cut(args[0], "=")
		name, dashed := strings.CutPrefix(name, "--")
		if !dashed {
			rest, args = append(rest, args[0]), args[1:]
			continue
		}
		args = args[1:]
		given, boolean := name, false
		if name != "settings" {
			i := slices.IndexFunc(settings, func(s host.Setting) bool { return s.Flag == name || s.Name == name })
			if i < 0 {
				return nil, nil, fmt.Errorf("unknown flag --%s%s", name, nearest(name, settings))
			}
			boolean = settings[i].Type == "on or off"
			name = settings[i].Name
		}
		switch {
		case inline:
		case boolean && (len(args) == 0 || strings.HasPrefix(args[0], "--")):
			value = "on"
		case len(args) == 0 || strings.HasPrefix(args[0], "--"):
			return nil, nil, fmt.Errorf("--%s needs a value", given)
		default:
			value, args = args[0], args[1:]
		}
		if _, twice := flags[name]; twice {
			return nil, nil, fmt.Errorf("--%s is given twice", given)
		}
		flags[name] = value
	}
	return flags, rest, nil
}

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrongUsage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// take removes a flag without a value from args and reports whether it was there.
func take(args []string, flag string) (given bool, rest []string) {
	rest = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == flag })
	return len(rest) < len(args), rest
}

// takeValue takes a flag with a value out of args, in both spellings; "" when it is not there. It may be there once, and not without a value: another
// flag is none, unless it stands behind "=". The error is a usageError.
func takeValue(args []string, flag string) (value string, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		name, text, inline := strings.Cut(args[i], "=")
		if name != flag {
			rest = append(rest, args[i])
			continue
		}
		if value != "" {
			return "", nil, wrongUsage("%s is given twice", flag)
		}
		if value = text; !inline && i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
			i++
			value = args[i]
		}
		if value == "" {
			return "", nil, wrongUsage("%s needs a value", flag)
		}
	}
	return value, rest, nil
}

// nearest suggests a flag that shares most of its beginning with the name.
func nearest(name string, settings []host.Setting) string {
	var candidates []string
	for _, s := range settings {
		candidates = append(candidates, s.Flag, s.Name)
	}
	best := closest(name, candidates, 3)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean --%s?", best)
}

// closest is the first candidate that shares most of its beginning with text; "" when none shares at least so many bytes.
func closest(text string, candidates []string, least int) string {
	best, length := "", least-1
	for _, candidate := range candidates {
		n := 0
		for n < len(text) && n < len(candidate) && text[n] == candidate[n] {
			n++
		}
		if n > length {
			best, length = candidate, n
		}
	}
	return best
}
