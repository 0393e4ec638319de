package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"

	"github.com/outrigger-gateway/outrigger/host"
)

// exitFindings says that lint found something.
const exitFindings = 3

const lintUsage = `outrigger lint looks for what a valid configuration most likely does not mean.

Usage:
  outrigger lint [--config gateway.yaml] [--settings outrigger.yaml] [--json] [--strict] [--offline]

It finds routes that no request reaches and routes that only their age or id tells apart, plugin records that never apply or lose to others
everywhere, names that lead nowhere, ordering rules that do nothing, authentication that lets everybody in, secrets in plain text, and more:
see docs/guides/lint.md. Each finding has its line, what was found, why it matters and what to do.

Exit code 0: nothing was found, or warnings only. 3: an error was found; with --strict, a warning or an error. 1: the configuration is not valid.

--json prints the findings for programs. --offline starts no plugin server: the plugins that are not built in are then known by name only, and
nothing is found that rests on what they are.
`

func lint(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		fmt.Fprint(out, lintUsage)
		return exitOK
	}
	asJSON, args := take(args, "--json")
	strict, args := take(args, "--strict")
	offline, args := take(args, "--offline")
	o, ok := options("lint", args, errOut)
	if !ok {
		return exitUsage
	}
	h, err := host.New(o)
	if err != nil {
		return failAs(asJSON, out, errOut, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	report, err := h.Lint(ctx, offline)
	if err != nil {
		return failAs(asJSON, out, errOut, err)
	}
	write := report.Text
	if asJSON {
		write = report.JSON
	}
	if err := write(out); err != nil {
		return fail(errOut, fmt.Errorf("writing the findings: %w", err))
	}
	if report.Fails(strict) {
		return exitFindings
	}
	return exitOK
}
