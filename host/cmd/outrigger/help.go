package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/outrigger-gateway/outrigger/host"
)

const usage = `Outrigger is an API gateway and the host of plugins that run in other processes.

Usage:
  outrigger run     [--settings outrigger.yaml] [--config gateway.yaml] [--listen 127.0.0.1:8000]
  outrigger dev     [DIR...] [--settings outrigger.yaml] [--config gateway.yaml] [--listen 127.0.0.1:8000]
  outrigger check   [--settings outrigger.yaml] [--config gateway.yaml]
  outrigger explain [--settings outrigger.yaml] [--config gateway.yaml] [--url http://host/path] [--consumer NAME] ...
  outrigger lint    [--settings outrigger.yaml] [--config gateway.yaml] [--strict]
  outrigger replace NAME [--admin ADDRESS] [--canary SHARE] [-- PROGRAM ARGUMENT...]
  outrigger replay  FILE -- COMMAND ARGS...
  outrigger top     [--admin ADDRESS | --status ADDRESS] [--interval 1s] [--once]
  outrigger plugin  new NAME --lang go|python|js|ts
  outrigger plugin  test [DIR]
  outrigger bench   [--quick] [--json] [--settings outrigger.yaml] ...
  outrigger version
  outrigger help    [settings | explain | lint | replace | replay | top | plugin | bench]

run starts the gateway and prints one line with its addresses when it accepts requests. SIGHUP reads the entities and the plugin servers of
the settings again: plugin servers whose settings or program changed are replaced without losing a request; when anything is wrong, what runs goes
on. SIGINT and SIGTERM finish the requests in flight and end with exit code 0, or 1 when drain_timeout was not enough; a second one ends at once.

dev runs the gateway for the author of the plugins in DIR (made by outrigger plugin new; this directory if none is named), or of the plugin
servers in the settings. When a source changes, the plugin server is built and started beside the old one, and takes over once it is healthy and
has accepted its configuration: no request is lost, and a build that fails changes nothing. gateway.yaml is read again when it changes.

check validates settings and entities without serving, including the configuration of external plugins: it starts the managed
plugin servers and asks them. Exit code 1 and one line per error when something is wrong.

explain says which route a request gets and which plugins run for it, in which order and why: see outrigger help explain.

lint finds what a valid configuration most likely does not mean, such as routes that nothing reaches: see outrigger help lint.

replace puts a new build of a plugin server in the place of the old one of a running gateway: see outrigger help replace.

replay sends a failing call that the black box has recorded (setting black_box) to a plugin server again: see outrigger help replay.

top shows what the plugin servers of a running gateway do, refreshed in place: see outrigger help top.

plugin new writes a plugin with unit tests, plugin test runs them: see outrigger help plugin.

bench measures what plugins cost on this machine, also those of your own configuration: see outrigger help bench.

The settings (listeners, plugin servers, limits, log) are in one file, the entities (services, routes, consumers, plugins) in another, in
Kong's declarative format. Every setting is also an environment variable and a flag: see outrigger help settings.
`

func help(args []string, out, errOut io.Writer) int {
	switch {
	case len(args) == 0 || slices.Contains([]string{"run", "dev", "check", "version", "help"}, args[0]):
		fmt.Fprint(out, usage)
		return exitOK
	case args[0] == "settings":
		printSettings(out)
		return exitOK
	case args[0] == "explain":
		fmt.Fprint(out, explainUsage)
		return exitOK
	case args[0] == "lint":
		fmt.Fprint(out, lintUsage)
		return exitOK
	case args[0] == "replace":
		fmt.Fprint(out, replaceUsage)
		return exitOK
	case args[0] == "replay":
		fmt.Fprint(out, replayUsage)
		return exitOK
	case args[0] == "top":
		fmt.Fprint(out, topUsage)
		return exitOK
	case args[0] == "plugin":
		fmt.Fprint(out, pluginUsage)
		return exitOK
	case args[0] == "bench":
		return helpBench(out)
	}
	fmt.Fprintf(errOut, "outrigger help: unknown topic %q; expected settings, explain, lint, replace, replay, top, plugin, bench, or nothing\n", args[0])
	return exitUsage
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
