package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const logLevelUsage = `outrigger log-level shows the log level of a running gateway, or changes it without a restart.

Usage:
  outrigger log-level [LEVEL] [--timeout 1m] [--admin ADDRESS] [--json]

LEVEL is debug, info, notice, warn, error, crit, alert or emerg. Plugin servers make no lines below the level with which they were started.

  --timeout TIME    how long the level counts, such as 30s or 5m; a bare number is seconds; 0: until the next change. Default: 1m
  --admin ADDRESS   host:port or unix:///path of the Admin listener; without it: admin_listen of the settings (--settings, OUTRIGGER_SETTINGS)
  --json            print the answer of the gateway

Exit code 0: done; 1: the gateway refuses or cannot be reached; 2: the command line is wrong.
`

// logLevelCommand is outrigger log-level.
func logLevelCommand(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		fmt.Fprint(out, logLevelUsage)
		return exitOK
	}
	wrong := func(err error) int {
		fmt.Fprintf(errOut, "outrigger log-level: %v\nSee: outrigger help log-level\n", err)
		return exitUsage
	}
	asJSON, args := take(args, "--json")
	address, args, err := takeValue(args, "--admin")
	if err != nil {
		return wrong(err)
	}
	timeout, args, err := takeValue(args, "--timeout")
	if err != nil {
		return wrong(err)
	}
	seconds, err := secondsOf(timeout)
	if err != nil {
		return wrong(err)
	}
	o, rest, ok := arguments("log-level", args, errOut)
	switch {
	case !ok:
		return exitUsage
	case len(rest) > 1:
		return wrong(fmt.Errorf("found %q, expected one level", rest[1]))
	case len(rest) == 0 && timeout != "":
		return wrong(fmt.Errorf("found --timeout without a level"))
	}
	address, err = adminAddress(address, o)
	switch {
	case errors.Is(err, errNoAdmin):
		return wrong(err)
	case err != nil:
		return failAs(asJSON, out, errOut, err)
	}
	method, path := http.MethodGet, "/debug/node/log-level"
	if len(rest) == 1 {
		method, path = http.MethodPut, path+"/"+url.PathEscape(rest[0])
		if seconds != "" {
			path += "?timeout=" + seconds
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return askLogLevel(ctx, address, method, path, asJSON, out, errOut)
}

// secondsOf is a time such as 5m or 30 in seconds; "" for "".
func secondsOf(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	d, err := time.ParseDuration(text)
	if n, bare := strconv.ParseFloat(text, 64); bare == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return "", fmt.Errorf("--timeout: found %q, expected a time such as 30s or 5m, or 0", text)
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64), nil
}

// askLogLevel sends the request and prints how it went.
func askLogLevel(ctx context.Context, address, method, path string, asJSON bool, out, errOut io.Writer) int {
	var answer struct {
		Message, Level, Setting string
		Until                   *time.Time
	}
	status, text, err := askAdmin(ctx, address, method, path, &answer)
	if err != nil {
		return failAs(asJSON, out, errOut, err)
	}
	if asJSON {
		if _, err := out.Write(text); err != nil {
			return fail(errOut, err)
		}
	}
	switch {
	case status != http.StatusOK:
		return fail(errOut, errors.New(answer.Message))
	case asJSON:
		return exitOK
	}
	line := answer.Message
	if answer.Until != nil {
		line += " until " + answer.Until.UTC().Format(time.RFC3339) + "; then " + answer.Setting
	}
	fmt.Fprintln(out, line)
	return exitOK
}
