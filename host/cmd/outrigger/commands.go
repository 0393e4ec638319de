package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/outrigger-gateway/outrigger/bench"
	"github.com/outrigger-gateway/outrigger/host"
)

// command is a word of the command line. Help, completion and man page are made of these.
type command struct {
	name     string
	short    string   // what it does, in a few words
	synopsis []string // what may stand behind the name
	about    string   // paragraph of outrigger help; "" for the short ones
	topic    string   // text of outrigger help NAME; "": outrigger help says all
	words    []string // that may follow the name
	settings bool     // takes the flag of every setting
	run      func(args []string, out, errOut io.Writer) int
}

// commands are all of them, in the order of the help.
func commands() []command {
	return []command{
		{
			name: "run", short: "runs the gateway", settings: true, run: serve,
			synopsis: []string{"[--settings outrigger.yaml] [--config gateway.yaml] [--listen 127.0.0.1:8000]"},
			about: `run starts the gateway and prints one line with its addresses when it accepts requests. SIGHUP reads the entities and the plugin servers of
the settings again: plugin servers whose settings or program changed are replaced without losing a request; when anything is wrong, what runs goes
on. SIGUSR1 opens log files anew. SIGUSR2 starts the program again, as it is on disk by now, and hands the listeners over without losing a request: see
outrigger help upgrade.
SIGINT and SIGTERM finish the requests in flight and end with exit code 0, or 1 when drain_timeout was not enough; a second one ends at once.`,
		},
		{
			name: "dev", short: "runs the gateway for authors of plugins", settings: true, run: develop,
			synopsis: []string{"[DIR...] [--settings outrigger.yaml] [--config gateway.yaml] [--listen 127.0.0.1:8000]"},
			about: `dev runs the gateway for the author of the plugins in DIR (made by outrigger plugin new; this directory if none is named), or of the plugin
servers in the settings. When a source changes, the plugin server is built and started beside the old one, and takes over once it is healthy and
has accepted its configuration: no request is lost, and a build that fails changes nothing. gateway.yaml is read again when it changes.`,
		},
		{
			name: "check", short: "validates settings and entities", settings: true, run: check,
			synopsis: []string{"[--settings outrigger.yaml] [--config gateway.yaml]"},
			about: `check validates settings and entities without serving, including the configuration of external plugins: it starts the managed
plugin servers and asks them. Exit code 1 and one line per error when something is wrong.`,
		},
		{
			name: "explain", short: "says what the gateway would do with a request", settings: true, run: explainCommand, topic: explainUsage,
			synopsis: []string{"[--settings outrigger.yaml] [--config gateway.yaml] [--url http://host/path] [--consumer NAME] ..."},
			about:    `explain says which route a request gets and which plugins run for it, in which order and why: see outrigger help explain.`,
		},
		{
			name: "lint", short: "finds what a configuration most likely does not mean", settings: true, run: lint, topic: lintUsage,
			synopsis: []string{"[--settings outrigger.yaml] [--config gateway.yaml] [--strict]"},
			about:    `lint finds what a valid configuration most likely does not mean, such as routes that nothing reaches: see outrigger help lint.`,
		},
		{
			name: "config", short: "formats, converts, compares and restores declarative files", settings: true, run: configCommand, topic: configUsage,
			words: []string{"fmt", "convert", "diff", "restore"},
			synopsis: []string{
				"fmt FILE... [--write | --check]", "convert FILE [--to kong|deck] [--json | --yaml] [--output FILE]", "diff OLD.yaml NEW.yaml [--offline] [--json]",
				"diff NEW.yaml [--admin ADDRESS]", "restore [HASH] [--list] [--output FILE]",
			},
			about: `config works on declarative files: it formats them, leads them from one dialect to another, compares them with each other or with a running
gateway, and puts back one that was live: see outrigger help config.`,
		},
		{
			name: "replace", short: "replaces a plugin server of a running gateway", settings: true, run: replaceCommand, topic: replaceUsage,
			synopsis: []string{"NAME [--admin ADDRESS] [--canary SHARE] [-- PROGRAM ARGUMENT...]"},
			about:    `replace puts a new build of a plugin server in the place of the old one of a running gateway: see outrigger help replace.`,
		},
		{
			name: "upgrade", short: "replaces the program of a running gateway", settings: true, run: upgradeCommand, topic: upgradeUsage,
			synopsis: []string{"[--admin ADDRESS]"},
			about:    `upgrade puts a new version of the program in the place of a running gateway: see outrigger help upgrade.`,
		},
		{
			name: "log-level", short: "changes the log level of a running gateway", settings: true, run: logLevelCommand, topic: logLevelUsage,
			synopsis: []string{"[LEVEL] [--timeout 1m] [--admin ADDRESS]"}, words: []string{"debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"},
			about: `log-level shows the log level of a running gateway, or changes it for a while: see outrigger help log-level.`,
		},
		{
			name: "replay", short: "sends a recorded call to a plugin server again", run: replayCommand, topic: replayUsage,
			synopsis: []string{"FILE -- COMMAND ARGS..."},
			about:    `replay sends a failing call that the black box has recorded (setting black_box) to a plugin server again: see outrigger help replay.`,
		},
		{
			name: "top", short: "shows what plugin servers do", settings: true, run: topCommand, topic: topUsage,
			synopsis: []string{"[--admin ADDRESS | --status ADDRESS] [--interval 1s] [--once]"},
			about:    `top shows what the plugin servers of a running gateway do, refreshed in place: see outrigger help top.`,
		},
		{
			name: "plugin", short: "makes and tests plugins", run: plugin, topic: pluginUsage, words: []string{"new", "test"},
			synopsis: []string{"new NAME --lang go|python|js|ts", "test [DIR]"},
			about:    `plugin new writes a plugin with unit tests, plugin test runs them: see outrigger help plugin.`,
		},
		{
			name: "bench", short: "measures what plugins cost on this machine", settings: true, run: benchCommand,
			topic: fmt.Sprintf(benchUsage, strings.Join(bench.Names(), ", ")), words: []string{"compare"},
			synopsis: []string{"[--quick] [--json] [--settings outrigger.yaml] ..."},
			about:    `bench measures what plugins cost on this machine, also those of your own configuration: see outrigger help bench.`,
		},
		{
			name: "completion", short: "prints a completion script for a shell", run: completionCommand, topic: completionUsage, words: shells(),
			synopsis: []string{strings.Join(shells(), "|")},
			about:    `completion prints what makes a shell complete commands and flags: see outrigger help completion.`,
		},
		{
			name: "man", short: "prints the manual page", run: manCommand, synopsis: []string{""},
			about: `man prints the manual page: outrigger man | man -l - shows it.`,
		},
		{name: "version", short: "prints the version", run: printVersion, synopsis: []string{""}},
		{name: "help", short: "prints this text, or more about a command or the settings", run: help, synopsis: []string{"[COMMAND | settings]"}},
	}
}

// commandOf finds a command by its name, or by a flag that means the same.
func commandOf(word string) (command, bool) {
	switch word {
	case "--version":
		word = "version"
	case "--help", "-h":
		word = "help"
	}
	for _, c := range commands() {
		if c.name == word {
			return c, true
		}
	}
	return command{}, false
}

// commandNames lists them: "run, dev or help".
func commandNames() string {
	all := commands()
	var list []string
	for _, c := range all {
		list = append(list, c.name)
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

func printVersion(_ []string, out, _ io.Writer) int {
	fmt.Fprintf(out, "outrigger %s (%s, %s/%s)\n", host.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}
