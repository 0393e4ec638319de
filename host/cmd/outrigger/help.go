package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/outrigger-gateway/outrigger/host"
)

const (
	intro  = "Outrigger is an API gateway and the host of plugins that run in other processes.\n"
	ending = `The settings (listeners, plugin servers, limits, log) are in one file, the entities (services, routes, consumers, plugins) in another, in
Kong's declarative format. Every setting is also an environment variable and a flag: see outrigger help settings.
`
)

// usage is what outrigger help prints.
func usage() string {
	var b strings.Builder
	b.WriteString(intro + "\nUsage:\n")
	all := commands()
	for _, c := range all {
		for _, line := range c.synopsis {
			b.WriteString(strings.TrimRight(fmt.Sprintf("  outrigger %-10s %s", c.name, line), " ") + "\n")
		}
	}
	for _, c := range all {
		if c.about != "" {
			b.WriteString("\n" + c.about + "\n")
		}
	}
	b.WriteString("\n" + ending)
	return b.String()
}

func help(args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(out, usage())
		return exitOK
	}
	if args[0] == "settings" {
		printSettings(out)
		return exitOK
	}
	c, ok := commandOf(args[0])
	switch {
	case !ok:
		fmt.Fprintf(errOut, "outrigger help: unknown topic %q; expected settings, %s, or nothing\n", args[0], strings.Replace(commandNames(), " or ", ", ", 1))
		return exitUsage
	case c.topic == "":
		fmt.Fprint(out, usage())
	default:
		fmt.Fprint(out, c.topic)
	}
	return exitOK
}

func printSettings(out io.Writer) {
	fmt.Fprintln(out, "A flag wins over a variable, a variable over the settings file, the file over the default.")
	for _, s := range host.Settings() {
		fmt.Fprintf(out, "\n%s (%s%s)\n    %s\n    --%s, %s\n", s.Name, s.Type, unless(s.Default), s.Doc, s.Flag, s.Env)
		for _, f := range s.Fields {
			fmt.Fprintf(out, "    %s (%s%s)\n        %s\n", f.Name, f.Type, unless(f.Default), f.Doc)
		}
	}
}

// unless names a default if there is one.
func unless(value string) string {
	if value == "" {
		return ""
	}
	return "; default " + value
}
