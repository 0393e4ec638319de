package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"slices"
	"syscall"
)

const upgradeUsage = `outrigger upgrade puts a new version of the program in the place of a running gateway, without losing a request.

Usage:
  outrigger upgrade [--admin ADDRESS] [--json]

Put the new program where the old one is (rename it into place; a link may lead to it), then ask. The running gateway starts it with its own arguments.
The new process inherits the listeners, reads settings and entities, starts its own plugin servers, and says when it serves: every plugin server that is
ready in the old process has to be ready in it. Then the old process accepts no more connections, answers the requests that it has, lets idle
connections bring one more, and ends, after drain_timeout at the latest. When the new process fails, or is not ready within upgrade_timeout, it is ended,
and the old one goes on as if nothing had happened. SIGUSR2 asks for the same.

A gateway that is the first process of a container cannot be upgraded in place: start a new container instead.

  --admin ADDRESS   host:port or unix:///path of the Admin listener; without it: admin_listen of the settings (--settings, OUTRIGGER_SETTINGS)
  --json            print the answer of the gateway

Exit code 0: the new process serves; 1: the old one goes on, or the gateway cannot be reached; 2: the command line is wrong.
`

// upgradeCommand is outrigger upgrade.
func upgradeCommand(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		fmt.Fprint(out, upgradeUsage)
		return exitOK
	}
	wrong := func(err error) int {
		fmt.Fprintf(errOut, "outrigger upgrade: %v\nSee: outrigger help upgrade\n", err)
		return exitUsage
	}
	asJSON, args := take(args, "--json")
	address, args, err := takeValue(args, "--admin")
	if err != nil {
		return wrong(err)
	}
	o, rest, ok := arguments("upgrade", args, errOut)
	switch {
	case !ok:
		return exitUsage
	case len(rest) > 0:
		return wrong(fmt.Errorf("found %q, expected a flag such as --admin unix:///run/outrigger/admin.sock", rest[0]))
	}
	address, err = adminAddress(address, o)
	switch {
	case errors.Is(err, errNoAdmin):
		return wrong(fmt.Errorf("%w; SIGUSR2 asks for the same", err))
	case err != nil:
		return failAs(asJSON, out, errOut, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return askUpgrade(ctx, address, asJSON, out, errOut)
}

// askUpgrade sends the request and prints how it went.
func askUpgrade(ctx context.Context, address string, asJSON bool, out, errOut io.Writer) int {
	var answer struct {
		Message, Version string
		PID              int
		Took             float64 `json:"took_ms"`
	}
	status, text, err := askAdmin(ctx, address, http.MethodPost, "/upgrade", &answer)
	if err != nil {
		return failAs(asJSON, out, errOut, err)
	}
	if asJSON {
		if _, err := out.Write(text); err != nil {
			return fail(errOut, err)
		}
	}
	if status != http.StatusOK {
		return fail(errOut, fmt.Errorf("the old process goes on: %s", answer.Message))
	}
	if !asJSON {
		fmt.Fprintf(out, "process %d with version %s serves (%.0f ms)\n", answer.PID, answer.Version, answer.Took)
	}
	return exitOK
}
