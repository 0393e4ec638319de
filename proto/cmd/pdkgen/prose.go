package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/outrigger-gateway/outrigger/proto/pdkdef"
)

// language says how the texts of the definition are spelt in one language.
type language struct {
	null, yes, no string
	function      func(*pdkdef.Function) string // as an author writes it, such as kong.request.get_header
	param         func(*pdkdef.Param) string
}

// say fills the placeholders of a text about f (nil: about a namespace).
func (l language) say(def *pdkdef.Definition, f *pdkdef.Function, text string) string {
	return pdkdef.Placeholder.ReplaceAllStringFunc(text, func(match string) string {
		switch word := match[1 : len(match)-1]; word {
		case "null":
			return l.null
		case "true":
			return l.yes
		case "false":
			return l.no
		default:
			if f != nil {
				if p := f.Param(word); p != nil {
					return l.param(p)
				}
			}
			return l.function(def.Lookup(word))
		}
	})
}

// classText says what the class of a function means to its caller.
func classText(c pdkdef.Class) string {
	switch c {
	case pdkdef.Read:
		return "Class read, answered from the facts of the call."
	case pdkdef.Write:
		return "Class write, recorded and applied when the handler ends well."
	case pdkdef.Ask:
		return "Class ask, one round trip to the host."
	case pdkdef.Notice:
		return "Class notice, sent to the host one way."
	}
	return "Class exit, seals the outcome."
}

// phasesText lists the phases of a function.
func phasesText(f *pdkdef.Function) string {
	if f.AnyPhase {
		return "Phases: all."
	}
	return "Phases: " + strings.Join(f.Phases, ", ") + "."
}

// factsText is the closing paragraph about a function.
func factsText(f *pdkdef.Function) string {
	s := classText(f.Class) + " " + phasesText(f)
	if f.Source != "" {
		s += " Source: " + f.Source + "."
	}
	return s
}

// enumerate joins items as in "a, b or c".
func enumerate(items []string, word string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " " + word + " " + items[len(items)-1]
}

// lowerFirst makes a sentence go on behind other words.
func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'A' && s[1] <= 'Z' {
		return s // an abbreviation
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// upperFirst begins a sentence.
func upperFirst(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// listMarker is a word that would begin a list item if it stood at the start of a comment line.
var listMarker = regexp.MustCompile(`^([-+*•]|[0-9]+[.)])$`)

// wrap breaks text into lines of at most width columns. The first line starts with first, the others with rest; both count.
func wrap(text string, width int, first, rest string) []string {
	var lines []string
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		fits := len(line)+1+len(word) <= width
		if !empty && !fits && !listMarker.MatchString(word) {
			lines = append(lines, line)
			line, empty = rest, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return append(lines, line)
}

// firstSentence is the text up to its first full stop.
func firstSentence(s string) string {
	first, _, more := strings.Cut(s, ". ")
	if more {
		return first + "."
	}
	return s
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
