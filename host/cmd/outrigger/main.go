// Command outrigger is the gateway.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/outrigger-gateway/outrigger/bench/roles"
	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/plugins"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the configuration is wrong, or something could not be started
	exitUsage  = 2 // the command line is wrong
)

func main() {
	if host.RunReaper() {
		return
	}
	host.PaceCollector()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errOut io.Writer) int {
	word := "help"
	if len(args) > 0 {
		word, args = args[0], args[1:]
	}
	if word == roles.Command {
		return benchRole(args, out, errOut)
	}
	c, ok := commandOf(word)
	if !ok {
		fmt.Fprintf(errOut, "outrigger: unknown command %q; expected %s\n", word, commandNames())
		return exitUsage
	}
	if c.topic == "" && (slices.Contains(args, "--help") || slices.Contains(args, "-h")) {
		return help([]string{c.name}, out, errOut)
	}
	return c.run(args, out, errOut)
}

// options reads the flags of run and check.
func options(command string, args []string, errOut io.Writer) (host.Options, bool) {
	o, rest, ok := arguments(command, args, errOut)
	if ok && len(rest) > 0 {
		fmt.Fprintf(errOut, "outrigger %s: found %q, expected a flag such as --config gateway.yaml\nSee: outrigger help %s\n", command, rest[0], command)
		return host.Options{}, false
	}
	return o, ok
}

// arguments reads the flags, and what stands between them.
func arguments(command string, args []string, errOut io.Writer) (o host.Options, rest []string, ok bool) {
	flags, rest, err := parseFlags(args, host.Settings())
	if err != nil {
		fmt.Fprintf(errOut, "outrigger %s: %v\nSee: outrigger help %s\n", command, err, command)
		return host.Options{}, nil, false
	}
	settings := flags["settings"]
	delete(flags, "settings")
	if settings == "" {
		settings = os.Getenv("OUTRIGGER_SETTINGS")
	}
	return host.Options{SettingsFile: settings, Env: os.Environ(), Flags: flags, Plugins: plugins.All()}, rest, true
}

func check(args []string, out, errOut io.Writer) int {
	o, ok := options("check", args, errOut)
	if !ok {
		return exitUsage
	}
	h, err := host.New(o)
	if err != nil {
		return fail(errOut, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	found, err := h.Check(ctx)
	if err != nil {
		return fail(errOut, err)
	}
	for _, w := range found.Warnings {
		fmt.Fprintln(errOut, "warning: "+w)
	}
	fmt.Fprintf(out, "the configuration is valid: %d services, %d routes, %d consumers, %d plugins, %d plugin servers\n",
		found.Services, found.Routes, found.Consumers, found.Plugins, found.Servers)
	for _, i := range found.Isolation {
		fmt.Fprintf(out, "isolation of plugin server %q:\n", i.Server)
		for _, line := range i.Lines {
			fmt.Fprintf(out, "  %s: %s\n", line[0], line[1])
		}
	}
	return exitOK
}

func fail(errOut io.Writer, err error) int {
	fmt.Fprintln(errOut, err)
	return exitFailed
}

// failAs is fail for a command that may have --json: a program then finds the error where it looks for the answer, in the form in which the Admin listener
// refuses.
func failAs(asJSON bool, out, errOut io.Writer, err error) int {
	if asJSON {
		_ = writeJSON(out, map[string]string{"message": err.Error()}) // the text below says the same
	}
	return fail(errOut, err)
}
