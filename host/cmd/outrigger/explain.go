package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/outrigger-gateway/outrigger/host"
	"github.com/outrigger-gateway/outrigger/host/internal/explain"
)

// exitDiffers says that two configurations do not run the same plugins everywhere.
const exitDiffers = 3

const explainUsage = `outrigger explain says what the gateway would do with a request, without sending one.

Usage:
  outrigger explain [--config gateway.yaml] [--settings outrigger.yaml] [REQUEST] [--json] [--offline]
  outrigger explain --diff OLD.yaml NEW.yaml [--settings outrigger.yaml] [--json] [--offline]

REQUEST is what the client sends and who it is:
  --url http://host/path?query   or a path alone; / if not given
  --method GET
  --header 'Name: value'         may be given several times
  --sni NAME                     server name of the TLS handshake
  --client-ip ADDRESS            127.0.0.1 if not given
  --consumer NAME                or id: who is authenticated, if a plugin does that
  --group NAME                   or id, several times: consumer groups that a plugin sets, instead of the consumer's own
  --credential KIND=KEY          key-auth=KEY or basic-auth=USERNAME, instead of --consumer

It prints the route that is chosen and why the others are not; for each phase the plugins in order, and why each stands where it does; and for
each plugin the record that wins, the records that it shadows, its condition and where the fields of merged configurations come from.

--diff compares what runs on each route for each class of consumers. Exit code 0: nothing changes; 3: something does; 1: one of the files is wrong.

--json prints the same for programs. --offline starts no plugin server: the plugins that are not built in are then known by name only.
`

// explanation is the command line of explain.
type explanation struct {
	query         explain.Query
	json, offline bool
	diff          bool
}

// take reads the flags of explain out of args, and returns the other arguments.
func (e *explanation) take(args []string) (rest []string, err error) {
	one := map[string]*string{
		"method": &e.query.Method, "url": &e.query.URL, "sni": &e.query.SNI, "client-ip": &e.query.ClientIP, "consumer": &e.query.Consumer,
		"credential": &e.query.Credential,
	}
	several := map[string]*[]string{"header": &e.query.Headers, "group": &e.query.Groups}
	alone := map[string]*bool{"json": &e.json, "offline": &e.offline, "diff": &e.diff}
	given := map[string]bool{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		flag, value, inline := strings.Cut(arg, "=")
		name, dashed := strings.CutPrefix(flag, "--")
		if on := alone[name]; dashed && on != nil && !inline {
			*on = true
			continue
		}
		single, list := one[name], several[name]
		if !dashed || single == nil && list == nil {
			rest = append(rest, arg)
			continue
		}
		if !inline {
			if len(args) == 0 || strings.HasPrefix(args[0], "--") {
				return nil, fmt.Errorf("--%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		switch {
		case value == "":
			return nil, fmt.Errorf("--%s needs a value", name)
		case list != nil:
			*list = append(*list, value)
		case given[name]:
			return nil, fmt.Errorf("--%s is given twice", name)
		default:
			*single = value
		}
		given[name] = true
	}
	if e.diff && len(given) > 0 {
		return nil, fmt.Errorf("--diff compares all routes: found a request beside it")
	}
	return rest, nil
}

// explainCommand is outrigger explain.
func explainCommand(args []string, out, errOut io.Writer) int {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		fmt.Fprint(out, explainUsage)
		return exitOK
	}
	wrong := func(err error) int {
		fmt.Fprintf(errOut, "outrigger explain: %v\nSee: outrigger help explain\n", err)
		return exitUsage
	}
	var e explanation
	args, err := e.take(args)
	if err != nil {
		return wrong(err)
	}
	o, files, ok := arguments("explain", args, errOut)
	switch {
	case !ok:
		return exitUsage
	case e.diff && len(files) != 2:
		return wrong(fmt.Errorf("found %d files after --diff, expected two: --diff OLD.yaml NEW.yaml", len(files)))
	case !e.diff && len(files) > 0:
		return wrong(fmt.Errorf("found %q, expected a flag such as --url http://example.com/orders", files[0]))
	}
	h, err := host.New(o)
	if err != nil {
		return e.fail(err, out, errOut)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if e.diff {
		d, err := h.Diff(ctx, files[0], files[1], e.offline)
		if err != nil {
			return e.fail(err, out, errOut)
		}
		code := exitOK
		if d.Differs {
			code = exitDiffers
		}
		return e.print(d, code, out, errOut)
	}
	report, err := h.Explain(ctx, e.query, e.offline)
	if err != nil {
		return e.fail(err, out, errOut)
	}
	return e.print(report, exitOK, out, errOut)
}

// answer is what explain prints.
type answer interface {
	Text(w io.Writer) error
}

func (e *explanation) print(a answer, code int, out, errOut io.Writer) int {
	write := a.Text
	if e.json {
		write = func(w io.Writer) error { return writeJSON(w, a) }
	}
	if err := write(out); err != nil {
		return fail(errOut, fmt.Errorf("writing the explanation: %w", err))
	}
	return code
}

// fail says what is wrong: as text for people, with --json as an object too.
func (e *explanation) fail(err error, out, errOut io.Writer) int {
	if e.json {
		_ = writeJSON(out, explain.ErrorOf(err)) // the text below says the same
	}
	return fail(errOut, err)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
