package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// exitBusy says that something else has to end first.
const exitBusy = 3

const replaceUsage = `outrigger replace puts a new build of a plugin server in the place of the old one of a running gateway, without losing a request.

Usage:
  outrigger replace NAME [--admin ADDRESS] [--canary 5%] [--json] [-- PROGRAM ARGUMENT...]
  outrigger replace NAME --promote | --rollback [--admin ADDRESS] [--json]

The new build is started beside the old one, takes the configuration, is asked for its health, and then takes the new requests; the old one serves
those that it has begun, and ends. When anything fails the old build goes on, and the reason is printed.

  --admin ADDRESS   host:port or unix:///path of the Admin listener; without it: admin_listen of the settings (--settings, OUTRIGGER_SETTINGS)
  --canary SHARE    begin with a share of the requests such as 5%, or a JSON object with share, for, min_calls, errors and latency; off: with all.
                    Without it the settings of the plugin server decide.
  --promote         the canary under way takes all requests now
  --rollback        the canary under way takes none any more
  --json            print the answer of the gateway
  -- PROGRAM ...    the command of the new build, instead of that of the old one; over a unix socket alone

Exit code 0: done; 1: the old build goes on, or the gateway cannot be reached; 2: the command line is wrong; 3: another replacement or canary has to
end first.
`

// replacing is the command line of replace.
type replacing struct {
	server  string
	admin   string
	action  string // replace, promote, rollback
	json    bool
	body    map[string]any
	command []string
}

// take reads the flags of replace out of args, and returns those of settings.
func (c *replacing) take(args []string) (rest []string, err error) {
	c.action, c.body = "replace", map[string]any{}
	if i := slices.Index(args, "--"); i >= 0 {
		if args, c.command = args[:i], args[i+1:]; len(c.command) == 0 {
			return nil, fmt.Errorf("found nothing behind --, expected a program and its arguments")
		}
		c.body["command"] = c.command
	}
	c.json, args = take(args, "--json")
	promote, args := take(args, "--promote")
	rollback, args := take(args, "--rollback")
	switch {
	case promote && rollback:
		return nil, fmt.Errorf("found --promote beside --rollback, expected one of them")
	case promote:
		c.action = "promote"
	case rollback:
		c.action = "rollback"
	}
	if c.admin, args, err = takeValue(args, "--admin"); err != nil {
		return nil, err
	}
	canary, rest, err := takeValue(args, "--canary")
	if err != nil {
		return nil, err
	}
	if canary != "" {
		if c.body["canary"], err = canaryOf(canary); err != nil {
			return nil, err
		}
	}
	if c.action != "replace" && len(c.body) > 0 {
		return nil, fmt.Errorf("found a command or a canary beside --%s, expected it alone", c.action)
	}
	return rest, nil
}

// canaryOf reads a share, off, or an object.
func canaryOf(value string) (any, error) {
	switch {
	case value == "off":
		return nil, nil
	case !strings.HasPrefix(value, "{"):
		return map[string]any{"share": value}, nil
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(value), &object); err != nil {
		return nil, fmt.Errorf("--canary: found %q, expected a share such as 5%%, off, or a JSON object", value)
	}
	return object, nil
}

// replaceCommand is outrigger replace.
func replaceCommand(args []string, out, errOut io.Writer) int {
	flags := args
	if i := slices.Index(args, "--"); i >= 0 {
		flags = args[:i]
	}
	if slices.Contains(flags, "--help") || slices.Contains(flags, "-h") {
		fmt.Fprint(out, replaceUsage)
		return exitOK
	}
	wrong := func(err error) int {
		fmt.Fprintf(errOut, "outrigger replace: %v\nSee: outrigger help replace\n", err)
		return exitUsage
	}
	var c replacing
	args, err := c.take(args)
	if err != nil {
		return wrong(err)
	}
	o, names, ok := arguments("replace", args, errOut)
	switch {
	case !ok:
		return exitUsage
	case len(names) != 1:
		return wrong(fmt.Errorf("found %d names, expected that of one plugin server", len(names)))
	}
	c.server = names[0]
	c.admin, err = adminAddress(c.admin, o)
	switch {
	case errors.Is(err, errNoAdmin):
		return wrong(err)
	case err != nil:
		return failAs(c.json, out, errOut, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return c.ask(ctx, out, errOut)
}

// ask sends the request and prints how it went.
func (c *replacing) ask(ctx context.Context, out, errOut io.Writer) int {
	body, err := json.Marshal(c.body)
	if err != nil {
		return fail(errOut, err)
	}
	target := "http://localhost/plugin-servers/" + url.PathEscape(c.server) + "/" + c.action
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return fail(errOut, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := adminClient(c.admin).Do(req)
	if err != nil {
		return failAs(c.json, out, errOut, notAsked(c.admin, err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return failAs(c.json, out, errOut, fmt.Errorf("reading the answer of the Admin listener at %s: %w", c.admin, err))
	}
	return c.tell(resp.StatusCode, text, out, errOut)
}

// tell prints an answer for people, and gives its exit code.
func (c *replacing) tell(status int, text []byte, out, errOut io.Writer) int {
	var answer struct {
		Message, Result string
		Build           int
		Took            float64 `json:"took_ms"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return failAs(c.json, out, errOut, fmt.Errorf("found status %d and %.200q at %s, expected the JSON of an Admin listener", status, text, c.admin))
	}
	if c.json {
		if _, err := out.Write(text); err != nil {
			return fail(errOut, err)
		}
	}
	if status != http.StatusOK {
		fmt.Fprintf(errOut, "plugin server %s: %s\n", c.server, answer.Message)
		if status == http.StatusConflict {
			return exitBusy
		}
		return exitFailed
	}
	if !c.json {
		result := map[string]string{
			"live": "takes all requests", "canary": "takes a share of the requests: outrigger replace " + c.server + " --promote or --rollback ends that",
			"rolled back": "takes no requests any more",
		}[answer.Result]
		fmt.Fprintf(out, "plugin server %s: build %d %s (%.0f ms)\n", c.server, answer.Build, result, answer.Took)
	}
	return exitOK
}
