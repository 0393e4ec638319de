package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/host/internal/authoring"
	"github.com/outrigger-gateway/outrigger/plugins"
)

const pluginUsage = `Tools for authors of plugins.

Usage:
  outrigger plugin new NAME --lang go|python|js|ts [--dir DIR]
  outrigger plugin test [DIR]

new writes a plugin with unit tests into the directory NAME, or DIR: a small one that works, to be changed. It brings the SDK along, and needs
no network.

test runs the unit tests of the plugin in DIR, or in this directory, and ends with their exit code. The first time, and when what the plugin
needs has changed, it installs the SDK and the other dependencies into that directory, which takes the network unless they are cached. Go needs
the Go toolchain, Python 3.11 or newer, JavaScript and TypeScript Node.js 20 or newer.
`

func plugin(args []string, out, errOut io.Writer) int {
	if len(args) > 0 && (args[0] == "help" || slices.Contains(args, "--help") || slices.Contains(args, "-h")) {
		fmt.Fprint(out, pluginUsage)
		return exitOK
	}
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "new":
		return pluginNew(args, out, errOut)
	case "test":
		return pluginTest(args, out, errOut)
	case "":
		fmt.Fprintf(errOut, "outrigger plugin: found no command; expected new or test\nSee: outrigger help plugin\n")
	default:
		fmt.Fprintf(errOut, "outrigger plugin: unknown command %q; expected new or test\nSee: outrigger help plugin\n", command)
	}
	return exitUsage
}

// newPlugin is what the command line of plugin new says.
type newPlugin struct {
	name, dir string
	language  authoring.Language
}

func pluginNew(args []string, out, errOut io.Writer) int {
	n, err := parseNew(args)
	if err != nil {
		fmt.Fprintf(errOut, "outrigger plugin new: %v\nSee: outrigger help plugin\n", err)
		return exitUsage
	}
	if err := authoring.New(n.name, n.language, n.dir); err != nil {
		return fail(errOut, err)
	}
	fmt.Fprintf(out, "wrote the plugin %s into %s\n\n", n.name, n.dir)
	if n.dir != "." {
		fmt.Fprintf(out, "  cd %s\n", n.dir)
	}
	fmt.Fprint(out, "  outrigger plugin test\n  outrigger dev\n\nREADME.md there says what it does.\n")
	return exitOK
}

// parseNew reads NAME and the flags, in any order.
func parseNew(args []string) (newPlugin, error) {
	var n newPlugin
	flags := map[string]string{}
	for len(args) > 0 {
		name, value, inline := strings.Cut(args[0], "=")
		name, dashed := strings.CutPrefix(name, "--")
		switch {
		case strings.HasPrefix(args[0], "-") && !dashed:
			return n, fmt.Errorf("unknown flag %s; expected --lang or --dir", args[0])
		case !dashed && n.name != "":
			return n, fmt.Errorf("found a second name, %q, after %q", args[0], n.name)
		case !dashed:
			n.name, args = args[0], args[1:]
			if err := authoring.CheckName(n.name); err != nil {
				return n, err
			}
			continue
		case name != "lang" && name != "dir":
			return n, fmt.Errorf("unknown flag --%s%s; expected --lang or --dir", name, suggest("--", name, []string{"lang", "dir"}))
		case inline:
			args = args[1:]
		case len(args) == 1 || strings.HasPrefix(args[1], "--"):
			return n, fmt.Errorf("--%s needs a value", name)
		default:
			value, args = args[1], args[2:]
		}
		if _, twice := flags[name]; twice {
			return n, fmt.Errorf("--%s is given twice", name)
		}
		if value == "" {
			return n, fmt.Errorf("--%s needs a value", name)
		}
		flags[name] = value
	}
	if n.name == "" {
		return n, fmt.Errorf("found no name; expected one such as my-plugin")
	}
	for _, native := range plugins.All() {
		if native.Name == n.name {
			return n, fmt.Errorf("the name %q is that of a plugin in the gateway; expected another one", n.name)
		}
	}
	if n.dir = flags["dir"]; n.dir == "" {
		n.dir = n.name
	}
	var err error
	n.language, err = languageOf(flags["lang"])
	return n, err
}

// languageOf reads the value of --lang.
func languageOf(text string) (authoring.Language, error) {
	var words []string
	for _, l := range authoring.Languages() {
		if text == string(l) {
			return l, nil
		}
		words = append(words, string(l))
	}
	if text == "" {
		return "", fmt.Errorf("found no --lang; expected --lang go, python, js or ts")
	}
	lower := strings.ToLower(text)
	other := map[string]string{"golang": "go", "py": "python", "javascript": "js", "node": "js", "nodejs": "js", "mjs": "js", "typescript": "ts"}[lower]
	if other != "" {
		words, lower = []string{other}, other
	}
	return "", fmt.Errorf("unknown language %q%s; expected go, python, js or ts", text, suggest("", lower, words))
}

// suggest names the word that is equal, or shares most of its beginning with text.
func suggest(prefix, text string, words []string) string {
	best := closest(text, words, 2)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s%s?", prefix, best)
}

func pluginTest(args []string, out, errOut io.Writer) int {
	dir := "."
	switch {
	case len(args) > 0 && strings.HasPrefix(args[0], "-"):
		fmt.Fprintf(errOut, "outrigger plugin test: unknown flag %s; expected a directory, or nothing\nSee: outrigger help plugin\n", args[0])
		return exitUsage
	case len(args) > 1:
		fmt.Fprintf(errOut, "outrigger plugin test: found %d arguments; expected one directory, or nothing\nSee: outrigger help plugin\n", len(args))
		return exitUsage
	case len(args) == 1:
		dir = args[0]
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	code, err := authoring.Test(ctx, dir, out, errOut)
	if err != nil {
		return fail(errOut, err)
	}
	return code
}
