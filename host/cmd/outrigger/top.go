package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/host/internal/top"
)

const topUsage = `outrigger top shows what the plugin servers of a running gateway do: a table that is refreshed in place.

Usage:
  outrigger top [--admin ADDRESS | --status ADDRESS] [--interval 1s] [--once]

For each server and its processes: state, calls and errors a second, how long half and 99 of 100 calls took, calls in flight and waiting, restarts and
memory; then the same for each plugin and phase, the busiest first. Rates and times are those since the last refresh. q or Ctrl-C quits.

  --admin ADDRESS    host:port or unix:///path of the Admin listener
  --status ADDRESS   the same of the status listener. Without either: status_listen or admin_listen of the settings (--settings, OUTRIGGER_SETTINGS)
  --interval TIME    between two refreshes, such as 500ms or 2s; 1s if not given
  --once             print one table and end

Where the output is no terminal, tables follow each other as plain text.

Exit code 0: somebody quit; 1: the gateway cannot be reached; 2: the command line is wrong.
`

// watching is the command line of top.
type watching struct {
	address  string
	interval time.Duration
	once     bool
}

// take reads the flags of top out of args, and returns the others.
func (w *watching) take(args []string) (rest []string, err error) {
	w.once, rest = take(args, "--once")
	interval, rest, err := takeValue(rest, "--interval")
	if err != nil {
		return nil, err
	}
	w.interval = time.Second
	if interval != "" {
		if w.interval, err = time.ParseDuration(interval); err != nil || w.interval < 100*time.Millisecond || w.interval > time.Hour {
			return nil, fmt.Errorf("--interval: found %q, expected a time from 100ms to 1h such as 1s", interval)
		}
	}
	admin, rest, err := takeValue(rest, "--admin")
	if err != nil {
		return nil, err
	}
	status, rest, err := takeValue(rest, "--status")
	switch {
	case err != nil:
		return nil, err
	case admin != "" && status != "":
		return nil, fmt.Errorf("found two addresses, expected --admin or --status")
	}
	w.address = cmp.Or(admin, status)
	return rest, nil
}

// topCommand is outrigger top.
func topCommand(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		fmt.Fprint(out, topUsage)
		return exitOK
	}
	wrong := func(err error) int {
		fmt.Fprintf(errOut, "outrigger top: %v\nSee: outrigger help top\n", err)
		return exitUsage
	}
	var w watching
	args, err := w.take(args)
	if err != nil {
		return wrong(err)
	}
	o, ok := options("top", args, errOut)
	if !ok {
		return exitUsage
	}
	if w.address == "" {
		h, err := host.New(o)
		if err != nil {
			return fail(errOut, err)
		}
		if w.address = h.StatusSetting(); w.address == "" {
			return wrong(fmt.Errorf("found neither status_listen nor admin_listen in the settings, expected --admin or --status with host:port or unix:///path"))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	client := adminClient(w.address)
	client.Timeout = 10 * time.Second
	display := top.Options{Source: &top.Source{Client: client, Address: w.address}, Interval: w.interval, Once: w.once, Out: out}
	restore := func() {}
	if file, ok := out.(*os.File); ok {
		if restore, err = display.Terminal(os.Stdin, file); err != nil {
			return fail(errOut, err)
		}
	}
	err = top.Run(ctx, display)
	restore() // what is printed next is to stay
	if err != nil {
		return fail(errOut, err)
	}
	return exitOK
}
