package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/host/internal/blackbox"
	"github.com/outrigger-gateway/outrigger/host/internal/replay"
	"github.com/outrigger-gateway/outrigger/pdk"
)

const replayUsage = `outrigger replay sends a failing call that the black box has recorded to a plugin server once more, and says what happens now.

Usage:
  outrigger replay FILE -- COMMAND ARGS...
  outrigger replay FILE --server unix:///path | tcp://host:port
  outrigger replay FILE --settings outrigger.yaml [--plugin-server NAME]

COMMAND starts the plugin server, which is ended afterwards, as is one of the settings that has a command. --server attaches to one that runs, such
as one in a debugger.

  --config JSON | @FILE      laid over the recorded configuration: secrets are not in it
  --body FILE                a body that is not in the recording; may be given several times
  --carrier msgpack | grpc   the recorded one if not given
  --phase PHASE              the recorded one if not given
  --timeout 5s               for the handler; the recorded one if not given and the call timed out, else 5s
  --json                     prints the report for programs

The questions of the handler are answered from the recording. One that is not there is told and answered with an error.

Exit code 0: the call succeeds now. 1: it fails, in the same way or in another. 2: nothing was sent, because the command line or the file is wrong, or
the plugin server does not start, does not host the plugin or refuses the configuration.
`

// exitNotSent says that a replay did not come to its call.
const exitNotSent = exitUsage

// replaying is the command line of replay.
type replaying struct {
	host.ReplayOptions
	file   string
	config string
	bodies []string
	json   bool
}

// parse reads the command line. What follows -- is the command of the plugin server.
func (p *replaying) parse(args []string) error {
	if i := slices.Index(args, "--"); i >= 0 {
		p.Command = args[i+1:]
		if args = args[:i]; len(p.Command) == 0 {
			return errors.New("found nothing after --, expected the command of a plugin server")
		}
	}
	timeout := ""
	one := map[string]*string{
		"server": &p.Address, "settings": &p.SettingsFile, "plugin-server": &p.Server, "config": &p.config, "carrier": &p.Carrier, "phase": &p.Phase,
		"timeout": &timeout,
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		flag, value, inline := strings.Cut(arg, "=")
		name, dashed := strings.CutPrefix(flag, "--")
		switch {
		case dashed && name == "json" && !inline:
			p.json = true
			continue
		case !dashed && p.file == "":
			p.file = arg
			continue
		case !dashed:
			return fmt.Errorf("found %q after the file, expected a flag, or -- and the command of a plugin server", arg)
		case one[name] == nil && name != "body":
			return fmt.Errorf("unknown flag --%s", name)
		}
		if !inline {
			if len(args) == 0 || strings.HasPrefix(args[0], "--") {
				return fmt.Errorf("--%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		switch {
		case name == "body":
			p.bodies = append(p.bodies, value)
		case *one[name] != "":
			return fmt.Errorf("--%s is given twice", name)
		case value == "":
			return fmt.Errorf("--%s needs a value", name)
		default:
			*one[name] = value
		}
	}
	return p.check(timeout)
}

func (p *replaying) check(timeout string) error {
	ways := 0
	for _, given := range []bool{p.Address != "", p.SettingsFile != "", len(p.Command) > 0} {
		if given {
			ways++
		}
	}
	switch {
	case p.file == "":
		return errors.New("found no file, expected a recording of the black box")
	case ways != 1:
		return errors.New("expected one plugin server: -- COMMAND, --server ADDRESS, or --settings outrigger.yaml")
	case p.Server != "" && p.SettingsFile == "":
		return errors.New("--plugin-server names a server of --settings, which is not given")
	case p.Phase != "" && pdk.PhaseByName(p.Phase) == 0:
		return fmt.Errorf("--phase: found %q, expected one of rewrite, access, response, header_filter, body_filter, log", p.Phase)
	case p.Carrier != "" && p.Carrier != "msgpack" && p.Carrier != "grpc":
		return fmt.Errorf("--carrier: found %q, expected msgpack or grpc", p.Carrier)
	}
	if timeout != "" {
		d, err := time.ParseDuration(timeout)
		if err != nil || d < time.Millisecond || d > 24*time.Hour {
			return fmt.Errorf("--timeout: found %q, expected a time such as 500ms or 5s", timeout)
		}
		p.Timeout = d
	}
	return nil
}

// read reads the files that the command line names.
func (p *replaying) read() (err error) {
	if p.Recording, err = blackbox.Read(p.file); err != nil {
		return err
	}
	if p.config != "" {
		p.Config = []byte(p.config)
		if file, isFile := strings.CutPrefix(p.config, "@"); isFile {
			if p.Config, err = os.ReadFile(file); err != nil {
				return fmt.Errorf("--config: %w", err)
			}
		}
		var object map[string]any
		if err := json.Unmarshal(p.Config, &object); err != nil {
			return fmt.Errorf("--config: expected a JSON object, or @ and a file with one: %w", err)
		}
	}
	for _, file := range p.bodies {
		body, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--body: %w", err)
		}
		p.Bodies = append(p.Bodies, body)
	}
	return nil
}

func replayCommand(args []string, out, errOut io.Writer) int {
	before := args
	if i := slices.Index(args, "--"); i >= 0 {
		before = args[:i]
	}
	if slices.Contains(before, "--help") || slices.Contains(before, "-h") {
		fmt.Fprint(out, replayUsage)
		return exitOK
	}
	var p replaying
	if err := p.parse(args); err != nil {
		fmt.Fprintf(errOut, "outrigger replay: %v\nSee: outrigger help replay\n", err)
		return exitUsage
	}
	if err := p.read(); err != nil {
		return p.notSent(out, errOut, err)
	}
	p.Env, p.Log = os.Environ(), os.Stderr
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	report, err := host.Replay(ctx, p.ReplayOptions)
	if err != nil {
		return p.notSent(out, errOut, err)
	}
	write := report.Text
	if p.json {
		write = func(w io.Writer) error { return writeJSON(w, report) }
	}
	if err := write(out); err != nil {
		return fail(errOut, fmt.Errorf("writing the report: %w", err))
	}
	if report.Verdict != replay.Succeeds {
		return exitFailed
	}
	return exitOK
}

func (p *replaying) notSent(out, errOut io.Writer, err error) int {
	_ = failAs(p.json, out, errOut, err)
	return exitNotSent
}
